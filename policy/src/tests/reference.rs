//! What policies mean, written as plainly as it can be said and as slowly: every policy, every rule, texts compared as texts. It shares no code with
//! the engine.

use super::dice::{Call, Kinds};
use model::access::*;
use model::{Cidr, HeaderBlock};
use std::net::IpAddr;
use std::sync::Arc;

/// Allowed, the policy that decided and its rule; without a policy it was the default.
pub type Said = (bool, Option<(String, Option<usize>)>);

pub fn decide(policies: &[Arc<AccessPolicy>], settings: &[Arc<AccessSettings>], call: &Call, with_dry_run: bool) -> Said {
    let own = |call: &Call| call.workload.as_ref().map_or("shop", |(namespace, ..)| namespace);
    let of = |namespace: &str| settings.iter().find(|s| *s.key.namespace == *namespace);
    let here = of(own(call)).or(of(""));
    if call.is_plaintext() && !here.is_some_and(|settings| takes_plaintext(settings, call)) {
        return (false, None);
    }
    let access = here.map_or(DefaultAccess::AllowMeshed, |s| s.default_access);
    let mut here: Vec<&AccessPolicy> = policies.iter().map(|p| &**p).collect();
    here.retain(|p| with_dry_run || p.enforcement == Enforcement::Enforce);
    here.retain(|p| p.targets.iter().any(|target| concerns(target, call)));
    here.sort_by_key(|p| p.key.clone());
    for tier in [Tier::Admin, Tier::Namespace, Tier::Baseline] {
        let of = |action: Action| here.iter().copied().filter(move |p| p.tier == tier && p.action == action);
        let holds = |action: Action, certainly: bool| {
            of(action).find_map(|p| p.rules.iter().position(|r| rule(r, call, certainly)).map(|at| Some((p.key.to_string(), Some(at)))))
        };
        let opened = call.kind == Kinds::Opened;
        if let Some(by) = holds(Action::Deny, opened) {
            return (false, by);
        }
        if let Some(by) = holds(Action::Allow, !opened) {
            return (true, by);
        }
        if tier != Tier::Admin
            && let Some(other) = of(Action::Allow).next()
        {
            return (false, Some((other.key.to_string(), None)));
        }
    }
    // Plaintext came this far only where it is let in.
    (access != DefaultAccess::Deny, None)
}

fn takes_plaintext(settings: &AccessSettings, call: &Call) -> bool {
    let Some((.., services)) = &call.workload else { return false };
    let said = |service: &model::Key, port: u16| {
        let mut said = settings.mtls;
        for exact in [false, true] {
            let here = |one: &&model::access::MtlsOf| {
                one.service == *service && one.port.is_some() == exact && one.port.is_none_or(|only| only == port)
            };
            let words: Vec<Mtls> = settings.mtls_of.iter().filter(here).map(|one| one.mtls).collect();
            if words.contains(&Mtls::Strict) {
                said = Mtls::Strict;
            } else if !words.is_empty() {
                said = Mtls::Permissive;
            }
        }
        said
    };
    let mut all = services.iter().map(|(service, port)| said(service, *port)).collect::<Vec<_>>();
    if all.is_empty() {
        all.push(settings.mtls);
    }
    !all.contains(&Mtls::Strict)
}

fn concerns(target: &AccessTarget, call: &Call) -> bool {
    let (gateway, listener, route) = &call.gateway;
    match (target, &call.workload) {
        (AccessTarget::Mesh, workload) => workload.is_some(),
        (AccessTarget::Namespace(name), Some((namespace, ..))) => **name == **namespace,
        (AccessTarget::Workloads { namespace, labels }, Some((own, has, _))) => {
            **namespace == **own && labels.iter().all(|pair| has.iter().any(|other| other == pair))
        }
        (AccessTarget::Service { service, port }, Some((.., services))) => {
            services.iter().any(|(key, number)| key == service && (port.is_none() || *port == Some(*number)))
        }
        (AccessTarget::Gateway(key), None) => key == gateway,
        (AccessTarget::Listener(key), None) => key == listener,
        (AccessTarget::Route(key), None) => Some(key) == route.as_ref(),
        _ => false,
    }
}

/// Whether it holds for certain, or possibly.
pub fn rule(rule: &AccessRule, call: &Call, certainly: bool) -> bool {
    rule.clauses.iter().all(|clause| clause.0.iter().any(|group| group.0.iter().all(|term| self::term(term, call, certainly))))
}

fn term(term: &Term, call: &Call, certainly: bool) -> bool {
    match term.negated {
        true => !term.any.iter().any(|m| one(m, call, !certainly)),
        false => term.any.iter().any(|m| one(m, call, certainly)),
    }
}

