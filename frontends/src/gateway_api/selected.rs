//! `XBackend` of type EndpointSelector (GEP-4894): whoever of its namespace bears some labels answers, as for a Service that nobody has to write. It is one:
//! in a cluster the Service that the control plane makes for it, so that the cluster finds the pods; elsewhere one of its own, under a name that nobody
//! can call. How it is called (protocol, TLS, sessions) is the XBackend's to say.

use super::external;
use crate::kubernetes::{self, Inventory, labels_at, text};
use crate::wrong::{Within, Wrong};
use crate::{Object, Options};
use model::traffic::TrafficPolicy;
use model::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// On a Service that was made for an XBackend: the XBackend's name.
pub const LABEL: &str = "organza.dev/backend";

pub fn is(object: &Object) -> bool {
    object.is(external::GROUP, "XBackend") && object.at("/spec/type").as_str() == Some("EndpointSelector")
}

/// What answers for an XBackend.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    pub service: Key,
    pub port: u16,
    pub protocol: AppProtocol,
    /// How endpoints outside the mesh are called, where it says so.
    pub tls: Option<Arc<UpstreamTls>>,
    /// That it keeps sessions, where it does.
    pub policy: Option<Arc<TrafficPolicy>>,
}

/// Services that were made for XBackends, by namespace and the value of their label.
pub struct Made<'o>(BTreeMap<(&'o str, &'o str), &'o Object>);

impl<'o> Made<'o> {
    pub fn among(objects: &'o [Object]) -> Self {
        let made = objects.iter().filter(|object| object.is("", "Service"));
        Self(made.filter_map(|object| Some(((&*object.object.namespace, text(object.at("/metadata/labels"), LABEL)?), object))).collect())
    }

    /// The Service of an XBackend: the one that was made, else its own.
    pub fn service_of(&self, backend: &Object) -> Key {
        let ObjectRef { namespace, name, .. } = &backend.object;
        let (label, own) = (kubernetes::label(name), format!("xbackend.{name}"));
        let made = self.0.get(&(&**namespace, label.as_str()));
        Key::new(Source::files(), Kind::Service, namespace, made.map_or(&own, |made| &made.object.name))
    }
}

/// The Service that stands for one, but for its name; `None` where the XBackend does not say enough.
pub fn spec(backend: &Object) -> Option<Value> {
    let selector = backend.at("/spec/endpointSelector/matchLabels").as_object().filter(|labels| !labels.is_empty())?;
    let number = external::number(backend)?;
    let mut port = json!({"name": "backend", "port": number, "targetPort": number, "protocol": "TCP"});
    let word = match external::protocol(backend).ok()? {
        AppProtocol::Detect => None,
        AppProtocol::Http => Some("http"),
        AppProtocol::Http2 => Some("kubernetes.io/h2c"),
        AppProtocol::Grpc => Some("grpc"),
        AppProtocol::Tcp => Some("tcp"),
        AppProtocol::Tls => Some("tls"),
        AppProtocol::Udp => return None,
    };
    if let Some(word) = word {
        port["appProtocol"] = word.into();
    }
    Some(json!({"clusterIP": "None", "selector": selector, "ports": [port]}))
}

/// Puts the Services into the inventory that nobody made, before anything else looks there.
pub fn take(objects: &[Object], options: &Options<'_>, inventory: &mut Inventory) {
    if !objects.iter().any(is) {
        return;
    }
    let made = Made::among(objects);
    for backend in objects.iter().filter(|object| is(object)) {
        let key = made.service_of(backend);
        let name = (key.namespace.clone(), key.name.clone());
        let Some(spec) = spec(backend).filter(|_| !inventory.services.contains_key(&name)) else { continue };
        let reference = ObjectRef::new("", "Service", &key.namespace, &key.name);
        let written = Object { object: reference, value: Arc::new(json!({"spec": spec})), ..backend.clone() };
        let (mut service, endpoints) = kubernetes::answering(&written, options);
        service.origin = backend.origin();
        service.hostnames.clear();
        inventory.services.insert(name, service);
        inventory.endpoints.push(endpoints);
    }
}

/// What one says, with the certificate that is shown there.
pub fn read(backend: &Object, made: &Made<'_>, inventory: &Inventory) -> Result<(Selected, Option<Certificate>), Wrong> {
    if labels_at(backend.at("/spec/endpointSelector/matchLabels")).is_empty() {
        let wrong = Wrong::value("No label says who answers.").fix("Name one or more in matchLabels.");
        return Err(wrong.at("matchLabels").at("endpointSelector"));
    }
    let port = external::number(backend).ok_or_else(external::no_port)?;
    let protocol = external::protocol(backend)?;
    let tls = external::tls(backend, inventory)?;
    let session = backend.at("/spec/sessionPersistence");
    let session = (!session.is_null()).then(|| super::session::read(session, &backend.object.to_string()).at("sessionPersistence"));
    let session = session.transpose()?.map(|session| model::session::Persistence { within: true, ..session });
    let policy = session.map(|session| {
        let (origin, session) = (Some(backend.origin()), Some(session));
        Arc::new(TrafficPolicy { origin, session, ..TrafficPolicy::default() })
    });
    let (tls, certificate) = tls.map_or((None, None), |(tls, certificate)| (Some(Arc::new(tls)), certificate));
    Ok((Selected { service: made.service_of(backend), port, protocol, tls, policy }, certificate))
}

/// Puts what they say of how they are called on their Services.
pub fn attach<'s>(all: impl Iterator<Item = &'s Selected>, inventory: &mut Inventory) {
    for Selected { service, tls, policy, .. } in all {
        let Some(service) = inventory.services.get_mut(&(service.namespace.clone(), service.name.clone())) else { continue };
        service.tls.extend(tls.clone().map(|tls| AttachedTls { port: None, tls: BackendTls::Verified(tls) }));
        service.policies.extend(policy.clone().map(|policy| AttachedPolicy { port: None, policy }));
    }
}
