//! What is allowed to be written and hardly meant: rules for anyone, rules that never hold or that another makes idle, callers that nobody is, bytes
//! that are judged by a part of a rule. Told as warnings; nothing is changed.

use crate::Translation;
use crate::gateway_api::condition;
use crate::wrong::Wrong;
use model::access::{AccessMatch, AccessPath, AccessPolicy, AccessRule, AccessTarget, Action, Enforcement, IdentityMatch, TextMatch};
use model::report::Step;
use model::{AppProtocol, ParentStatus, Report, Resource, Service, Severity, Workload};
use std::sync::Arc;

pub fn about(policies: &[Arc<AccessPolicy>], workloads: &[Workload], out: &mut Translation) {
    let mut told = Vec::new();
    for policy in policies {
        for (i, rule) in policy.rules.iter().enumerate() {
            let mut say = |wrong: Wrong| {
                let path = vec![Step::Field("spec".into()), Step::Field("rules".into()), Step::Index(i)];
                told.push(Report { severity: Severity::Warning, path, ..wrong.report(&policy.origin.object) });
            };
            anyone(policy, rule, &mut say);
            never(rule, &mut say);
            nobody(rule, workloads, &mut say);
            if let Some(other) = shadow(policy, i, policies) {
                say(other);
            }
        }
    }
    out.reports.extend(told);
}

fn matches(rule: &AccessRule) -> impl Iterator<Item = &AccessMatch> {
    rule.clauses.iter().flat_map(|clause| &clause.0).flat_map(|group| &group.0).flat_map(|term| &term.any)
}

/// An Allow without a word of who calls.
fn anyone(policy: &AccessPolicy, rule: &AccessRule, say: &mut impl FnMut(Wrong)) {
    if policy.action == Action::Allow && rule.clauses.is_empty() {
        say(Wrong::new("AllowsAnyone", format!("Rule {} allows anyone anything: it says neither who calls nor what.", rule.name))
            .fix("Write sources, or destinations, where less is meant."));
    }
}

/// Paths as no request has them once they are made regular.
fn never(rule: &AccessRule, say: &mut impl FnMut(Wrong)) {
    for one in matches(rule) {
        let AccessMatch::Path(AccessPath::Exact(path) | AccessPath::Segments(path) | AccessPath::Letters(path)) = one else { continue };
        let odd = path.contains(['?', '#', ';', '\\'])
            || path.contains("//")
            || path.contains('%')
            || path.split('/').any(|s| s == "." || s == "..");
        if odd {
            let wrong = Wrong::new("NeverHolds", format!("No request has the path {path}: paths are made regular before rules read them."));
            say(wrong.fix("Write the path as it is after normalisation, without query."));
        }
    }
}

/// Callers of a mesh in which nobody is called that.
fn nobody(rule: &AccessRule, workloads: &[Workload], say: &mut impl FnMut(Wrong)) {
    // Files alone do not say who will join.
    if workloads.is_empty() {
        return;
    }
    for one in matches(rule) {
        let somebody = match one {
            AccessMatch::ServiceAccount { namespace, name } => {
                name.starts_with("gateway-")
                    || workloads.iter().any(|w| w.identity.namespace() == &**namespace && w.identity.service_account() == &**name)
            }
            AccessMatch::Namespace(TextMatch::Exact(name)) => workloads.iter().any(|w| w.identity.namespace() == &**name),
            AccessMatch::Identity(IdentityMatch::Exact(id)) => {
                id.service_account().starts_with("gateway-") || workloads.iter().any(|w| w.identity == *id)
            }
            AccessMatch::TrustDomain(domain) => workloads.iter().any(|w| w.identity.trust_domain() == domain),
            _ => true,
        };
        if !somebody {
            say(Wrong::new("NobodyThere", format!("Nobody of the mesh is {one} now.")));
        }
    }
}

