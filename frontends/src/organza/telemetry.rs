//! `TelemetryPolicy`, and Gateway API's own `XTelemetryPolicy`: which traces are recorded, which requests have a line, where both are sent. It names what other passes made and changes nothing
//! of it: each target becomes a resource of its own, so that a proxy is told of its own alone. Of two policies of one kind for one target the
//! older holds, also where it cannot be read: then it is in force as far as it redacts, and no further.

mod experimental;
mod written;

use super::settings::ROOT_NAMESPACE;
use super::{GROUP, access, consumer, issuer};
use crate::gateway_api::{backend, condition, duration, external, matches, mesh, target};
use crate::kubernetes::{Inventory, text};
use crate::wrong::{Within, Wrong};
use crate::{Object, Translation};
use model::backend::UpstreamRoots;
use model::telemetry::{Collector, CollectorProtocol, Lines, SpansTo, TelemetryPolicy, TelemetrySettings, TelemetryTarget};
use model::{HeaderMatch, Key, Kind, ObjectRef, ParentStatus, Report, Resource, Severity, Source, Status};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub const KIND: &str = "TelemetryPolicy";
const GATEWAY_API: &str = "gateway.networking.k8s.io";
/// Of all.
const WHOLE: u64 = 100_000;

pub fn translate(objects: &[Object], inventory: &Inventory, out: &mut Translation) {
    let ours = target::by_age(objects, |object| object.is(GROUP, KIND) || is_experimental(object));
    if ours.is_empty() {
        return;
    }
    let (externals, _) = external::read_all(objects, inventory);
    let claims = mesh::Claims::read(&[], inventory);
    let world = backend::World { inventory, externals: &externals, claims: &claims, meshed: false };
    let known = Known { objects, keys: &consumer::headers_of_keys(objects), world: &world };
    let mut taken = BTreeMap::new();
    for policy in ours {
        one(policy, &known, &mut taken, out);
    }
    agree(out);
}

/// Where both kinds speak of a Gateway no field is said twice, whatever their order: of tracing Gateway API's own says, as far as it does, and what is recorded of
/// heads is what either names.
fn agree(out: &mut Translation) {
    let theirs: BTreeMap<TelemetryTarget, TelemetrySettings> =
        policies(out).filter(|policy| is_theirs(policy)).map(|policy| (policy.target.clone(), policy.says.clone())).collect();
    let mut met = BTreeSet::new();
    for policy in policies(out).filter(|policy| !is_theirs(policy)) {
        let Some(says) = theirs.get(&policy.target) else { continue };
        met.insert(policy.target.clone());
        let ours = &mut Arc::make_mut(policy).says;
        ours.share = ours.share.filter(|_| says.share.is_none());
        ours.spans = ours.spans.take().filter(|_| says.spans.is_none());
        ours.request_headers = written::either(ours.request_headers.take(), says.request_headers.clone());
        ours.response_headers = written::either(ours.response_headers.take(), says.response_headers.clone());
    }
    for policy in policies(out).filter(|policy| is_theirs(policy) && met.contains(&policy.target)) {
        let says = &mut Arc::make_mut(policy).says;
        (says.request_headers, says.response_headers) = (None, None);
    }
}

fn policies(out: &mut Translation) -> impl Iterator<Item = &mut Arc<TelemetryPolicy>> {
    out.resources.iter_mut().filter_map(|resource| if let Resource::Telemetry(policy) = resource { Some(policy) } else { None })
}

fn is_theirs(policy: &TelemetryPolicy) -> bool {
    *policy.origin.object.kind == *experimental::KIND
}

fn is_experimental(object: &Object) -> bool {
    object.is(external::GROUP, experimental::KIND)
}

/// By target, and whether Gateway API's own kind took it: the two kinds stand beside each other.
type Taken = BTreeMap<(TelemetryTarget, bool), ObjectRef>;

/// What there is, and which headers bear keys of consumers.
struct Known<'k> {
    objects: &'k [Object],
    keys: &'k [String],
    world: &'k backend::World<'k>,
}

