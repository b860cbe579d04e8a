//! All policies and settings of one generation, by target, and the order in which they are asked:
//!
//! 1. Admin: a deny that holds denies, an allow that holds allows; nobody below is asked.
//! 2. Namespace: a deny that holds denies; where there are allows, one must hold.
//! 3. Baseline: as 2, and only where 2 did not decide.
//! 4. The default of the namespace, else of the mesh.
//!
//! Before all of them: beside a workload whoever proved nothing is denied, unless plaintext is let in there.
//!
//! Order never matters within a step: what is named is the first by key.

use crate::attributes::{Attributes, Moment, Place};
use crate::bucket::Map;
use crate::matching::Truth;
use crate::rules::{Found, Rules};
use crate::targets::{self, Targets};
use crate::verdict::{Because, Decided, Verdict};
use model::Key;
use model::access::{AccessMatch, AccessPolicy, AccessSettings, AccessTarget, Action, DefaultAccess, Enforcement, Mtls, Tier};
use std::sync::Arc;

#[derive(Debug, Default)]
pub struct Engine {
    enforced: Targets<Set>,
    /// Some rule says to which host: else nobody need find out which is meant.
    reads_hosts: bool,
    /// With those that are only tried out, where there are any.
    rehearsed: Option<Box<Targets<Set>>>,
    /// By namespace; the mesh's under the empty name.
    settings: Map<Arc<str>, Arc<AccessSettings>>,
}

/// The policies of one target.
#[derive(Debug, Default)]
struct Set {
    tiers: [Actions; 3],
    reads_paths: bool,
}

#[derive(Debug, Default)]
struct Actions {
    deny: Rules,
    allow: Rules,
}

type Sets<'e> = targets::Sets<'e, Set>;

impl Engine {
    pub fn compile<'p>(
        policies: impl IntoIterator<Item = &'p Arc<AccessPolicy>>,
        settings: impl IntoIterator<Item = &'p Arc<AccessSettings>>,
    ) -> Self {
        let mut policies: Vec<_> = policies.into_iter().collect();
        policies.sort_by(|a, b| a.key.cmp(&b.key));
        let mut enforced = Targets::<Set>::default();
        policies.iter().filter(|policy| policy.enforcement == Enforcement::Enforce).for_each(|policy| add(&mut enforced, policy));
        let tried = policies.iter().any(|policy| policy.enforcement == Enforcement::DryRun);
        let rehearsed = tried.then(|| {
            let mut all = Targets::<Set>::default();
            policies.iter().for_each(|policy| add(&mut all, policy));
            Box::new(all)
        });
        let settings = settings.into_iter().map(|one| (one.key.namespace.clone(), one.clone())).collect();
        let reads_hosts = policies.iter().any(|policy| matches(policy).any(|one| matches!(one, AccessMatch::Host(_))));
        Self { enforced, reads_hosts, rehearsed, settings }
    }

    /// What becomes of the call.
    pub fn decide(&self, place: &Place<'_>, of: &Attributes<'_>) -> Verdict<'_> {
        if of.plaintext && !self.takes_plaintext(place) {
            let because = Because::Strict { settings: self.settings(place.namespace()) };
            return Verdict { decided: Decided { allowed: false, because }, rehearsed: None };
        }
        let decided = self.decide_by(&self.enforced, place, of);
        let rehearsed = self.rehearsed.as_ref().map(|all| self.decide_by(all, place, of));
        Verdict { decided, rehearsed: rehearsed.filter(|rehearsed| rehearsed.allowed != decided.allowed) }
    }

    /// Whether nobody wrote a policy and, in this namespace, whoever says who they are is let in: then a request need not be read.
    pub fn lets_all_in(&self, namespace: &str) -> bool {
        let denies = |settings: &Arc<AccessSettings>| settings.default_access == DefaultAccess::Deny;
        self.enforced.is_empty() && self.rehearsed.is_none() && !self.settings(namespace).is_some_and(denies)
    }

    /// Whether a policy that is in force there reads paths: then a path must not be readable in two ways.
    pub fn reads_paths(&self, place: &Place<'_>) -> bool {
        self.enforced.sets(place).iter().any(|set| set.reads_paths)
    }

    /// The first policy in force there that reads paths. Found when somebody asks, for hardly anybody does.
    #[cold]
    pub fn reader_of_paths(&self, place: &Place<'_>) -> Option<&Arc<AccessPolicy>> {
        let sets = self.enforced.sets(place).into_iter().filter(|set| set.reads_paths);
        let actions = sets.flat_map(|set| &set.tiers).flat_map(|actions| [&actions.deny, &actions.allow]);
        actions.flat_map(Rules::policies).filter(|policy| reads_paths(policy)).min_by(|a, b| a.key.cmp(&b.key))
    }

    /// Whether any policy, also one that is only tried out, reads to which host a request goes.
    pub fn reads_hosts(&self) -> bool {
        self.reads_hosts
    }

    /// Whether plaintext is let in to anything of a namespace: else nobody need look for it.
    pub fn is_ever_permissive(&self, namespace: &str) -> bool {
        self.settings(namespace).is_some_and(|settings| settings.is_ever_permissive())
    }

    /// Whether plaintext is let in there: by every name under which the application's port is called, for a port has no second door.
    pub fn takes_plaintext(&self, place: &Place<'_>) -> bool {
        let Place::Workload { namespace, services, .. } = place else { return false };
        let Some(settings) = self.settings(namespace) else { return false };
        let is_permissive = |(service, port): &(Key, u16)| settings.mtls_at(service, *port) == Mtls::Permissive;
        if services.is_empty() { settings.mtls == Mtls::Permissive } else { services.iter().all(is_permissive) }
    }

    /// What holds in a namespace beside policies; `None` where nobody said anything.
    pub fn settings(&self, namespace: &str) -> Option<&Arc<AccessSettings>> {
        self.settings.get(namespace).or_else(|| self.settings.get(""))
    }

    fn decide_by<'e>(&'e self, targets: &'e Targets<Set>, place: &Place<'_>, of: &Attributes<'_>) -> Decided<'e> {
        let sets = targets.sets(place);
        Tier::ALL.into_iter().find_map(|tier| in_tier(&sets, tier, of)).unwrap_or_else(|| self.by_default(place, of))
    }

    fn by_default(&self, place: &Place<'_>, of: &Attributes<'_>) -> Decided<'_> {
        let settings = self.settings(place.namespace());
        let access = settings.map_or(DefaultAccess::default(), |settings| settings.default_access);
        let allowed = match (access, place) {
            (DefaultAccess::Allow, _) | (DefaultAccess::AllowMeshed, Place::Gateway { .. }) => true,
            // Who has plaintext let in means callers that prove nothing.
            (DefaultAccess::AllowMeshed, Place::Workload { .. }) => of.peer.is_some() || of.plaintext,
            (DefaultAccess::Deny, _) => false,
        };
        Decided { allowed, because: Because::Default { access, settings } }
    }
}

