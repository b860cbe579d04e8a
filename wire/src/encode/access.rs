//! Who may call whom, as bytes.

use super::{labels, origin, text};
use crate::enums::Word;
use crate::v1;
use model::access::{
    AccessMatch, AccessPath, AccessPolicy, AccessRule, AccessSettings, AccessTarget, Clause, Group, IdentityMatch, Mtls, MtlsOf, Term,
    TextMatch,
};
use v1::access_match::{Claim, Header, Match as M, Path, ServiceAccount};

pub(super) fn policy(r: &AccessPolicy) -> v1::AccessPolicy {
    v1::AccessPolicy {
        key: text(&r.key),
        origin: Some(origin(&r.origin)),
        tier: r.tier.number(),
        action: r.action.number(),
        enforcement: r.enforcement.number(),
        targets: r.targets.iter().map(target).collect(),
        rules: r.rules.iter().map(rule).collect(),
    }
}

pub(super) fn settings(r: &AccessSettings) -> v1::AccessSettings {
    v1::AccessSettings {
        key: text(&r.key),
        origin: Some(origin(&r.origin)),
        default_access: r.default_access.number(),
        egress: r.egress.number(),
        explain_denials: r.explain_denials.number(),
        // An older release's bytes say nothing of it.
        mtls: if r.mtls == Mtls::Strict { 0 } else { r.mtls.number() },
        mtls_of: r.mtls_of.iter().map(mtls_of).collect(),
    }
}

fn mtls_of(one: &MtlsOf) -> v1::MtlsOf {
    v1::MtlsOf { service: text(&one.service), port: one.port.map(u32::from), mtls: one.mtls.number() }
}

pub(super) fn target(target: &AccessTarget) -> v1::AccessTarget {
    use v1::access_target::{Mesh, ServicePort, Target as T, Workloads};
    let target = match target {
        AccessTarget::Mesh => T::Mesh(Mesh {}),
        AccessTarget::Namespace(name) => T::Namespace(text(name)),
        AccessTarget::Workloads { namespace, labels: wanted } => {
            T::Workloads(Workloads { namespace: text(namespace), labels: labels(wanted) })
        }
        AccessTarget::Service { service, port } => T::Service(ServicePort { service: text(service), port: port.map(u32::from) }),
        AccessTarget::Gateway(key) => T::Gateway(text(key)),
        AccessTarget::Listener(key) => T::Listener(text(key)),
        AccessTarget::Route(key) => T::Route(text(key)),
    };
    v1::AccessTarget { target: Some(target) }
}

pub(super) fn rule(rule: &AccessRule) -> v1::AccessRule {
    v1::AccessRule { name: text(&rule.name), clauses: rule.clauses.iter().map(clause).collect() }
}

fn clause(Clause(groups): &Clause) -> v1::AccessClause {
    v1::AccessClause { groups: groups.iter().map(group).collect() }
}

fn group(Group(terms): &Group) -> v1::AccessGroup {
    v1::AccessGroup { terms: terms.iter().map(term).collect() }
}

fn term(term: &Term) -> v1::AccessTerm {
    v1::AccessTerm { negated: term.negated, any: term.any.iter().map(one).collect() }
}

fn one(one: &AccessMatch) -> v1::AccessMatch {
    let made = match one {
        AccessMatch::Unknown => return v1::AccessMatch { r#match: None },
        AccessMatch::Identity(want) => M::Identity(identity(want)),
        AccessMatch::ServiceAccount { namespace, name } => {
            M::ServiceAccount(ServiceAccount { namespace: text(namespace), name: text(name) })
        }
        AccessMatch::Namespace(want) => M::Namespace(words(want)),
        AccessMatch::TrustDomain(domain) => M::TrustDomain(text(domain)),
        AccessMatch::PeerAddress(block) => M::PeerAddress(text(block)),
        AccessMatch::Port(port) => M::Port(u32::from(*port)),
        AccessMatch::ServerName(want) => M::ServerName(words(want)),
        AccessMatch::ClientAddress(block) => M::ClientAddress(text(block)),
        AccessMatch::Host(pattern) => M::Host(text(pattern)),
        AccessMatch::Method(method) => M::Method(method.as_str().to_owned()),
        AccessMatch::Path(want) => M::Path(path(want)),
        AccessMatch::Header { name, value } => M::Header(Header { name: text(name), value: Some(words(value)) }),
        AccessMatch::Issuer(want) => M::Issuer(words(want)),
        AccessMatch::Subject(want) => M::Subject(words(want)),
        AccessMatch::Audience(want) => M::Audience(words(want)),
        AccessMatch::Consumer(want) => M::Consumer(words(want)),
        AccessMatch::ConsumerGroup(want) => M::ConsumerGroup(words(want)),
        AccessMatch::Claim { path, value } => M::Claim(Claim { path: path.iter().map(text).collect(), value: Some(words(value)) }),
    };
    v1::AccessMatch { r#match: Some(made) }
}

fn identity(want: &IdentityMatch) -> v1::TextMatch {
    words(&match want {
        IdentityMatch::Any => TextMatch::Present,
        IdentityMatch::Exact(id) => TextMatch::Exact(id.to_string().into()),
        IdentityMatch::Prefix(text) => TextMatch::Prefix(text.clone()),
        IdentityMatch::Suffix(text) => TextMatch::Suffix(text.clone()),
    })
}

fn words(want: &TextMatch) -> v1::TextMatch {
    use v1::text_match::{Present, Text as T};
    let said = match want {
        TextMatch::Present => T::Present(Present {}),
        TextMatch::Exact(want) => T::Exact(text(want)),
        TextMatch::Prefix(want) => T::Prefix(text(want)),
        TextMatch::Suffix(want) => T::Suffix(text(want)),
        TextMatch::Contains(want) => T::Contains(text(want)),
        TextMatch::Regex(regex) => T::Regex(regex.pattern().to_owned()),
    };
    v1::TextMatch { text: Some(said) }
}

fn path(want: &AccessPath) -> Path {
    use v1::access_match::path::Path as P;
    let path = match want {
        AccessPath::Exact(path) => P::Exact(text(path)),
        AccessPath::Segments(path) => P::Segments(text(path)),
        AccessPath::Letters(path) => P::Letters(text(path)),
        AccessPath::Suffix(path) => P::Suffix(text(path)),
        AccessPath::Template(template) => P::Template(text(template)),
        AccessPath::Regex(regex) => P::Regex(regex.pattern().to_owned()),
    };
    Path { path: Some(path) }
}