/// What a policy says, by the path below its `spec`.
struct Said {
    says: Result<TelemetrySettings, Wrong>,
    /// A reference that leads nowhere: the policy holds all the same.
    unresolved: Option<Wrong>,
    /// What of it is left out.
    notes: Vec<Wrong>,
}

impl Said {
    fn read(object: &Object, known: &Known<'_>) -> Self {
        if is_experimental(object) {
            return experimental::said(object, known.world, known.keys);
        }
        let (mut says, mut notes) = (settings(object, known.world.inventory), Vec::new());
        if access::is_refused(object) {
            // What it redacts is all that holds of it.
            says = Err(Wrong::new("Invalid", "The schema refuses it: it is in force as far as it redacts."));
        }
        if let Ok(says) = &mut says {
            notes = written::withhold(&mut says.request_headers, "requestHeaders", known.keys);
            notes.extend(written::withhold(&mut says.response_headers, "responseHeaders", known.keys));
        }
        Self { says, unresolved: None, notes: notes.into_iter().map(|note| note.at("recorded")).collect() }
    }
}

fn one(object: &Object, known: &Known<'_>, taken: &mut Taken, out: &mut Translation) {
    let Said { says: read, unresolved, notes } = Said::read(object, known);
    let told = |wrong: Wrong| Report { severity: Severity::Warning, ..wrong.at("spec").report(&object.object) };
    out.reports.extend(notes.into_iter().map(told));
    let read = read.at("spec");
    let unresolved = unresolved.map(|wrong| wrong.at("spec"));
    // What the schema refused was told then.
    if !access::is_refused(object) {
        out.reports.extend(read.as_ref().err().into_iter().chain(&unresolved).map(|wrong| wrong.report(&object.object)));
    }
    let namespace = &object.object.namespace;
    let (mut ancestors, mut own) = (Vec::new(), Vec::new());
    let refs = object.list("/spec/targetRefs");
    if refs.is_empty() && !is_experimental(object) {
        let whole = if **namespace == *ROOT_NAMESPACE { TelemetryTarget::Mesh } else { TelemetryTarget::Namespace(namespace.clone()) };
        let free = free(&whole, object, taken).map_err(|wrong| wrong.at("name").at("metadata"));
        own.push(place(object, 0, Ok(whole), free, &read, taken, out));
    }
    for (i, target) in refs.iter().enumerate() {
        let placed = |wrong: Wrong| wrong.item(i).at("targetRefs").at("spec");
        let found = find(target, object, known, out).map_err(placed);
        let free = found.as_ref().map_or(Ok(()), |found| free(found, object, taken).map_err(|wrong| placed(wrong.at("name"))));
        let accepted = place(object, i, found, free, &read, taken, out);
        let word = |field| text(target, field).unwrap_or("");
        let parent = ObjectRef::new(word("group"), word("kind"), namespace, word("name"));
        let mut conditions = vec![accepted];
        if is_experimental(object) {
            conditions.push(match &unresolved {
                Some(wrong) => condition("ResolvedRefs", false, wrong.reason, &wrong.message),
                None => condition("ResolvedRefs", true, "ResolvedRefs", "All references lead somewhere."),
            });
        }
        ancestors.push(ParentStatus { parent, section: None, port: None, conditions });
    }
    out.statuses.push(Status { object: object.object.clone(), conditions: own, parents: ancestors, listeners: Vec::new() });
}

/// Puts what it says where it is for, and tells what became of that.
fn place(
    object: &Object,
    number: usize,
    found: Result<TelemetryTarget, Wrong>,
    free: Result<(), Wrong>,
    read: &Result<TelemetrySettings, Wrong>,
    taken: &mut Taken,
    out: &mut Translation,
) -> model::Condition {
    let target = match found.and_then(|found| free.map(|()| found)) {
        Ok(target) => target,
        Err(wrong) => {
            let severity = if wrong.reason == "TargetNotFound" { Severity::Warning } else { Severity::Error };
            out.reports.push(Report { severity, ..wrong.report(&object.object) });
            return condition("Accepted", false, wrong.reason, &wrong.message);
        }
    };
    taken.insert((target.clone(), is_experimental(object)), object.object.clone());
    let (says, accepted) = match read {
        Ok(says) => (Some(says.clone()), condition("Accepted", true, "Accepted", "The policy is in force.")),
        Err(wrong) => (written::hidden(object.at("/spec/recorded")), condition("Accepted", false, "Invalid", &wrong.message)),
    };
    if let Some(says) = says {
        // Objects of two kinds may have one name, and none has a colon.
        let kind = if is_experimental(object) { "x:" } else { "" };
        let key = Key::new(Source::files(), Kind::Telemetry, &object.object.namespace, &format!("{kind}{}.{number}", object.object.name));
        out.resources.push(Resource::Telemetry(Arc::new(TelemetryPolicy { key, origin: object.origin(), target, says })));
    }
    accepted
}

