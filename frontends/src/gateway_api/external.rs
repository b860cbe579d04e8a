//! `XBackend` (`gateway.networking.x-k8s.io`, v1alpha1): a host outside the mesh. What cannot be honoured
//! makes the whole object unusable: a host is never called with less protection than was asked for.

use super::roots::Bundle;
use super::{backend_tls, certificate, condition};
use crate::kubernetes::{Inventory, port, text};
use crate::wrong::{Within, Wrong};
use crate::{Object, Translation};
use model::backend::{ExternalName, Shown, UpstreamRoots};
use model::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

pub const GROUP: &str = "gateway.networking.x-k8s.io";

/// Hosts outside by namespace and name; a broken one with its reason.
pub type Externals = BTreeMap<(Arc<str>, Arc<str>), Result<Arc<ExternalHost>, Wrong>>;

/// With the certificates that are shown to them.
pub fn read_all(objects: &[Object], inventory: &Inventory) -> (Externals, Vec<Certificate>) {
    let (mut externals, mut certificates) = (Externals::new(), Vec::new());
    for object in objects.iter().filter(|o| o.is(GROUP, "XBackend")) {
        let read = read(object, inventory).at("spec").map(|(host, certificate)| {
            certificates.extend(certificate);
            Arc::new(host)
        });
        externals.insert((object.object.namespace.clone(), object.object.name.clone()), read);
    }
    (externals, certificates)
}

/// What is wrong with them, and their statuses.
pub fn report(objects: &[Object], externals: &Externals, out: &mut Translation) {
    for object in objects.iter().filter(|o| o.is(GROUP, "XBackend")) {
        let read = externals.get(&(object.object.namespace.clone(), object.object.name.clone()));
        let accepted = match read {
            Some(Err(wrong)) => {
                out.reports.push(wrong.report(&object.object));
                condition("Accepted", false, wrong.reason, &wrong.message)
            }
            _ => condition("Accepted", true, "Accepted", "Routes can refer to the host."),
        };
        let (conditions, parents, listeners) = (vec![accepted], Vec::new(), Vec::new());
        out.statuses.push(Status { object: object.object.clone(), conditions, parents, listeners });
    }
}

fn read(object: &Object, inventory: &Inventory) -> Result<(ExternalHost, Option<Certificate>), Wrong> {
    let spec = object.at("/spec");
    let ObjectRef { namespace, name, .. } = &object.object;
    if text(spec, "type") != Some("ExternalHostname") {
        return Err(Wrong::value("Only backends of type ExternalHostname are known.").at("type"));
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
    let number = port(object.at("/spec/port"), "port").ok_or_else(|| Wrong::value("The port is missing.").at("port").at("port"))?;
    let protocol = match text(spec, "protocol") {
        None => AppProtocol::Detect,
        Some("HTTP" | "HTTP11") => AppProtocol::Http,
        Some("HTTP2" | "H2C") => AppProtocol::Http2,
        Some("GRPC") => AppProtocol::Grpc,
        Some("TCP") => AppProtocol::Tcp,
        Some(other) => return Err(Wrong::value(format!("The protocol {other} is not supported.")).at("protocol")),
    };
    let tls = match spec.get("tls") {
        None => None,
        Some(tls) => read_tls(tls, &object.object, inventory).at("tls")?,
    };
    let (tls, certificate) = tls.map_or((None, None), |(tls, certificate)| (Some(Arc::new(tls)), certificate));
    let key = Key::new(Source::files(), Kind::External, namespace, name);
    Ok((ExternalHost { key, host: ExternalName::Dns(host), port: number, protocol, tls }, certificate))
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
