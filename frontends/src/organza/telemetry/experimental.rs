//! `XTelemetryPolicy` as Gateway API has it (GEP-4768, v1alpha1 of its experimental channel): tracing of gateways, to a collector that is a Service or an
//! XBackend. It says what a `TelemetryPolicy` for the Gateway says, in its own words, and the two stand beside each other as policies of one kind.

use super::{Said, fraction, written};
use crate::gateway_api::backend;
use crate::kubernetes::{Inventory, text};
use crate::wrong::{Within, Wrong};
use crate::{Object, limits};
use model::telemetry::exporter::ATTRIBUTES;
use model::telemetry::{CollectorProtocol, Exporter, Hidden, Names, Parents, SpanValue, SpanWords, SpansTo, TelemetrySettings};
use model::{AppProtocol, Backend, RouteProtocol};
use serde_json::Value;
use std::sync::Arc;

pub const KIND: &str = "XTelemetryPolicy";
/// Of all.
const WHOLE: u32 = 100_000;
/// The port of collectors that take protobuf by HTTP; all others speak gRPC, unless their port says what it speaks.
const HTTP_PORT: u16 = 4318;

/// Fields that say how what is sent is framed.
const FRAMING: [&str; 9] =
    ["connection", "content-encoding", "content-length", "content-type", "grpc-encoding", "host", "te", "transfer-encoding", "upgrade"];

fn invalid(what: impl Into<String>) -> Wrong {
    Wrong::new("Invalid", what.into())
}

/// `keys`: headers that bear keys of consumers, in lower case.
pub fn said(object: &Object, world: &backend::World<'_>, keys: &[String]) -> Said {
    let mut said = Said { says: Ok(TelemetrySettings::default()), unresolved: None, notes: Vec::new() };
    said.says = settings(object, world, keys, &mut said.unresolved, &mut said.notes).at("tracing");
    said
}

fn settings(
    object: &Object,
    world: &backend::World<'_>,
    keys: &[String],
    unresolved: &mut Option<Wrong>,
    notes: &mut Vec<Wrong>,
) -> Result<TelemetrySettings, Wrong> {
    let tracing = object.at("/spec/tracing");
    match text(tracing, "mode").unwrap_or("ImplementationDefault") {
        "ImplementationDefault" => Ok(TelemetrySettings::default()),
        "Disabled" => {
            let (share, parents) = (Some(0), Some(Parents::Ignored));
            Ok(TelemetrySettings { traced: Some(false), share, parents, ..TelemetrySettings::default() })
        }
        "Enabled" => {
            let (words, recorded) = words(tracing, keys, notes)?;
            let provider = &tracing["provider"];
            let found = backend::resolve(&provider["backendRef"], &object.object, RouteProtocol::Tcp, world);
            let backend = found.at("backendRef").at("provider").unwrap_or_else(|wrong| {
                let broken = backend::invalid(&wrong);
                *unresolved = Some(wrong.at("tracing"));
                broken
            });
            let protocol = protocol(&backend, world.inventory);
            let headers = headers(provider).at("provider")?;
            let spans = SpansTo::Exporter(Arc::new(Exporter { backend, protocol, headers, words }));
            Ok(TelemetrySettings {
                traced: Some(true),
                share: fraction(&tracing["samplingRate"]).at("samplingRate")?,
                parents: parents(&tracing["parentBasedSampling"]).at("parentBasedSampling")?,
                spans: Some(spans),
                request_headers: recorded.clone(),
                response_headers: recorded,
                ..TelemetrySettings::default()
            })
        }
        word => Err(invalid(format!("{word:?} is none of Enabled, Disabled, ImplementationDefault.")).at("mode")),
    }
}

fn parents(value: &Value) -> Result<Option<Parents>, Wrong> {
    match text(value, "mode").unwrap_or("ImplementationDefault") {
        "ImplementationDefault" => Ok(None),
        "Disabled" => Ok(Some(Parents::Ignored)),
        "Enabled" => Ok(Some(Parents::Heeded(fraction(&value["samplingRate"]).at("samplingRate")?.unwrap_or(WHOLE)))),
        word => Err(invalid(format!("{word:?} is none of Enabled, Disabled, ImplementationDefault.")).at("mode")),
    }
}