fn free(target: &TelemetryTarget, object: &Object, taken: &Taken) -> Result<(), Wrong> {
    match taken.get(&(target.clone(), is_experimental(object))) {
        Some(winner) if *winner != object.object => {
            Err(Wrong::new("Conflicted", format!("{winner} is older and holds for the same target.")).fix("Merge the two."))
        }
        _ => Ok(()),
    }
}

fn find(target: &Value, object: &Object, known: &Known<'_>, out: &Translation) -> Result<TelemetryTarget, Wrong> {
    let (objects, inventory) = (known.objects, known.world.inventory);
    let namespace = &object.object.namespace;
    let (kind, name) = (text(target, "kind").unwrap_or(""), text(target, "name").unwrap_or(""));
    let missing = || Wrong::new("TargetNotFound", format!("{kind} {namespace}/{name} does not exist yet.")).at("name");
    if is_experimental(object) && (kind, text(target, "group").unwrap_or("")) != ("Gateway", GATEWAY_API) {
        return Err(Wrong::new("Invalid", format!("An {} does not attach to a {kind}.", experimental::KIND))
            .fix("Target a Gateway.")
            .at("kind"));
    }
    match kind {
        "Service" => inventory.service(namespace, name).map(|service| TelemetryTarget::Service(service.key.clone())).ok_or_else(missing),
        "Gateway" => {
            let exists = objects.iter().any(|o| o.is(GATEWAY_API, kind) && o.object.namespace == *namespace && *o.object.name == *name);
            exists.then(|| TelemetryTarget::Gateway(Key::new(Source::files(), Kind::Gateway, namespace, name))).ok_or_else(missing)
        }
        "HTTPRoute" | "GRPCRoute" => {
            let full = format!("{}.{name}", kind.to_lowercase());
            let of = |resource: &Resource| match resource {
                Resource::Route(r) if r.key.namespace == *namespace && *r.key.name == *full => Some(r.key.clone()),
                _ => None,
            };
            out.resources.iter().find_map(of).map(TelemetryTarget::Route).ok_or_else(missing)
        }
        _ => Err(Wrong::new("Invalid", format!("A {KIND} does not attach to a {kind}."))
            .fix("Target a Gateway, a route or a Service.")
            .at("kind")),
    }
}

fn settings(object: &Object, inventory: &Inventory) -> Result<TelemetrySettings, Wrong> {
    let (tracing, log) = (object.at("/spec/tracing"), object.at("/spec/accessLog"));
    let (share, always) = sampling(&tracing["sampling"]).at("sampling").at("tracing")?;
    let wide = object.list("/spec/targetRefs").iter().all(|target| text(target, "kind") == Some("Gateway"));
    let collector = |value: &Value| match (collector(value, object, inventory)?, wide) {
        // What the schema would have refused can come here where nobody checked it.
        (Some(_), false) => Err(Wrong::new("Invalid", "A collector is named for a Gateway, a namespace or the mesh.".to_owned())),
        (found, _) => Ok(found),
    };
    let wide_only = |has: bool, what: &str| match has && !wide {
        true => Err(Wrong::new("Invalid", format!("{what} is said for a Gateway, a namespace or the mesh."))),
        false => Ok(()),
    };
    let series = object.at("/spec/metrics/maxSeries").as_u64().and_then(|most| u32::try_from(most).ok());
    let dropped_labels = written::labels(object.at("/spec/metrics")).at("metrics")?;
    wide_only(series.is_some(), "maxSeries").at("metrics")?;
    wide_only(dropped_labels.is_some(), "dropLabels").at("metrics")?;
    wide_only(!log["format"].is_null() || !log["file"].is_null(), "How lines are written").at("accessLog")?;
    let recorded = object.at("/spec/recorded");
    Ok(TelemetrySettings {
        share,
        always,
        slower: time(tracing, "slowerThan").at("tracing")?,
        parents: None,
        traced: None,
        spans: collector(&tracing["otlp"]).at("otlp").at("tracing")?.map(SpansTo::Collector),
        lines: lines(log).at("accessLog")?,
        matches: written::matches(log).at("accessLog")?,
        lines_to: collector(&log["otlp"]).at("otlp").at("accessLog")?,
        format: written::format(log).at("accessLog")?,
        file: written::file(&log["file"]).at("file").at("accessLog")?,
        request_headers: written::headers(recorded, "requestHeaders").at("recorded")?,
        response_headers: written::headers(recorded, "responseHeaders").at("recorded")?,
        redactions: written::redactions(recorded).at("recorded")?,
        series,
        dropped_labels,
    })
}

