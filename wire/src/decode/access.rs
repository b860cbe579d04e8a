//! Who may call whom, read from bytes. A match of a kind that this release does not know makes nothing wider: it may hold or not.

use super::read::{Read, Result, list, port, some, text, texts, word, wrong};
use super::{header_name, identity, key, key_of, labels, origin, pattern, v1};
use model::access::{
    AccessMatch, AccessPath, AccessPolicy, AccessRule, AccessSettings, AccessTarget, Clause, Group, IdentityMatch, PathTemplate, Term,
    TextMatch,
};
use model::{Cidr, Kind, Method, TrustDomain};
use v1::access_match::{Match as M, Path, path::Path as P};

pub(super) fn policy(m: v1::AccessPolicy) -> Result<AccessPolicy> {
    Ok(AccessPolicy {
        key: key_of(&m.key, Kind::Access)?,
        origin: origin(m.origin)?,
        tier: word(m.tier).at("tier")?,
        action: word(m.action).at("action")?,
        enforcement: word(m.enforcement).at("enforcement")?,
        targets: list(m.targets, "targets", target)?,
        rules: list(m.rules, "rules", rule)?,
    })
}

pub(super) fn settings(m: v1::AccessSettings) -> Result<AccessSettings> {
    Ok(AccessSettings {
        key: key_of(&m.key, Kind::AccessSettings)?,
        origin: origin(m.origin)?,
        default_access: word(m.default_access).at("default_access")?,
        egress: word(m.egress).at("egress")?,
        explain_denials: word(m.explain_denials).at("explain_denials")?,
    })
}

pub(super) fn target(m: v1::AccessTarget) -> Result<AccessTarget> {
    use v1::access_target::Target as T;
    Ok(match some(m.target)? {
        T::Mesh(_) => AccessTarget::Mesh,
        T::Namespace(name) => AccessTarget::Namespace(text(name).at("namespace")?),
        T::Workloads(m) => AccessTarget::Workloads {
            namespace: text(m.namespace).at("namespace").at("workloads")?,
            labels: labels(m.labels).at("labels").at("workloads")?,
        },
        T::Service(m) => {
            AccessTarget::Service { service: key(&m.service).at("service")?, port: m.port.map(port).transpose().at("port").at("service")? }
        }
        T::Gateway(m) => AccessTarget::Gateway(key(&m).at("gateway")?),
        T::Listener(m) => AccessTarget::Listener(key(&m).at("listener")?),
        T::Route(m) => AccessTarget::Route(key(&m).at("route")?),
    })
}

fn rule(m: v1::AccessRule) -> Result<AccessRule> {
    Ok(AccessRule { name: text(m.name).at("name")?, clauses: list(m.clauses, "clauses", clause)? })
}

fn clause(m: v1::AccessClause) -> Result<Clause> {
    list(m.groups, "groups", |m| list(m.terms, "terms", term).map(Group)).map(Clause)
}

fn term(m: v1::AccessTerm) -> Result<Term> {
    Ok(Term { negated: m.negated, any: list(m.any, "any", one)? })
}

fn one(m: v1::AccessMatch) -> Result<AccessMatch> {
    let Some(m) = m.r#match else { return Ok(AccessMatch::Unknown) };
    let block = |text: &str| Cidr::parse(text).ok_or_else(|| wrong(format!("{text:?} is no block of addresses")));
    Ok(match m {
        M::Identity(m) => AccessMatch::Identity(who(m).at("identity")?),
        M::ServiceAccount(m) => AccessMatch::ServiceAccount {
            namespace: text(m.namespace).at("namespace").at("service_account")?,
            name: text(m.name).at("name").at("service_account")?,
        },
        M::Namespace(m) => AccessMatch::Namespace(words(m).at("namespace")?),
        M::TrustDomain(m) => AccessMatch::TrustDomain(TrustDomain::parse(&m).map_err(wrong).at("trust_domain")?),
        M::PeerAddress(m) => AccessMatch::PeerAddress(block(&m).at("peer_address")?),
        M::Port(m) => AccessMatch::Port(port(m).at("port")?),
        M::ClientAddress(m) => AccessMatch::ClientAddress(block(&m).at("client_address")?),
        M::Host(m) => AccessMatch::Host(pattern(&m).at("host")?),
        M::Method(m) => AccessMatch::Method(Method::parse(&m).ok_or_else(|| wrong("is no method")).at("method")?),
        M::Path(m) => AccessMatch::Path(path(m).at("path")?),
        M::Header(m) => {
            let (name, value) = (header_name(m.name).at("name"), some(m.value).and_then(words).at("value"));
            AccessMatch::Header { name: name.at("header")?, value: value.at("header")? }
        }
        M::Issuer(m) => AccessMatch::Issuer(words(m).at("issuer")?),
        M::Subject(m) => AccessMatch::Subject(words(m).at("subject")?),
        M::Audience(m) => AccessMatch::Audience(words(m).at("audience")?),
        M::Claim(m) => {
            let (path, value) = (texts(m.path, "path"), some(m.value).and_then(words).at("value"));
            AccessMatch::Claim { path: path.at("claim")?, value: value.at("claim")? }
        }
    })
}

fn who(m: v1::TextMatch) -> Result<IdentityMatch> {
    Ok(match words(m)? {
        TextMatch::Present => IdentityMatch::Any,
        TextMatch::Exact(id) => IdentityMatch::Exact(identity(&id).at("exact")?),
        TextMatch::Prefix(text) => IdentityMatch::Prefix(text),
        TextMatch::Suffix(text) => IdentityMatch::Suffix(text),
    })
}

fn words(m: v1::TextMatch) -> Result<TextMatch> {
    use v1::text_match::Text as T;
    Ok(match some(m.text)? {
        T::Present(_) => TextMatch::Present,
        T::Exact(want) => TextMatch::Exact(text(want).at("exact")?),
        T::Prefix(want) => TextMatch::Prefix(text(want).at("prefix")?),
        T::Suffix(want) => TextMatch::Suffix(text(want).at("suffix")?),
    })
}

fn path(m: Path) -> Result<AccessPath> {
    Ok(match some(m.path)? {
        P::Exact(path) => AccessPath::Exact(text(path).at("exact")?),
        P::Segments(path) => AccessPath::segments(&text(path).at("segments")?),
        P::Letters(path) => AccessPath::Letters(text(path).at("letters")?),
        P::Suffix(path) => AccessPath::Suffix(text(path).at("suffix")?),
        P::Template(path) => AccessPath::Template(PathTemplate::parse(&path).map_err(wrong).at("template")?),
    })
}
