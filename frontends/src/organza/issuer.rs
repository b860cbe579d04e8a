//! `TokenIssuer`: whose tokens are believed. It fails closed: where its keys cannot be read its tokens are not believed, where a part of it cannot be
//! read it demands a token and believes none, and what the schema refuses is held closed in the same way.

use super::access::{find, is_refused, unread};
use super::{GROUP, condition};
use crate::gateway_api::backend_tls;
use crate::gateway_api::duration;
use crate::gateway_api::roots::Bundle;
use crate::kubernetes::{Inventory, text};
use crate::wrong::{Within, Wrong};
use crate::{Object, Translation, limits};
use model::access::AccessTarget;
use model::backend::{ExternalName, Shown, UpstreamRoots, UpstreamTls};
use model::token::{Algorithm, ClaimHeader, KeySource, KeysUrl, TokenIssuer};
use model::{Hostname, Key, Kind, ObjectRef, ParentStatus, Report, Resource, Severity, Source, Status};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

pub const KIND: &str = "TokenIssuer";

/// Fields that say how a message is read or where it goes: no claim may write them, and no key of a consumer stands there.
pub(super) const NEVER_WRITTEN: &[&str] =
    &["authorization", "connection", "content-length", "cookie", "host", "te", "trailer", "transfer-encoding", "upgrade"];

pub fn translate(objects: &[Object], inventory: &Inventory, out: &mut Translation) {
    for object in objects.iter().filter(|object| object.is(GROUP, KIND)) {
        let issuer = one(object, objects, inventory, out);
        if !issuer.targets.is_empty() {
            out.resources.push(Resource::TokenIssuer(Arc::new(issuer)));
        }
    }
}

fn one(object: &Object, objects: &[Object], inventory: &Inventory, out: &mut Translation) -> TokenIssuer {
    let is_refused = is_refused(object);
    let (targets, found) = targets(object, objects, inventory, out);
    let name = format!("{}.{}", KIND.to_lowercase(), object.object.name);
    let key = Key::new(Source::files(), Kind::TokenIssuer, &object.object.namespace, &name);
    let read = read(object, inventory).at("spec");
    let wrong = read.as_ref().err().filter(|_| !is_refused).cloned();
    let report = wrong.as_ref().map(|wrong| wrong.report(&object.object));
    let broken = is_refused || wrong.is_some();
    let closed = format!("A part of it cannot be read: a token is demanded, and none is believed. {}.", unread(object, report.as_ref()));
    out.reports.extend(report);
    let reason = wrong.as_ref().map_or("Invalid", |wrong| wrong.reason);
    let parents = found.into_iter().map(|(parent, wrong)| {
        let accepted = match wrong {
            Some(wrong) => condition("Accepted", false, wrong.reason, &wrong.message),
            None if broken => condition("Accepted", false, reason, &closed),
            None => condition("Accepted", true, "Accepted", "The issuer is in force."),
        };
        ParentStatus { conditions: vec![accepted], ..parent }
    });
    let parents: Vec<_> = parents.collect();
    out.statuses.push(Status { object: object.object.clone(), conditions: Vec::new(), parents, listeners: Vec::new() });
    let said = match read {
        Ok(said) if !broken => said,
        _ => Said { required: true, ..Said::default() },
    };
    if let KeySource::Url(KeysUrl { tls: None, .. }) = &said.keys {
        let wrong = Wrong::new("PlainKeys", "The keys are fetched without TLS: whoever stands on the way says whom to believe.");
        let report = wrong.fix("Use https.").at("uri").at("jwks").at("spec").report(&object.object);
        out.reports.push(Report { severity: Severity::Warning, ..report });
    }
    let Said { issuer, audiences, algorithms, keys, leeway, required, headers } = said;
    TokenIssuer { key, origin: object.origin(), targets, issuer, audiences, algorithms, keys, leeway, required, headers }
}

type Found = Vec<(ParentStatus, Option<Wrong>)>;