fn one(m: &AccessMatch, call: &Call, certainly: bool) -> bool {
    let peer = call.peer.as_ref().map(ToString::to_string);
    let is_about_the_peer = matches!(
        m,
        AccessMatch::Identity(_) | AccessMatch::ServiceAccount { .. } | AccessMatch::Namespace(_) | AccessMatch::TrustDomain(_)
    );
    if call.is_plaintext() && is_about_the_peer {
        return !certainly;
    }
    let part = |at: usize| peer.as_ref().map(|peer| peer.split('/').nth(at).unwrap().to_owned());
    match m {
        AccessMatch::Identity(want) => peer.is_some_and(|peer| match want {
            IdentityMatch::Any => true,
            IdentityMatch::Exact(id) => id.to_string() == peer,
            IdentityMatch::Prefix(text) => peer.starts_with(&**text),
            IdentityMatch::Suffix(text) => peer.ends_with(&**text),
        }),
        AccessMatch::ServiceAccount { namespace, name } => part(4) == Some(namespace.to_string()) && part(6) == Some(name.to_string()),
        AccessMatch::Namespace(want) => part(4).is_some_and(|namespace| says(want, &namespace)),
        AccessMatch::TrustDomain(domain) => part(2) == Some(domain.to_string()),
        AccessMatch::PeerAddress(block) => inside(block, call.address),
        AccessMatch::Port(port) => call.ports.iter().any(|p| p == port),
        AccessMatch::ServerName(want) => call.server_name.is_some_and(|name| says(want, name)),
        AccessMatch::Unknown => !certainly,
        _ if call.kind != Kinds::Request => !certainly,
        AccessMatch::ClientAddress(block) => call.client.map_or(!certainly, |client| inside(block, client)),
        AccessMatch::Host(pattern) => match pattern.to_string().as_str() {
            "*" => true,
            text => match text.strip_prefix('*') {
                Some(suffix) => call.host.ends_with(suffix) && call.host.len() > suffix.len(),
                None => text == call.host,
            },
        },
        AccessMatch::Method(method) => method.as_str() == call.method.as_str(),
        AccessMatch::Path(path) => self::path(path, call.path),
        AccessMatch::Header { name, value } => header(&call.headers, name, value, certainly),
        AccessMatch::Issuer(want) => call.token.as_ref().is_some_and(|token| says(want, &token.issuer)),
        AccessMatch::Subject(want) => call.token.as_ref().is_some_and(|token| says(want, &token.subject)),
        AccessMatch::Audience(want) => call.token.as_ref().is_some_and(|token| token.audiences.iter().any(|a| says(want, a))),
        AccessMatch::Claim { path, value } => call
            .token
            .as_ref()
            .is_some_and(|token| token.claims.iter().any(|c| c.path == *path && c.texts.iter().any(|text| says(value, text)))),
        AccessMatch::Consumer(want) => call.consumer.as_ref().is_some_and(|consumer| says(want, &consumer.name)),
        AccessMatch::ConsumerGroup(want) => call.consumer.as_ref().is_some_and(|consumer| consumer.groups.iter().any(|g| says(want, g))),
    }
}

fn says(want: &TextMatch, text: &str) -> bool {
    match want {
        TextMatch::Present => true,
        TextMatch::Exact(want) => text == &**want,
        TextMatch::Prefix(want) => text.starts_with(&**want),
        TextMatch::Suffix(want) => text.ends_with(&**want),
        TextMatch::Contains(want) => text.contains(&**want),
        TextMatch::Regex(regex) => expression(regex.pattern(), text),
    }
}

/// Of the expressions that are drawn: letters, `.*` and `[ab]`, tried at every place.
fn expression(pattern: &str, text: &str) -> bool {
    if pattern.is_empty() {
        return text.is_empty();
    }
    if let Some(rest) = pattern.strip_prefix(".*") {
        return (0..=text.len()).any(|taken| expression(rest, &text[taken..]));
    }
    let (one, rest): (&[char], &str) = match pattern.strip_prefix("[ab]") {
        Some(rest) => (&['a', 'b'], rest),
        None => (&[pattern.chars().next().unwrap()], &pattern[1..]),
    };
    text.starts_with(one) && expression(rest, &text[1..])
}

/// Bit by bit.
fn inside(block: &Cidr, address: IpAddr) -> bool {
    let bits = |address: IpAddr| match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets().iter().map(|byte| format!("{byte:08b}")).collect::<String>(),
        IpAddr::V6(v6) => v6.octets().iter().map(|byte| format!("{byte:08b}")).collect(),
    };
    let text = block.to_string();
    let (first, length) = text.split_once('/').unwrap();
    let (first, address) = (bits(first.parse().unwrap()), bits(address));
    let length: usize = length.parse().unwrap();
    first.len() == address.len() && first[..length] == address[..length]
}

fn path(want: &AccessPath, path: &str) -> bool {
    let segments = |text: &str| -> Vec<String> { text.split('/').map(str::to_owned).collect() };
    match want {
        AccessPath::Exact(text) => path == &**text,
        AccessPath::Letters(text) => path.starts_with(&**text),
        AccessPath::Suffix(text) => path.ends_with(&**text),
        AccessPath::Segments(text) if **text == *"/" => true,
        AccessPath::Segments(text) => segments(path).starts_with(&segments(text)),
        AccessPath::Regex(regex) => expression(regex.pattern(), path),
        AccessPath::Template(template) => path.starts_with('/') && holes(&segments(template.as_str())[1..], &segments(path)[1..]),
    }
}

fn holes(want: &[String], path: &[String]) -> bool {
    match (want.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((hole, rest)), _) if hole == "{**}" => (0..=path.len()).any(|taken| holes(rest, &path[taken..])),
        (Some((want, rest)), Some((is, left))) => (want == is || want.starts_with('{') && !is.is_empty()) && holes(rest, left),
        _ => false,
    }
}

fn header(headers: &HeaderBlock, name: &str, want: &TextMatch, certainly: bool) -> bool {
    let all: Vec<String> =
        headers.iter().filter(|(n, _)| n.to_lowercase() == name).map(|(_, v)| String::from_utf8_lossy(v).into_owned()).collect();
    if *want == TextMatch::Present {
        return !all.is_empty();
    }
    let certain = all.len() == 1 && says(want, &all[0]);
    let spans =
        matches!(want, TextMatch::Exact(t) | TextMatch::Prefix(t) | TextMatch::Suffix(t) | TextMatch::Contains(t) if t.contains(','));
    let spans = (spans || matches!(want, TextMatch::Regex(_))) && all.len() > 1;
    let possible = spans || all.iter().any(|v| says(want, v) || v.split(',').any(|item| says(want, item.trim())));
    if certainly { certain } else { possible }
}