/// OTLP is told by no field of the reference: the port says what it speaks, or its number does.
fn protocol(backend: &Backend, inventory: &Inventory) -> CollectorProtocol {
    let (speaks, number) = match backend {
        Backend::Service(to) => {
            let service = inventory.services.get(&(to.service.namespace.clone(), to.service.name.clone()));
            (service.and_then(|service| service.port(to.port)).map(|port| port.protocol), to.port)
        }
        Backend::External(host) => (Some(host.protocol), host.port),
        Backend::Invalid { .. } => (None, 0),
    };
    match (speaks, number) {
        (Some(AppProtocol::Http), _) | (_, HTTP_PORT) => CollectorProtocol::Http,
        _ => CollectorProtocol::Grpc,
    }
}

fn headers(provider: &Value) -> Result<Vec<(Arc<str>, Hidden)>, Wrong> {
    let read = |(i, field): (usize, &Value)| {
        let (name, value) = (text(field, "name").unwrap_or("").to_ascii_lowercase(), text(field, "value").unwrap_or(""));
        let is_name = !name.is_empty() && name.bytes().all(model::http::is_token_byte) && !FRAMING.contains(&&*name);
        match is_name && value.bytes().all(model::http::is_value_byte) {
            true => Ok((Arc::from(name), Hidden(value.into()))),
            false => Err(invalid(format!("{name:?} cannot go along with what is sent.")).item(i).at("headers")),
        }
    };
    provider["headers"].as_array().into_iter().flatten().enumerate().map(read).collect()
}

/// How spans are called, and the fields of heads that have to be recorded for it.
fn words(tracing: &Value, keys: &[String], notes: &mut Vec<Wrong>) -> Result<(SpanWords, Option<Names>), Wrong> {
    let (mut attributes, mut recorded) = (Vec::new(), Vec::new());
    let listed = tracing["attributes"].as_array().map_or(&[][..], Vec::as_slice);
    if listed.len() > limits::SPAN_ATTRIBUTES {
        return Err(invalid(format!("More than {} attributes are told of no span.", limits::SPAN_ATTRIBUTES)).at("attributes"));
    }
    for (i, value) in listed.iter().enumerate() {
        let placed = |wrong: Wrong| wrong.item(i).at("attributes");
        let name: Arc<str> = text(value, "name").unwrap_or("").into();
        let value = attribute(value).map_err(placed)?;
        if let SpanValue::Header(header) = &value {
            if keys.iter().any(|key| **key == **header) {
                let wrong = Wrong::new("BearsKeys", format!("{header} bears keys of a Consumer, and is not recorded.")).fix("Take it out.");
                notes.push(placed(wrong.at("headerName")).at("tracing"));
                continue;
            }
            recorded.push(header.clone());
        }
        attributes.push((name, value));
    }
    let word = |field| text(tracing, field).map(Arc::from);
    recorded.sort();
    recorded.dedup();
    if recorded.len() > limits::RECORDED_HEADERS {
        return Err(invalid(format!("More than {} fields of a head are not recorded.", limits::RECORDED_HEADERS)).at("attributes"));
    }
    let recorded = (!recorded.is_empty()).then(|| recorded.into());
    Ok((SpanWords { service: word("serviceName"), name: word("spanName"), attributes }, recorded))
}

fn attribute(value: &Value) -> Result<SpanValue, Wrong> {
    let of = |field: &'static str| text(value, field).ok_or_else(|| invalid(format!("{field} is missing.")).at(field));
    match text(value, "sourceType") {
        Some("Header") => written::header(of("headerName")?).map(SpanValue::Header).at("headerName"),
        Some("Literal") => of("literalValue").map(|text| SpanValue::Literal(text.into())),
        Some("Attribute") => {
            let key = of("attributeKey")?;
            match ATTRIBUTES.contains(&key) || key.starts_with("organza.") {
                true => Ok(SpanValue::Attribute(key.into())),
                false => {
                    let wrong = Wrong::value(format!("No span has an attribute {key}."));
                    Err(wrong.fix(format!("Those of OpenTelemetry's that spans have are {}.", ATTRIBUTES.join(", "))).at("attributeKey"))
                }
            }
        }
        other => Err(invalid(format!("{:?} is none of Header, Literal, Attribute.", other.unwrap_or(""))).at("sourceType")),
    }
}