/// What is guarded, and what is said of each target.
fn targets(object: &Object, objects: &[Object], inventory: &Inventory, out: &mut Translation) -> (Vec<AccessTarget>, Found) {
    let (mut targets, mut all) = (Vec::new(), Vec::new());
    for (i, reference) in object.list("/spec/targetRefs").iter().enumerate() {
        let found = find(reference, object, objects, inventory, out).and_then(|target| match target {
            AccessTarget::Route(_) => {
                Err(Wrong::new("Invalid", "Routes may depend on what tokens say, so that no token depends on a route.")
                    .fix("Target the Gateway, or one of its listeners.")
                    .at("kind"))
            }
            target => Ok(target),
        });
        let found = found.map_err(|wrong| wrong.item(i).at("targetRefs").at("spec"));
        if let Err(wrong) = &found {
            let severity = if wrong.reason == "TargetNotFound" { Severity::Warning } else { Severity::Error };
            out.reports.push(Report { severity, ..wrong.report(&object.object) });
        }
        let word = |field: &str| text(reference, field).unwrap_or("");
        let namespace = if word("kind") == "Namespace" { "" } else { &object.object.namespace };
        let parent = ObjectRef::new(word("group"), word("kind"), namespace, word("name"));
        let section = text(reference, "sectionName").map(Arc::from);
        let parent = ParentStatus { parent, section, port: None, conditions: Vec::new() };
        match found {
            Ok(target) => {
                targets.push(target);
                all.push((parent, None));
            }
            Err(wrong) => all.push((parent, Some(wrong))),
        }
    }
    (targets, all)
}

struct Said {
    issuer: Arc<str>,
    audiences: Vec<Arc<str>>,
    algorithms: Vec<Algorithm>,
    keys: KeySource,
    leeway: Duration,
    required: bool,
    headers: Vec<ClaimHeader>,
}

impl Default for Said {
    fn default() -> Self {
        Self {
            issuer: "".into(),
            audiences: Vec::new(),
            algorithms: Vec::new(),
            keys: KeySource::None,
            leeway: Duration::ZERO,
            required: true,
            headers: Vec::new(),
        }
    }
}

fn invalid(message: impl Into<String>) -> Wrong {
    Wrong::new("Invalid", message)
}

fn read(object: &Object, inventory: &Inventory) -> Result<Said, Wrong> {
    let spec = object.at("/spec");
    let issuer = text(spec, "issuer").filter(|text| !text.is_empty()).ok_or_else(|| invalid("issuer is missing.").at("issuer"))?;
    let leeway = match text(spec, "leeway") {
        None => limits::DEFAULT_LEEWAY,
        Some(text) => duration::read(text).at("leeway")?,
    };
    if leeway > limits::LEEWAY {
        return Err(invalid(format!("A leeway of {leeway:?} is over {:?}.", limits::LEEWAY)).at("leeway"));
    }
    let required = match spec.get("required") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(required)) => *required,
        Some(odd) => return Err(invalid(format!("{odd} is neither true nor false.")).at("required")),
    };
    Ok(Said {
        issuer: issuer.into(),
        audiences: list(spec, "audiences", |value| value.as_str().map(Arc::from).ok_or_else(|| invalid(format!("{value} is no text."))))?
            .unwrap_or_default(),
        algorithms: list(spec, "algorithms", algorithm)?.unwrap_or_else(|| vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]),
        keys: keys(spec.get("jwks").unwrap_or(&Value::Null), object, inventory).at("jwks")?,
        leeway,
        required,
        headers: list(spec, "claimsToHeaders", claim_header)?.unwrap_or_default(),
    })
}

pub(super) fn list<T>(spec: &Value, field: &str, read: impl Fn(&Value) -> Result<T, Wrong>) -> Result<Option<Vec<T>>, Wrong> {
    match spec.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(all)) => all.iter().enumerate().map(|(i, one)| read(one).item(i).at(field)).collect::<Result<_, _>>().map(Some),
        Some(odd) => Err(invalid(format!("{odd} is no list.")).at(field)),
    }
}