/// A rule that another makes idle: the same clauses or none, in force for the same targets, and asked no later.
fn shadow(policy: &AccessPolicy, at: usize, policies: &[Arc<AccessPolicy>]) -> Option<Wrong> {
    let rule = &policy.rules[at];
    let covers = |other: &AccessRule| other.clauses.is_empty() || other.clauses.iter().all(|clause| rule.clauses.contains(clause));
    for other in policies.iter().filter(|other| other.enforcement == Enforcement::Enforce && other.tier == policy.tier) {
        // A deny goes before an allow; of two of one action, the one named first.
        let first = other.action == Action::Deny && policy.action == Action::Allow;
        let same = other.action == policy.action;
        if !(first || same) || !policy.targets.iter().all(|target| other.targets.iter().any(|wider| includes(wider, target))) {
            continue;
        }
        for (i, candidate) in other.rules.iter().enumerate() {
            let itself = other.key == policy.key && i >= at;
            let later = same && other.key > policy.key;
            if !itself && !later && covers(candidate) {
                let message =
                    format!("Rule {} never decides: rule {} of {} holds wherever it does.", rule.name, candidate.name, other.origin.object);
                return Some(Wrong::new("Shadowed", message).fix("Remove one of the two."));
            }
        }
    }
    None
}

fn includes(wider: &AccessTarget, target: &AccessTarget) -> bool {
    match (wider, target) {
        (AccessTarget::Mesh, AccessTarget::Namespace(_) | AccessTarget::Workloads { .. } | AccessTarget::Service { .. }) => true,
        (AccessTarget::Namespace(name), AccessTarget::Workloads { namespace, .. }) => name == namespace,
        (AccessTarget::Namespace(name), AccessTarget::Service { service, .. }) => *name == service.namespace,
        (AccessTarget::Service { service, port: None }, AccessTarget::Service { service: other, .. }) => service == other,
        _ => wider == target,
    }
}

/// Notes of rules that need HTTP on ports that say that they carry bytes: told, and in the policy's status.
pub fn notes_of_bytes(out: &mut Translation) {
    let Translation { resources, statuses, reports } = out;
    let services = || resources.iter().filter_map(|r| if let Resource::Service(s) = r { Some(s) } else { None });
    for resource in resources.iter() {
        let Resource::Access(policy) = resource else { continue };
        let carries =
            policy.targets.iter().filter_map(|target| services().find_map(|s| carries_bytes(target, s).map(|port| (target, s, port))));
        for (nth, (target, service, port)) in carries.enumerate() {
            let said = read_as_bytes(policy, service, port);
            if said.is_empty() {
                continue;
            }
            let message = said.iter().map(|(_, wrong)| wrong.message.as_str()).collect::<Vec<_>>().join(" ");
            let of = statuses.iter_mut().filter(|status| status.object == policy.origin.object).flat_map(|status| &mut status.parents);
            for ancestor in of.filter(|ancestor| is_ancestor(ancestor, target, service)) {
                ancestor.conditions.push(condition("organza.dev/NeedsHttp", true, "CarriesBytes", &message));
            }
            // Of several targets the first is told.
            reports.extend(said.into_iter().filter(|_| nth == 0).map(|(i, wrong)| {
                let path = vec![Step::Field("spec".into()), Step::Field("rules".into()), Step::Index(i)];
                Report { severity: Severity::Warning, path, ..wrong.report(&policy.origin.object) }
            }));
        }
    }
}

/// What becomes there of each rule that needs HTTP.
fn read_as_bytes(policy: &AccessPolicy, service: &Service, port: u16) -> Vec<(usize, Wrong)> {
    let what = match policy.action {
        Action::Allow => "it never holds there",
        Action::Deny => "it denies there by who calls and the port alone",
    };
    let said = |rule: &AccessRule| {
        let (namespace, name) = (&service.key.namespace, &service.key.name);
        format!("Rule {} needs HTTP, and port {port} of Service {namespace}/{name} carries bytes: {what}.", rule.name)
    };
    let needing = policy.rules.iter().enumerate().filter(|(_, rule)| matches(rule).any(AccessMatch::needs_request));
    needing.map(|(i, rule)| (i, Wrong::new("NeedsHttp", said(rule)))).collect()
}