/// What one tier says, if it decides.
fn in_tier<'e>(sets: &Sets<'e>, tier: Tier, of: &Attributes<'_>) -> Option<Decided<'e>> {
    let opened = matches!(of.moment, Moment::Opened);
    // A connection that requests follow on is denied only where each of them would be.
    let (deny, allow) = if opened { (Truth::Yes, Truth::Perhaps) } else { (Truth::Perhaps, Truth::Yes) };
    let of_tier = || sets.iter().map(|set| &set.tiers[tier as usize]);
    let because = |found: Found<'e>| Because::Rule { policy: found.policy, rule: found.rule, truth: found.truth };
    if let Some(found) = first(of_tier().map(|actions| &actions.deny), of, deny) {
        return Some(Decided { allowed: false, because: because(found) });
    }
    if let Some(found) = first(of_tier().map(|actions| &actions.allow), of, allow) {
        return Some(Decided { allowed: true, because: because(found) });
    }
    if tier == Tier::Admin {
        return None;
    }
    let others = of_tier().filter_map(|actions| actions.allow.policies().first());
    let policy = others.min_by(|a, b| a.key.cmp(&b.key))?;
    Some(Decided { allowed: false, because: Because::NoneAllows { policy } })
}

/// The first that holds, by the key of its policy and its place in it.
fn first<'e>(rules: impl Iterator<Item = &'e Rules>, of: &Attributes<'_>, least: Truth) -> Option<Found<'e>> {
    let found = rules.filter(|rules| !rules.is_empty()).filter_map(|rules| rules.first(of, least));
    found.min_by(|a, b| (&a.policy.key, a.rule).cmp(&(&b.policy.key, b.rule)))
}

/// All that rules of a policy ask for.
fn matches(policy: &AccessPolicy) -> impl Iterator<Item = &AccessMatch> {
    policy.rules.iter().flat_map(|r| &r.clauses).flat_map(|c| &c.0).flat_map(|g| &g.0).flat_map(|t| &t.any)
}

fn reads_paths(policy: &AccessPolicy) -> bool {
    matches(policy).any(|one| matches!(one, AccessMatch::Path(_)))
}

fn add(targets: &mut Targets<Set>, policy: &Arc<AccessPolicy>) {
    let mut done: Vec<&AccessTarget> = Vec::new();
    for target in &policy.targets {
        if !done.contains(&target) {
            targets.set(target).add(policy);
            done.push(target);
        }
    }
}

impl Set {
    fn add(&mut self, policy: &Arc<AccessPolicy>) {
        self.reads_paths |= reads_paths(policy);
        let actions = &mut self.tiers[policy.tier as usize];
        match policy.action {
            Action::Allow => actions.allow.add(policy),
            Action::Deny => actions.deny.add(policy),
        }
    }
}
