//! `XBackend` (`gateway.networking.x-k8s.io`, v1alpha1): a host outside the mesh, or whoever bears some labels (`selected`). What cannot be honoured
//! makes the whole object unusable: nobody is called with less protection than was asked for.

use super::listener::Door;
use super::roots::Bundle;
use super::selected::{self, Made, Selected};
use super::{backend_tls, certificate, condition};
use crate::kubernetes::{Inventory, port, text};
use crate::wrong::{Within, Wrong};
use crate::{Object, Translation, limits};
use model::backend::{ExternalName, Shown, UpstreamRoots};
use model::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub const GROUP: &str = "gateway.networking.x-k8s.io";

/// What an XBackend is.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    Host(Arc<ExternalHost>),
    Selected(Selected),
}

/// By namespace and name; a broken one with its reason.
pub type Externals = BTreeMap<(Arc<str>, Arc<str>), Result<Found, Wrong>>;

/// With the certificates that are shown to them.
pub fn read_all(objects: &[Object], inventory: &Inventory) -> (Externals, Vec<Certificate>) {
    let (mut externals, mut certificates) = (Externals::new(), Vec::new());
    let all = || objects.iter().filter(|o| is(o));
    let made = all().any(selected::is).then(|| Made::among(objects));
    for object in all() {
        let read = match made.as_ref().filter(|_| selected::is(object)) {
            Some(made) => selected::read(object, made, inventory).map(|(found, certificate)| (Found::Selected(found), certificate)),
            None => read(object, inventory).map(|(host, certificate)| (Found::Host(Arc::new(host)), certificate)),
        };
        let read = read.at("spec").map(|(found, certificate)| {
            certificates.extend(certificate);
            found
        });
        externals.insert((object.object.namespace.clone(), object.object.name.clone()), read);
    }
    (externals, certificates)
}

/// Those that are Services here.
pub fn selected(externals: &Externals) -> impl Iterator<Item = &Selected> {
    externals.values().filter_map(|found| if let Ok(Found::Selected(selected)) = found { Some(selected) } else { None })
}

/// What is wrong with them.
pub fn report(objects: &[Object], externals: &Externals, out: &mut Translation) {
    for object in objects.iter().filter(|o| is(o)) {
        let read = externals.get(&(object.object.namespace.clone(), object.object.name.clone()));
        out.reports.extend(read.and_then(|read| read.as_ref().err()).map(|wrong| wrong.report(&object.object)));
    }
}

/// Their statuses, for each Gateway or Service that leads to one: after the routes, which say who does.
pub fn finish(objects: &[Object], externals: &Externals, doors: &[Door], out: &mut Translation) {
    if externals.is_empty() {
        return;
    }
    let led = led(objects, doors, out);
    for object in objects.iter().filter(|o| is(o)) {
        let name = (object.object.namespace.clone(), object.object.name.clone());
        let accepted = match externals.get(&name) {
            Some(Err(wrong)) => condition("Accepted", false, wrong.reason, &wrong.message),
            Some(Ok(Found::Selected(_))) => condition("Accepted", true, "Accepted", "Routes can refer to those that it selects."),
            _ => condition("Accepted", true, "Accepted", "Routes can refer to the host."),
        };
        let of =
            |parent: &ObjectRef| ParentStatus { parent: parent.clone(), section: None, port: None, conditions: vec![accepted.clone()] };
        let parents = led.get(&name).into_iter().flatten().take(limits::BACKEND_ANCESTORS).map(of).collect();
        out.statuses.push(Status { object: object.object.clone(), conditions: vec![accepted], parents, listeners: Vec::new() });
    }
}

fn is(object: &Object) -> bool {
    object.is(GROUP, "XBackend")
}

/// By namespace and name of an XBackend, a broken one too: the Gateways and Services whose routes, or filters of listeners, name it.
fn led(objects: &[Object], doors: &[Door], out: &Translation) -> BTreeMap<(Arc<str>, Arc<str>), BTreeSet<ObjectRef>> {
    let written: HashMap<&ObjectRef, &Object> = objects.iter().map(|object| (&object.object, object)).collect();
    let gateways: BTreeMap<&Key, &ObjectRef> = doors.iter().map(|door| (&door.listener.key, &door.gateway)).collect();
    let mut led: BTreeMap<_, BTreeSet<ObjectRef>> = BTreeMap::new();
    let mut note = |by: &ObjectRef, parents: &[ObjectRef]| {
        let Some(object) = written.get(by) else { return };
        for (namespace, name) in named(&object.value) {
            let namespace = namespace.map_or_else(|| by.namespace.clone(), Arc::from);
            led.entry((namespace, name.into())).or_default().extend(parents.iter().cloned());
        }
    };
    for resource in &out.resources {
        let Resource::Route(route) = resource else { continue };
        let parent = |at: &Attachment| match &at.target {
            Target::Listener(key) => gateways.get(key).map(|gateway| (*gateway).clone()),
            Target::Service { service, .. } => Some(ObjectRef::new("", "Service", &service.namespace, &service.name)),
        };
        note(&route.origin.object, &route.attachments.iter().filter_map(parent).collect::<Vec<_>>());
    }
    doors.iter().for_each(|door| note(&door.owner, std::slice::from_ref(&door.gateway)));
    led
}

