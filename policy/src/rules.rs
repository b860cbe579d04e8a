//! The rules of one action in one tier for one target, found by who calls: a caller of whom no rule speaks costs a few look-ups, however many rules
//! there are. A rule that cannot be found by its callers is found by path or port, and where neither says it, is asked each time.

use crate::attributes::Attributes;
use crate::bucket::{self, Bucket, By, Map, Number, alone};
use crate::matching::{Truth, clause};
use hashbrown::Equivalent;
use model::SpiffeId;
use model::access::{AccessMatch, AccessPolicy, AccessRule, Clause, IdentityMatch, TextMatch};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

/// A rule by its place in its policy.
#[derive(Debug, Clone, Copy)]
pub struct Found<'r> {
    pub policy: &'r Arc<AccessPolicy>,
    pub rule: u32,
    pub truth: Truth,
}

#[derive(Debug)]
struct Rule {
    policy: u32,
    rule: u32,
    /// The clause that says who calls, where the rule is found by it.
    source: Option<usize>,
    by: By,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    namespace: Arc<str>,
    name: Arc<str>,
}

#[derive(PartialEq, Eq)]
struct AccountRef<'a> {
    namespace: &'a str,
    name: &'a str,
}

impl Hash for Account {
    fn hash<H: Hasher>(&self, state: &mut H) {
        AccountRef { namespace: &self.namespace, name: &self.name }.hash(state);
    }
}

impl Hash for AccountRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.namespace.hash(state);
        self.name.hash(state);
    }
}

impl Equivalent<Account> for AccountRef<'_> {
    fn equivalent(&self, key: &Account) -> bool {
        *self.namespace == *key.namespace && *self.name == *key.name
    }
}

/// Blocks of addresses, by family.
#[derive(Debug, Default)]
struct Blocks {
    v4: Family<u32>,
    v6: Family<u128>,
}

/// For each length of prefix that occurs, the blocks that have it, by their first address: numbers, for they are hashed with every request.
#[derive(Debug, Default)]
struct Family<B> {
    by_block: Map<(B, u8), Bucket>,
    lengths: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Rules {
    policies: Vec<Arc<AccessPolicy>>,
    rules: Vec<Rule>,
    identities: Map<SpiffeId, Bucket>,
    accounts: Map<Account, Bucket>,
    namespaces: Map<Arc<str>, Bucket>,
    domains: Map<Arc<str>, Bucket>,
    blocks: Blocks,
    anyone: Bucket,
}

fn is_caller(one: &AccessMatch) -> bool {
    let exact = matches!(one, AccessMatch::Identity(IdentityMatch::Exact(_)) | AccessMatch::Namespace(TextMatch::Exact(_)));
    exact || matches!(one, AccessMatch::ServiceAccount { .. } | AccessMatch::TrustDomain(_) | AccessMatch::PeerAddress(_))
}

impl Rules {
    /// Policies must come in the order in which they are to be named.
    pub fn add(&mut self, policy: &Arc<AccessPolicy>) {
        let at = self.policies.len() as u32;
        self.policies.push(policy.clone());
        for (i, rule) in policy.rules.iter().enumerate() {
            self.add_rule(at, i, rule);
        }
    }