/// Whether a status speaks of this target.
fn is_ancestor(ancestor: &ParentStatus, target: &AccessTarget, service: &Service) -> bool {
    let AccessTarget::Service { port, .. } = target else { return false };
    let named = |section: &str| service.ports.iter().find(|port| port.name.as_deref() == Some(section)).map(|port| port.number);
    let parent = &ancestor.parent;
    let is_it = &*parent.kind == "Service" && parent.namespace == service.key.namespace && parent.name == service.key.name;
    is_it && ancestor.section.as_deref().map(named) == port.map(Some)
}

/// Notes of rules that ask for a token, or for a consumer, where nobody's is believed.
pub fn notes_of_proofs(out: &mut Translation) {
    let mut told = Vec::new();
    let issuers = |resource: &Resource| if let Resource::TokenIssuer(one) = resource { one.targets.clone() } else { Vec::new() };
    let consumers = |resource: &Resource| if let Resource::Consumer(one) = resource { one.targets.clone() } else { Vec::new() };
    let without = |guards: &dyn Fn(&Resource) -> Vec<AccessTarget>, asks: fn(&AccessMatch) -> bool, reason, (proof, kind): (&str, &str)| {
        let guarded: Vec<AccessTarget> = out.resources.iter().flat_map(guards).collect();
        let mut told = Vec::new();
        for resource in &out.resources {
            let Resource::Access(policy) = resource else { continue };
            if policy.targets.iter().any(|target| guarded.iter().any(|guard| meet(guard, target))) {
                continue;
            }
            for (i, rule) in policy.rules.iter().enumerate().filter(|(_, rule)| matches(rule).any(asks)) {
                let name = &rule.name;
                let message =
                    format!("Rule {name} asks for a {proof}, and no {kind} guards what the policy targets: no {proof} is believed there.");
                let wrong = Wrong::new(reason, message).fix(format!("Write a {kind} whose targetRefs name the same."));
                let path = vec![Step::Field("spec".into()), Step::Field("rules".into()), Step::Index(i)];
                told.push(Report { severity: Severity::Warning, path, ..wrong.report(&policy.origin.object) });
            }
        }
        told
    };
    told.extend(without(&issuers, asks_for_a_token, "NoIssuer", ("token", "TokenIssuer")));
    told.extend(without(&consumers, asks_for_a_consumer, "NoConsumer", ("key", "Consumer")));
    out.reports.extend(told);
}

fn asks_for_a_token(one: &AccessMatch) -> bool {
    matches!(one, AccessMatch::Issuer(_) | AccessMatch::Subject(_) | AccessMatch::Audience(_) | AccessMatch::Claim { .. })
}

fn asks_for_a_consumer(one: &AccessMatch) -> bool {
    matches!(one, AccessMatch::Consumer(_) | AccessMatch::ConsumerGroup(_))
}

/// Whether something may be called that both target. Which route hangs on which Gateway is not known here.
fn meet(one: &AccessTarget, other: &AccessTarget) -> bool {
    let at_a_gateway =
        |target: &AccessTarget| matches!(target, AccessTarget::Gateway(_) | AccessTarget::Listener(_) | AccessTarget::Route(_));
    includes(one, other) || includes(other, one) || at_a_gateway(one) && at_a_gateway(other)
}

fn carries_bytes(target: &AccessTarget, service: &Service) -> Option<u16> {
    let AccessTarget::Service { service: key, port } = target else { return None };
    let bytes =
        |p: &&model::ServicePort| matches!(p.protocol, AppProtocol::Tcp | AppProtocol::Tls) && port.is_none_or(|only| only == p.number);
    service.ports.iter().filter(|_| *key == service.key).find(bytes).map(|port| port.number)
}