/// The XBackends that an object names, wherever it does, each with the namespace if it says one.
pub fn named(value: &Value) -> Vec<(Option<&str>, &str)> {
    let mut found = Vec::new();
    let below: Vec<&Value> = match value {
        Value::Object(fields) => {
            let is_one = text(value, "kind") == Some("XBackend") && text(value, "group") == Some(GROUP);
            found.extend(text(value, "name").filter(|_| is_one).map(|name| (text(value, "namespace"), name)));
            fields.values().collect()
        }
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    found.extend(below.into_iter().flat_map(named));
    found
}

fn read(object: &Object, inventory: &Inventory) -> Result<(ExternalHost, Option<Certificate>), Wrong> {
    let ObjectRef { namespace, name, .. } = &object.object;
    if text(object.at("/spec"), "type") != Some("ExternalHostname") {
        return Err(Wrong::value("Only backends of types ExternalHostname and EndpointSelector are known.").at("type"));
    }
    if !object.at("/spec/sessionPersistence").is_null() {
        return Err(Wrong::value("A host outside has no endpoints to be led back to.").fix("Remove the field.").at("sessionPersistence"));
    }
    let written = text(object.at("/spec/externalHostname"), "hostname").unwrap_or("");
    let refuse = |message: String| Wrong::value(message).at("hostname").at("externalHostname");
    let host = Hostname::parse(written).map_err(|e| {
        refuse(format!("The host name {written:?} {e}."))
            .fix("Give a host name; for addresses use a Service without selector and an EndpointSlice.")
    })?;
    if host.as_str().ends_with(".cluster.local") {
        return Err(refuse("Names of the cluster are no external hosts.".to_owned()).fix("Refer to the Service itself."));
    }
    let port = number(object).ok_or_else(no_port)?;
    let protocol = protocol(object)?;
    let (tls, certificate) = tls(object, inventory)?.map_or((None, None), |(tls, certificate)| (Some(Arc::new(tls)), certificate));
    let key = Key::new(Source::files(), Kind::External, namespace, name);
    Ok((ExternalHost { key, host: ExternalName::Dns(host), port, protocol, tls }, certificate))
}

/// `port.number`, which was `port.port` up to v1.6.
pub fn number(object: &Object) -> Option<u16> {
    let written = object.at("/spec/port");
    port(written, "number").or_else(|| port(written, "port"))
}

pub fn no_port() -> Wrong {
    Wrong::value("The port is missing.").at("number").at("port")
}

pub fn protocol(object: &Object) -> Result<AppProtocol, Wrong> {
    match text(object.at("/spec"), "protocol") {
        None => Ok(AppProtocol::Detect),
        Some("HTTP" | "HTTP11") => Ok(AppProtocol::Http),
        // WebSocket is an upgrade of HTTP/1.1; in the clear it would be less than was asked for.
        Some("WSS") if matches!(text(object.at("/spec/tls"), "mode"), None | Some("None")) => {
            Err(Wrong::value("WSS is WebSocket by TLS.").fix("Say how TLS is spoken, in tls.").at("protocol"))
        }
        Some("WSS") => Ok(AppProtocol::Http),
        Some("HTTP2" | "H2C") => Ok(AppProtocol::Http2),
        Some("GRPC") => Ok(AppProtocol::Grpc),
        Some("TCP") => Ok(AppProtocol::Tcp),
        Some(other) => Err(Wrong::value(format!("The protocol {other} is not supported.")).at("protocol")),
    }
}

/// How TLS is spoken there, where it is, with the certificate that is shown.
pub fn tls(object: &Object, inventory: &Inventory) -> Result<Option<(UpstreamTls, Option<Certificate>)>, Wrong> {
    match object.at("/spec/tls") {
        Value::Null => Ok(None),
        written => read_tls(written, &object.object, inventory).at("tls"),
    }
}

fn read_tls(tls: &Value, from: &ObjectRef, inventory: &Inventory) -> Result<Option<(UpstreamTls, Option<Certificate>)>, Wrong> {
    let certificate = match text(tls, "mode").unwrap_or("") {
        "None" => return Ok(None),
        "ServerOnly" => None,
        "ClientAndServer" => {
            let reference = tls.get("clientCertificateRef").unwrap_or(&Value::Null);
            Some(certificate::resolve(reference, from, inventory, "InvalidClientCertificateRef").at("clientCertificateRef")?)
        }
        other => return Err(Wrong::value(format!("The mode {other:?} is not known.")).at("mode")),
    };
    let validation = tls.get("validation").unwrap_or(&Value::Null);
    let (server_name, subject_alt_names) = backend_tls::names(validation).at("validation")?;
    let roots = roots(validation, from, inventory).at("validation")?;
    let shown = certificate.as_ref().map_or(Shown::Nothing, |certificate| Shown::Own(certificate.key.clone()));
    Ok(Some((UpstreamTls { server_name, subject_alt_names, roots, shown }, certificate)))
}

fn roots(validation: &Value, from: &ObjectRef, inventory: &Inventory) -> Result<UpstreamRoots, Wrong> {
    let bundle = Bundle::read(validation, from, inventory, backend_tls::REASONS);
    match (bundle.wrong.into_iter().next(), text(validation, "wellKnownCACertificates")) {
        (Some(wrong), _) => Err(wrong),
        (None, _) if !bundle.pem.is_empty() => Ok(UpstreamRoots::Given(bundle.pem.into())),
        (None, Some("System")) => Ok(UpstreamRoots::System),
        (None, _) => Err(Wrong::value("No certificates are named to believe the host by.")
            .fix("Set wellKnownCACertificates: System, or caCertificateRefs.")),
    }
}