    fn add_rule(&mut self, policy: u32, at: usize, rule: &AccessRule) {
        // A clause without groups never holds.
        if rule.clauses.iter().any(|clause| clause.0.is_empty()) {
            return;
        }
        let number = self.rules.len() as Number;
        let source = rule.clauses.iter().position(|clause| alone(clause, is_caller));
        let by = bucket::by(&rule.clauses);
        self.rules.push(Rule { policy, rule: at as u32, source, by });
        let Some(source) = source else { return self.anyone.add(number, &rule.clauses, by) };
        for one in rule.clauses[source].0.iter().flat_map(|group| &group.0).flat_map(|term| &term.any) {
            let bucket = match one {
                AccessMatch::Identity(IdentityMatch::Exact(id)) => self.identities.entry(id.clone()).or_default(),
                AccessMatch::ServiceAccount { namespace, name } => {
                    self.accounts.entry(Account { namespace: namespace.clone(), name: name.clone() }).or_default()
                }
                AccessMatch::Namespace(TextMatch::Exact(name)) => self.namespaces.entry(name.clone()).or_default(),
                AccessMatch::TrustDomain(domain) => self.domains.entry(domain.as_str().into()).or_default(),
                AccessMatch::PeerAddress(block) => self.blocks.entry(block.parts()),
                _ => continue,
            };
            bucket.add(number, &rule.clauses, by);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    pub fn policies(&self) -> &[Arc<AccessPolicy>] {
        &self.policies
    }

    /// The first rule, in order, that holds at least so certainly.
    pub fn first(&self, of: &Attributes<'_>, least: Truth) -> Option<Found<'_>> {
        if self.rules.is_empty() {
            return None;
        }
        let mut best: Option<(Number, Truth)> = None;
        let mut look = |bucket: &Bucket, by_source: bool| {
            bucket.candidates(of, |list, found| self.improve(list, by_source, found, of, least, &mut best));
        };
        look(&self.anyone, false);
        if let Some(peer) = of.peer {
            let mut by = |bucket: Option<&Bucket>| bucket.into_iter().for_each(|bucket| look(bucket, true));
            if !self.identities.is_empty() {
                by(self.identities.get(peer));
            }
            if !self.accounts.is_empty() {
                by(self.accounts.get(&AccountRef { namespace: peer.namespace(), name: peer.service_account() }));
            }
            if !self.namespaces.is_empty() {
                by(self.namespaces.get(peer.namespace()));
            }
            if !self.domains.is_empty() {
                by(self.domains.get(peer.trust_domain().as_str()));
            }
        }
        if of.peer.is_none() && of.plaintext {
            // It may be anyone, so that every rule about somebody is looked at.
            let named = self.identities.values().chain(self.accounts.values()).chain(self.namespaces.values()).chain(self.domains.values());
            named.for_each(|bucket| look(bucket, false));
        }
        self.blocks.of(of.address, |bucket| look(bucket, true));
        best.map(|(number, truth)| {
            let rule = &self.rules[number as usize];
            Found { policy: &self.policies[rule.policy as usize], rule: rule.rule, truth }
        })
    }

    /// Lowers `best` to the first of `list` that holds, if that is lower.
    fn improve(
        &self,
        list: &[Number],
        by_source: bool,
        found: bool,
        of: &Attributes<'_>,
        least: Truth,
        best: &mut Option<(Number, Truth)>,
    ) {
        for number in list {
            if best.is_some_and(|(best, _)| best <= *number) {
                return;
            }
            let rule = &self.rules[*number as usize];
            // What it was found by needs no second look.
            let source = rule.source.filter(|_| by_source);
            let by = match rule.by {
                By::Path(at) | By::Port(at) if found => Some(at),
                _ => None,
            };
            let truth = self.truth(rule, of, source, by);
            if truth >= least {
                *best = Some((*number, truth));
                return;
            }
        }
    }

    fn truth(&self, rule: &Rule, of: &Attributes<'_>, source: Option<usize>, by: Option<usize>) -> Truth {
        let clauses: &[Clause] = &self.policies[rule.policy as usize].rules[rule.rule as usize].clauses;
        let mut least = Truth::Yes;
        for (i, one) in clauses.iter().enumerate() {
            if Some(i) != source && Some(i) != by {
                least = least.min(clause(one, of));
                if least == Truth::No {
                    break;
                }
            }
        }
        least
    }
}

impl Blocks {
    fn entry(&mut self, (address, length): (IpAddr, u8)) -> &mut Bucket {
        match address {
            IpAddr::V4(v4) => self.v4.entry(v4.to_bits(), length),
            IpAddr::V6(v6) => self.v6.entry(v6.to_bits(), length),
        }
    }

    fn of<'b>(&'b self, address: IpAddr, each: impl FnMut(&'b Bucket)) {
        // What is left of an address is where the block of that length begins that it is in.
        let left = |bits: u32, length: u8| bits.saturating_sub(u32::from(length));
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.of(|length| v4.to_bits() & u32::MAX.checked_shl(left(32, length)).unwrap_or(0), each),
            IpAddr::V6(v6) => self.v6.of(|length| v6.to_bits() & u128::MAX.checked_shl(left(128, length)).unwrap_or(0), each),
        }
    }
}

impl<B: Eq + Hash> Family<B> {
    fn entry(&mut self, begin: B, length: u8) -> &mut Bucket {
        if !self.lengths.contains(&length) {
            self.lengths.push(length);
        }
        self.by_block.entry((begin, length)).or_default()
    }

    /// `begin`: where the block of that length begins that the address is in.
    fn of<'b>(&'b self, begin: impl Fn(u8) -> B, mut each: impl FnMut(&'b Bucket)) {
        for length in &self.lengths {
            self.by_block.get(&(begin(*length), *length)).into_iter().for_each(&mut each);
        }
    }
}