fn algorithm(value: &Value) -> Result<Algorithm, Wrong> {
    value.as_str().and_then(Algorithm::parse).ok_or_else(|| {
        let all: Vec<&str> = Algorithm::ALL.iter().map(|one| one.as_str()).collect();
        invalid(format!("{value} is no algorithm that tokens may be signed by.")).fix(format!("Use some of {}.", all.join(", ")))
    })
}

fn claim_header(value: &Value) -> Result<ClaimHeader, Wrong> {
    let word =
        |field: &str| text(value, field).filter(|text| !text.is_empty()).ok_or_else(|| invalid(format!("{field} is missing.")).at(field));
    let name = word("header")?.to_ascii_lowercase();
    if !name.bytes().all(model::http::is_token_byte) {
        return Err(invalid(format!("{name:?} is no name of a header.")).at("header"));
    }
    if NEVER_WRITTEN.contains(&&*name) {
        return Err(invalid(format!("{name} says how a request is read or who sends it: no claim may write it.")).at("header"));
    }
    Ok(ClaimHeader { claim: word("claim")?.split('.').map(Arc::from).collect(), name: name.into() })
}

fn keys(value: &Value, object: &Object, inventory: &Inventory) -> Result<KeySource, Wrong> {
    match (text(value, "inline"), text(value, "uri")) {
        (Some(inline), None) => {
            let is_set = serde_json::from_str::<Value>(inline).is_ok_and(|set| set["keys"].as_array().is_some_and(|keys| !keys.is_empty()));
            let wrong = || invalid("This is no JWK Set: an object with a list of keys.").at("inline");
            is_set.then(|| KeySource::Inline(inline.into())).ok_or_else(wrong)
        }
        (None, Some(uri)) => url(uri, value, object, inventory).map(KeySource::Url),
        _ => Err(invalid("The keys are either inline or at a uri.").fix("Set one of inline and uri.")),
    }
}

/// `https://host[:port]/path`.
fn url(uri: &str, value: &Value, object: &Object, inventory: &Inventory) -> Result<KeysUrl, Wrong> {
    let wrong = |why: &str| invalid(format!("{uri:?} {why}")).fix("Write it as https://issuer.example/jwks.json.").at("uri");
    let (scheme, rest) = uri.split_once("://").ok_or_else(|| wrong("is no URL."))?;
    let secure = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err(wrong("is neither https nor http.")),
    };
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    if !path.bytes().all(|b| b.is_ascii_graphic() && b != b'#') || authority.contains(['@', '?', '#']) {
        return Err(wrong("is no URL that keys can be fetched from."));
    }
    let (host, port) = match authority.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']')) {
        Some((host, port)) => (host, port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(|| wrong("has no port."))?),
        None => (authority, if secure { 443 } else { 80 }),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let named = match bare.parse() {
        Ok(address) => ExternalName::Address(address),
        Err(_) => ExternalName::Dns(Hostname::parse(host).map_err(|e| wrong(&format!("has a host that {e}.")))?),
    };
    let tls = match (secure, &named) {
        (false, _) => None,
        (true, ExternalName::Address(_)) => return Err(wrong("names an address, which no certificate is looked for by.")),
        (true, ExternalName::Dns(server_name)) => {
            let (server_name, roots) = (server_name.clone(), roots(value, object, inventory)?);
            Some(Arc::new(UpstreamTls { server_name, subject_alt_names: Vec::new(), roots, shown: Shown::Nothing }))
        }
    };
    Ok(KeysUrl { host: named, port, path: path.into(), tls })
}

/// Whom a server is known by, as `caCertificateRefs` say: one's own authorities, or the system's.
pub(super) fn roots(value: &Value, object: &Object, inventory: &Inventory) -> Result<UpstreamRoots, Wrong> {
    let bundle = Bundle::read(value, &object.object, inventory, backend_tls::REASONS);
    match bundle.wrong.into_iter().next() {
        Some(wrong) => Err(wrong),
        None if bundle.pem.is_empty() => Ok(UpstreamRoots::System),
        None => Ok(UpstreamRoots::Given(bundle.pem.into())),
    }
}

#[cfg(test)]
mod tests;
