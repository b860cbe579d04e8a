//! Who may call whom, read from bytes. What a later release says and this one does not know makes nothing wider: a match may hold or not, a word is read as
//! the strictest, and what was so read is noted (`decisions/0037`).

use super::read::{Later, Read, Result, list, pieces, port, some, text, texts, wrong};
use super::{header_name, identity, key, key_of, labels, origin, pattern, v1};
use model::access::{
    AccessMatch, AccessPath, AccessPolicy, AccessRule, AccessSettings, AccessTarget, Action, Clause, DefaultAccess, Egress, Enforcement,
    ExplainDenials, Group, IdentityMatch, Mtls, MtlsOf, PathTemplate, Term, TextMatch, Tier,
};
use model::{Cidr, Key, Kind, Method, Regex, TrustDomain};
use prost::Message;
use v1::access_match::{Match as M, Path, path::Path as P};

/// Numbers of fields in `resource.proto`.
const ACCESS: u32 = 8;
const RULES: u32 = 7;

/// Where a policy, as it came, holds fields that were skipped: in which of its rules, and whether around them.
fn skipped(bytes: &[u8], m: &v1::AccessPolicy) -> (Vec<bool>, bool) {
    let framed = |length: usize| 1 + prost::encoding::encoded_len_varint(length as u64) + length;
    let Some(&whole) = pieces(bytes, ACCESS).last() else { return (Vec::new(), true) };
    let came: Vec<usize> = pieces(whole, RULES).iter().map(|rule| rule.len()).collect();
    let read: Vec<usize> = m.rules.iter().map(Message::encoded_len).collect();
    let around = |total: usize, rules: &[usize]| total.saturating_sub(rules.iter().map(|length| framed(*length)).sum());
    let beside = around(whole.len(), &came) > around(m.encoded_len(), &read);
    (came.iter().zip(&read).map(|(came, read)| came > read).collect(), beside || came.len() != read.len())
}

/// `bytes`: the resource as it came.
pub(super) fn policy(m: v1::AccessPolicy, bytes: &[u8], later: &mut Later) -> Result<AccessPolicy> {
    let key = key_of(&m.key, Kind::Access)?;
    let action = later.word(m.action, "action", Action::Deny);
    // A deny binds most at the top; an allow where it closes what it does not name.
    let strictest = if action == Action::Deny { Tier::Admin } else { Tier::Namespace };
    let tier = later.word(m.tier, "tier", strictest);
    let enforcement = later.word(m.enforcement, "enforcement", Enforcement::Enforce);
    let (of_rules, beside) = if later.has_fields { skipped(bytes, &m) } else { (Vec::new(), false) };
    let targets = list(m.targets, "targets", |m| target_or_all(m, &key, later))?;
    let mut rules = list(m.rules, "rules", rule)?;
    if beside && rules.is_empty() && action == Action::Deny {
        rules.push(AccessRule { name: "later".into(), clauses: Vec::new() });
    }
    for (at, rule) in rules.iter_mut().enumerate() {
        if beside || of_rules.get(at) == Some(&true) {
            later.note(format!("rule {} has what this release does not know: it may hold or not", rule.name));
            rule.clauses.push(Clause(vec![Group(vec![Term { negated: false, any: vec![AccessMatch::Unknown] }])]));
        }
    }
    Ok(AccessPolicy { key, origin: origin(m.origin)?, tier, action, enforcement, targets, rules })
}

pub(super) fn settings(m: v1::AccessSettings, later: &mut Later) -> Result<AccessSettings> {
    Ok(AccessSettings {
        key: key_of(&m.key, Kind::AccessSettings)?,
        origin: origin(m.origin)?,
        default_access: later.word(m.default_access, "default_access", DefaultAccess::Deny),
        egress: later.word(m.egress, "egress", Egress::Registered),
        explain_denials: later.word(m.explain_denials, "explain_denials", ExplainDenials::Never),
        mtls: if m.mtls == 0 { Mtls::Strict } else { later.word(m.mtls, "mtls", Mtls::Strict) },
        mtls_of: list(m.mtls_of, "mtls_of", |m| {
            let port = m.port.map(port).transpose().at("port")?;
            Ok(MtlsOf { service: key(&m.service).at("service")?, port, mtls: later.word(m.mtls, "mtls", Mtls::Strict) })
        })?,
    })
}