fn sampling(value: &Value) -> Result<(Option<u32>, Option<Vec<HeaderMatch>>), Wrong> {
    let share = match value["percent"].as_u64() {
        Some(percent) => Some(share(percent, 100)?),
        None => fraction(&value["fraction"])?,
    };
    let always = if value["headers"].is_array() { Some(matches::headers(value)?) } else { None };
    Ok((share, always))
}

/// As shares of 100,000.
fn fraction(value: &Value) -> Result<Option<u32>, Wrong> {
    let Some(numerator) = value["numerator"].as_u64() else { return Ok(None) };
    share(numerator, value["denominator"].as_u64().unwrap_or(100)).map(Some)
}

fn share(part: u64, whole: u64) -> Result<u32, Wrong> {
    match part > whole || whole == 0 {
        true => Err(Wrong::new("Invalid", "More than all cannot be recorded.".to_owned())),
        false => Ok(u32::try_from(part.saturating_mul(WHOLE) / whole).unwrap_or(u32::MAX)),
    }
}

fn lines(value: &Value) -> Result<Option<Lines>, Wrong> {
    let slower = time(value, "slowerThan")?;
    Ok(match (text(value, "lines"), slower) {
        (None, _) => None,
        (Some("All"), _) => Some(Lines::All),
        (Some("Errors"), None) => Some(Lines::Errors),
        (Some("Errors"), Some(slower)) => Some(Lines::ErrorsAndSlower(slower)),
        (Some("None"), _) => Some(Lines::Nothing),
        (Some(word), _) => return Err(Wrong::new("Invalid", format!("{word:?} is none of All, Errors, None.")).at("lines")),
    })
}

fn time(value: &Value, field: &str) -> Result<Option<Duration>, Wrong> {
    text(value, field).map(|text| duration::read(text).at(field)).transpose()
}

fn collector(value: &Value, object: &Object, inventory: &Inventory) -> Result<Option<Collector>, Wrong> {
    let Some(endpoint) = text(value, "endpoint") else { return Ok(None) };
    let protocol = match text(value, "protocol") {
        None | Some("Grpc") => CollectorProtocol::Grpc,
        Some("HttpProtobuf") => CollectorProtocol::Http,
        Some(word) => return Err(Wrong::new("Invalid", format!("{word:?} is none of Grpc, HttpProtobuf.")).at("protocol")),
    };
    let roots = issuer::roots(value, object, inventory)?;
    if roots != UpstreamRoots::System && !endpoint.starts_with("https://") {
        return Err(Wrong::new("Invalid", "caCertificateRefs are for an endpoint with https.".to_owned()).at("caCertificateRefs"));
    }
    let read = Collector::parse(protocol, endpoint, roots);
    let wrong =
        |why| Wrong::new("Invalid", format!("{endpoint:?} {why}.")).fix("Write https://HOST:PORT, or http:// in a network of yours.");
    read.map(Some).map_err(|why| wrong(why).at("endpoint"))
}

#[cfg(test)]
mod tests;
