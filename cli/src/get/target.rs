//! What `organza get` is asked for: `routes`, `routes catalog shop`, `route/catalog service/web`, `services,routes`, any kind of object by its
//! Kubernetes name. Pure: words in, targets or a failure that says what exists out.

use crate::failure::{Failure, Outcome};
use wire::api::path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Proxies,
    Services,
    Routes,
    Edges,
    Calls,
    Consumers,
    Certificates,
    Objects,
}

impl Kind {
    pub fn path(self) -> &'static str {
        match self {
            Self::Proxies => path::PROXIES,
            Self::Services => path::SERVICES,
            Self::Routes => path::ROUTES,
            Self::Edges => path::EDGES,
            Self::Calls => path::CALLS,
            Self::Consumers => path::CONSUMERS,
            Self::Certificates => path::CERTIFICATES,
            Self::Objects => path::OBJECTS,
        }
    }
}

/// One kind and the names that were given with it; none: all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub kind: Kind,
    /// Of routes and objects only those of this Kubernetes kind (`GRPCRoute`).
    pub only: Option<String>,
    pub names: Vec<String>,
}

impl Target {
    fn of(kind: Kind, only: Option<&str>) -> Self {
        Self { kind, only: only.map(str::to_owned), names: Vec::new() }
    }

    /// What people call several of them.
    pub fn plural(&self) -> String {
        match (&self.only, self.kind) {
            (Some(kind), _) => plural(&kind.to_lowercase()),
            (None, Kind::Proxies) => "proxies".into(),
            (None, Kind::Services) => "services".into(),
            (None, Kind::Routes) => "routes".into(),
            (None, Kind::Edges) => "edges".into(),
            (None, Kind::Calls) => "calls".into(),
            (None, Kind::Consumers) => "consumers".into(),
            (None, Kind::Certificates) => "certificates".into(),
            (None, Kind::Objects) => "objects".into(),
        }
    }

    pub fn singular(&self) -> String {
        match (&self.only, self.kind) {
            (Some(kind), _) => kind.clone(),
            (None, Kind::Proxies) => "proxy".into(),
            (None, _) => self.plural().trim_end_matches('s').to_owned(),
        }
    }
}

/// Words of a command line as targets, in their order.
pub fn parse(words: &[String]) -> Outcome<Vec<Target>> {
    let usage = |what: String| Failure::usage(what).remedy("organza get --help shows what one would type");
    let Some(first) = words.first() else {
        return Err(Failure::usage("what to get?").remedy(EXIST));
    };
    if !first.contains('/') {
        let mut targets = Vec::new();
        for word in first.split(',').filter(|word| !word.is_empty()) {
            targets.extend(kinds(word)?);
        }
        if let Some(mixed) = words[1..].iter().find(|name| name.contains('/')) {
            return Err(usage(format!("{mixed:?} names a kind, and so does {first:?}: give one of them")));
        }
        for target in &mut targets {
            target.names = words[1..].to_vec();
        }
        return Ok(targets);
    }
    let mut targets: Vec<Target> = Vec::new();
    for word in words {
        let Some((kind, name)) = word.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty()) else {
            return Err(usage(format!("{word:?} is not KIND/NAME, as the words before it are")));
        };
        for target in kinds(kind)? {
            match targets.iter_mut().find(|known| (known.kind, &known.only) == (target.kind, &target.only)) {
                Some(known) => known.names.push(name.to_owned()),
                None => targets.push(Target { names: vec![name.to_owned()], ..target }),
            }
        }
    }
    Ok(targets)
}

const EXIST: &str =
    "one of proxies, services, routes, edges, calls, consumers, certificates, objects, or a kind of object: gateways, httproutes, …";

/// What one word means; several for `all`.
fn kinds(word: &str) -> Outcome<Vec<Target>> {
    // `httproutes.gateway.networking.k8s.io`, as kubectl writes it.
    let lower = word.to_lowercase();
    let bare = lower.split('.').next().unwrap_or_default();
    let one = |kind| Ok(vec![Target::of(kind, None)]);
    match bare {
        "all" => Ok([(Kind::Objects, Some("Gateway")), (Kind::Routes, None), (Kind::Services, None), (Kind::Proxies, None)]
            .map(|(kind, only)| Target::of(kind, only))
            .to_vec()),
        "proxies" | "proxy" => one(Kind::Proxies),
        "services" | "service" | "svc" => one(Kind::Services),
        "routes" | "route" => one(Kind::Routes),
        "edges" | "edge" => one(Kind::Edges),
        "calls" | "call" => one(Kind::Calls),
        "consumers" | "consumer" => one(Kind::Consumers),
        "certificates" | "certificate" | "certs" | "cert" => one(Kind::Certificates),
        "objects" | "object" => one(Kind::Objects),
        _ => object_kind(bare)
            .map(|kind| vec![Target::of(if kind.ends_with("Route") { Kind::Routes } else { Kind::Objects }, Some(&kind))])
            .ok_or_else(|| Failure::usage(format!("there is no kind {word:?}")).remedy(EXIST)),
    }
}

/// A kind of object by its singular, plural or short name.
fn object_kind(word: &str) -> Option<String> {
    let word = match word {
        "gtw" => "gateway",
        "gc" => "gatewayclass",
        "refgrant" => "referencegrant",
        "btlspolicy" => "backendtlspolicy",
        "ns" => "namespace",
        other => other,
    };
    let mut known = frontends::schema::kinds().into_iter().map(|(_, kind)| kind);
    known.find(|kind| kind.to_lowercase() == word || plural(&kind.to_lowercase()) == word)
}

fn plural(kind: &str) -> String {
    match kind {
        kind if kind.ends_with("ay") => format!("{kind}s"),
        kind if kind.ends_with('y') => format!("{}ies", &kind[..kind.len() - 1]),
        "gatewayparameters" => kind.to_owned(),
        kind if kind.ends_with('s') => format!("{kind}es"),
        kind => format!("{kind}s"),
    }
}

#[cfg(test)]
mod tests;