/// A target of a kind that is not known may be anything that the policy may name: its namespace, or the mesh.
pub(super) fn target_or_all(m: v1::AccessTarget, key: &Key, later: &mut Later) -> Result<AccessTarget> {
    if m.target.is_some() {
        return target(m);
    }
    later.note("has a target of a kind that this release does not know: read as all that it may be");
    Ok(if key.namespace.is_empty() { AccessTarget::Mesh } else { AccessTarget::Namespace(key.namespace.clone()) })
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

pub(super) fn rule(m: v1::AccessRule) -> Result<AccessRule> {
    Ok(AccessRule { name: text(m.name).at("name")?, clauses: list(m.clauses, "clauses", clause)? })
}

fn clause(m: v1::AccessClause) -> Result<Clause> {
    list(m.groups, "groups", |m| list(m.terms, "terms", term).map(Group)).map(Clause)
}

fn term(m: v1::AccessTerm) -> Result<Term> {
    Ok(Term { negated: m.negated, any: list(m.any, "any", one)? })
}

/// Whether a match, or what it compares with, is of a kind that this release does not know.
fn is_later(m: &v1::AccessMatch) -> bool {
    use v1::text_match::Text as T;
    let unknown = |value: Option<&v1::TextMatch>| value.is_none_or(|value| value.text.is_none());
    match &m.r#match {
        None => true,
        // Of identities these are not asked.
        Some(M::Identity(m)) => matches!(m.text, None | Some(T::Contains(_) | T::Regex(_))),
        Some(M::Namespace(m) | M::Issuer(m) | M::Subject(m) | M::Audience(m)) => unknown(Some(m)),
        Some(M::Consumer(m) | M::ConsumerGroup(m) | M::ServerName(m)) => unknown(Some(m)),
        Some(M::Header(m)) => unknown(m.value.as_ref()),
        Some(M::Claim(m)) => unknown(m.value.as_ref()),
        Some(M::Path(m)) => m.path.is_none(),
        Some(_) => false,
    }
}

fn one(m: v1::AccessMatch) -> Result<AccessMatch> {
    if is_later(&m) {
        return Ok(AccessMatch::Unknown);
    }
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
        M::ServerName(m) => AccessMatch::ServerName(words(m).at("server_name")?),
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
        M::Consumer(m) => AccessMatch::Consumer(words(m).at("consumer")?),
        M::ConsumerGroup(m) => AccessMatch::ConsumerGroup(words(m).at("consumer_group")?),
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
        TextMatch::Contains(_) | TextMatch::Regex(_) => return Err(wrong("is no match of identities")),
    })
}

fn words(m: v1::TextMatch) -> Result<TextMatch> {
    use v1::text_match::Text as T;
    Ok(match some(m.text)? {
        T::Present(_) => TextMatch::Present,
        T::Exact(want) => TextMatch::Exact(text(want).at("exact")?),
        T::Prefix(want) => TextMatch::Prefix(text(want).at("prefix")?),
        T::Suffix(want) => TextMatch::Suffix(text(want).at("suffix")?),
        T::Contains(want) => TextMatch::Contains(text(want).at("contains")?),
        T::Regex(pattern) => TextMatch::Regex(Regex::new(&pattern).map_err(wrong).at("regex")?),
    })
}

fn path(m: Path) -> Result<AccessPath> {
    Ok(match some(m.path)? {
        P::Exact(path) => AccessPath::Exact(text(path).at("exact")?),
        P::Segments(path) => AccessPath::segments(&text(path).at("segments")?),
        P::Letters(path) => AccessPath::Letters(text(path).at("letters")?),
        P::Suffix(path) => AccessPath::Suffix(text(path).at("suffix")?),
        P::Template(path) => AccessPath::Template(PathTemplate::parse(&path).map_err(wrong).at("template")?),
        P::Regex(pattern) => AccessPath::Regex(Regex::new(&pattern).map_err(wrong).at("regex")?),
    })
}
