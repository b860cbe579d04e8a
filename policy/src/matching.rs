//! Whether a rule holds of a call: the words of the model read one by one. What the index of [`crate::rules`] answers faster must be the same.

use crate::attributes::{Attributes, Consumer, Moment, Request, Token};
use model::access::{AccessMatch, AccessRule, Clause, Group, IdentityMatch, Term, TextMatch};
use model::{HeaderBlock, SpiffeId};

/// How certain something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    No,
    /// It cannot be told: a request is needed, or it can be read in two ways.
    Perhaps,
    Yes,
}

impl Truth {
    pub fn negated(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Perhaps => Self::Perhaps,
            Self::Yes => Self::No,
        }
    }

    fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

fn all<T>(items: &[T], truth: impl Fn(&T) -> Truth) -> Truth {
    let mut least = Truth::Yes;
    for item in items {
        least = least.min(truth(item));
        if least == Truth::No {
            break;
        }
    }
    least
}

fn any<T>(items: &[T], truth: impl Fn(&T) -> Truth) -> Truth {
    let mut most = Truth::No;
    for item in items {
        most = most.max(truth(item));
        if most == Truth::Yes {
            break;
        }
    }
    most
}

/// Whether the rule holds.
pub fn rule_truth(rule: &AccessRule, of: &Attributes<'_>) -> Truth {
    all(&rule.clauses, |clause| self::clause(clause, of))
}

pub(crate) fn clause(clause: &Clause, of: &Attributes<'_>) -> Truth {
    any(&clause.0, |group| self::group(group, of))
}

fn group(group: &Group, of: &Attributes<'_>) -> Truth {
    all(&group.0, |term| self::term(term, of))
}

pub(crate) fn term(term: &Term, of: &Attributes<'_>) -> Truth {
    let truth = any(&term.any, |one| self::one(one, of));
    if term.negated { truth.negated() } else { truth }
}

fn one(one: &AccessMatch, of: &Attributes<'_>) -> Truth {
    let peer = |says: &dyn Fn(&SpiffeId) -> bool| match of.peer {
        Some(peer) => Truth::of(says(peer)),
        None if of.plaintext => Truth::Perhaps,
        None => Truth::No,
    };
    let request = |says: &dyn Fn(&Request<'_>) -> Truth| match &of.moment {
        Moment::Request(request) => says(request),
        Moment::Opened | Moment::Stream => Truth::Perhaps,
    };
    let token = |says: &dyn Fn(&Token) -> bool| request(&|request| Truth::of(request.token.is_some_and(says)));
    let consumer = |says: &dyn Fn(&Consumer) -> bool| request(&|request| Truth::of(request.consumer.is_some_and(says)));
    match one {
        AccessMatch::Unknown => Truth::Perhaps,
        AccessMatch::Identity(want) => peer(&|peer| identity(want, peer)),
        AccessMatch::ServiceAccount { namespace, name } => {
            peer(&|peer| peer.service_account() == &**name && peer.namespace() == &**namespace)
        }
        AccessMatch::Namespace(want) => peer(&|peer| want.is_match(peer.namespace().as_bytes())),
        AccessMatch::TrustDomain(domain) => peer(&|peer| peer.trust_domain() == domain),
        AccessMatch::PeerAddress(block) => Truth::of(block.contains(of.address)),
        AccessMatch::Port(port) => Truth::of(of.ports.contains(port)),
        AccessMatch::ServerName(want) => Truth::of(of.server_name.is_some_and(|name| want.is_match(name.as_bytes()))),
        AccessMatch::ClientAddress(block) => request(&|request| match request.client {
            Some(client) => Truth::of(block.contains(client)),
            None => Truth::Perhaps,
        }),
        AccessMatch::Host(pattern) => request(&|request| Truth::of(pattern.matches(request.host))),
        AccessMatch::Method(method) => request(&|request| Truth::of(request.method == method)),
        AccessMatch::Path(path) => request(&|request| Truth::of(path.is_match(request.path))),
        AccessMatch::Header { name, value } => request(&|request| header(request.headers, name, value)),
        AccessMatch::Issuer(want) => token(&|token| want.is_match(token.issuer.as_bytes())),
        AccessMatch::Subject(want) => token(&|token| want.is_match(token.subject.as_bytes())),
        AccessMatch::Audience(want) => token(&|token| token.audiences.iter().any(|one| want.is_match(one.as_bytes()))),
        AccessMatch::Claim { path, value } => token(&|token| {
            let here = token.claims.iter().filter(|claim| claim.path == *path);
            here.flat_map(|claim| &claim.texts).any(|text| value.is_match(text.as_bytes()))
        }),
        AccessMatch::Consumer(want) => consumer(&|consumer| want.is_match(consumer.name.as_bytes())),
        AccessMatch::ConsumerGroup(want) => consumer(&|consumer| consumer.groups.iter().any(|group| want.is_match(group.as_bytes()))),
    }
}

fn identity(want: &IdentityMatch, peer: &SpiffeId) -> bool {
    match want {
        IdentityMatch::Any => true,
        IdentityMatch::Exact(id) => id == peer,
        IdentityMatch::Prefix(text) => peer.begins_with(text),
        IdentityMatch::Suffix(text) => peer.ends_with(text),
    }
}

/// One field that says it says it. Where it stands several times, or is a list of which a part says it, applications differ in what they read.
fn header(headers: &HeaderBlock, name: &str, want: &TextMatch) -> Truth {
    let mut fields = headers.get_all(name);
    let Some(first) = fields.next() else { return Truth::No };
    if *want == TextMatch::Present {
        return Truth::Yes;
    }
    let single = fields.next().is_none();
    if single && want.is_match(first) {
        return Truth::Yes;
    }
    let part = |field: &[u8]| want.is_match(field) || field.split(|b| *b == b',').any(|item| want.is_match(item.trim_ascii()));
    // Who joins the fields may read what spans them.
    match !single && want.has_comma() || headers.get_all(name).any(part) {
        true => Truth::Perhaps,
        false => Truth::No,
    }
}
