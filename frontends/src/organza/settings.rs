//! Settings: `MeshConfig` for the workloads of the mesh or of one namespace, `GatewayParameters` for the gateways that refer to them. What one leaves out
//! is taken from the next wider place. They are read before gateways and routes are, and never know one.

use super::GROUP;
use crate::gateway_api::condition;
use crate::kubernetes::text;
use crate::wrong::{Within, Wrong};
use crate::{Object, Translation};
use model::{Cidr, Front, FrontLimits, Normalisation, ProxyProtocol, Report, Severity, Status};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

mod limits;

/// The namespace whose `MeshConfig` holds for the whole mesh.
pub const ROOT_NAMESPACE: &str = "organza-system";
/// The one name that a `MeshConfig` may have, so that each namespace has one at most.
const MESH_CONFIG: &str = "default";
const PARAMETERS: &str = "GatewayParameters";
/// Gateway API's word for parameters that cannot be used.
const INVALID_PARAMETERS: &str = "InvalidParameters";

/// What one `MeshConfig` says; `None`: nothing.
#[derive(Debug, Clone, Copy, Default)]
struct Mesh {
    normalisation: Option<Normalisation>,
}

/// What one `GatewayParameters` says; `None`: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    pub normalisation: Option<Normalisation>,
    pub proxy_protocol: Option<ProxyProtocol>,
    pub limits: FrontLimits,
}

impl Parameters {
    /// These, and what `wider` says where they say nothing.
    pub fn over(self, wider: Self) -> Self {
        Self {
            normalisation: self.normalisation.or(wider.normalisation),
            proxy_protocol: self.proxy_protocol.or(wider.proxy_protocol),
            limits: self.limits.over(wider.limits),
        }
    }

    /// What holds for each connection.
    pub fn front(&self) -> Front {
        Front { proxy_protocol: self.proxy_protocol.clone().unwrap_or_default(), limits: self.limits }
    }
}

#[derive(Debug, Default)]
pub struct Settings {
    /// By namespace.
    mesh: BTreeMap<Arc<str>, Mesh>,
    /// By namespace and name.
    parameters: BTreeMap<(Arc<str>, Arc<str>), Result<Parameters, Wrong>>,
}

impl Settings {
    pub fn read(objects: &[Object], out: &mut Translation) -> Self {
        let mut settings = Self::default();
        for object in objects.iter().filter(|object| *object.object.group == *GROUP) {
            let wrong = match &*object.object.kind {
                "MeshConfig" => settings.read_mesh(object).err(),
                PARAMETERS => settings.read_parameters(object, objects, out).err(),
                _ => continue,
            };
            out.reports.extend(wrong.iter().map(|wrong| wrong.report(&object.object)));
            let accepted = match wrong {
                Some(wrong) => condition("Accepted", false, "Invalid", &wrong.message),
                None => condition("Accepted", true, "Accepted", "The settings are in force where they are meant."),
            };
            let object = object.object.clone();
            out.statuses.push(Status { object, conditions: vec![accepted], parents: Vec::new(), listeners: Vec::new() });
        }
        settings
    }

    fn read_mesh(&mut self, object: &Object) -> Result<(), Wrong> {
        // What the schema would have refused can come here where nobody checked it.
        if *object.object.name != *MESH_CONFIG {
            let wrong = Wrong::new("Invalid", format!("A MeshConfig named {} holds nowhere.", object.object.name));
            return Err(wrong.fix(format!("Name it {MESH_CONFIG}.")).at("name").at("metadata"));
        }
        let mesh = Mesh { normalisation: level(object).at("spec")? };
        self.mesh.insert(object.object.namespace.clone(), mesh);
        Ok(())
    }

    fn read_parameters(&mut self, object: &Object, objects: &[Object], out: &mut Translation) -> Result<(), Wrong> {
        let read = parameters(object).at("spec");
        self.parameters.insert((object.object.namespace.clone(), object.object.name.clone()), read.clone());
        if !objects.iter().any(|other| refers(other, object)) {
            let wrong = Wrong::new("NotReferenced", "No Gateway and no GatewayClass refers to these parameters, so they hold nowhere.");
            let report = wrong.fix("Name them in spec.infrastructure.parametersRef of a Gateway.").report(&object.object);
            out.reports.push(Report { severity: Severity::Warning, ..report });
        }
        read.map(drop)
    }

    /// How far paths are made regular for the workloads of a namespace.
    pub fn normalisation(&self, namespace: &str) -> Normalisation {
        let of = |namespace: &str| self.mesh.get(namespace).and_then(|mesh| mesh.normalisation);
        of(namespace).or_else(|| of(ROOT_NAMESPACE)).unwrap_or_default()
    }

    /// What a `parametersRef` leads to; `namespace` is the one of the object that refers, empty for a class, which names it itself.
    ///
    /// # Errors
    /// `InvalidParameters`. Whoever refers to parameters wants what they say (a stricter reading of paths, limits): without them nothing is served.
    pub fn parameters(&self, reference: &Value, namespace: &str) -> Result<Parameters, Wrong> {
        if reference.is_null() {
            return Ok(Parameters::default());
        }
        let wrong = |message: String| Wrong::new(INVALID_PARAMETERS, message);
        let word = |field: &str| text(reference, field).unwrap_or("");
        let (group, kind, name) = (word("group"), word("kind"), word("name"));
        if group != GROUP || kind != PARAMETERS {
            let wrong = wrong(format!("Parameters of kind {kind:?} of group {group:?} are not known."));
            return Err(wrong.fix(format!("Refer to a {PARAMETERS} of group {GROUP}.")).at("kind").at("parametersRef"));
        }
        let namespace = if namespace.is_empty() { word("namespace") } else { namespace };
        match self.parameters.get(&(namespace.into(), name.into())) {
            Some(Ok(found)) => Ok(found.clone()),
            Some(Err(broken)) => {
                Err(wrong(format!("{PARAMETERS} {namespace}/{name} cannot be used: {}", broken.message)).at("name").at("parametersRef"))
            }
            None => {
                let wrong = wrong(format!("{PARAMETERS} {namespace}/{name} does not exist."));
                Err(wrong.fix("Create it, or remove the reference.").at("name").at("parametersRef"))
            }
        }
    }
}

/// Whether a Gateway or a class refers to these parameters.
fn refers(object: &Object, parameters: &Object) -> bool {
    use crate::gateway_api::GROUP as GATEWAY_API;
    let (reference, namespace) = if object.is(GATEWAY_API, "Gateway") {
        (object.at("/spec/infrastructure/parametersRef"), &*object.object.namespace)
    } else if object.is(GATEWAY_API, "GatewayClass") {
        let reference = object.at("/spec/parametersRef");
        (reference, text(reference, "namespace").unwrap_or(""))
    } else {
        return false;
    };
    let is = |field: &str, want: &str| text(reference, field) == Some(want);
    is("group", GROUP) && is("kind", PARAMETERS) && is("name", &parameters.object.name) && *parameters.object.namespace == *namespace
}

fn parameters(object: &Object) -> Result<Parameters, Wrong> {
    let proxy_protocol = proxy_protocol(object.at("/spec/proxyProtocol")).at("proxyProtocol")?;
    let limits = limits::read(object.at("/spec/limits")).at("limits")?;
    Ok(Parameters { normalisation: level(object)?, proxy_protocol, limits })
}

fn proxy_protocol(value: &Value) -> Result<Option<ProxyProtocol>, Wrong> {
    let sources = value["trustedSources"].as_array().map(Vec::as_slice).unwrap_or_default();
    match (text(value, "mode"), sources) {
        (None, _) if value.is_null() => Ok(None),
        (Some("Off"), []) => Ok(Some(ProxyProtocol::Off)),
        (Some("Require"), [_, ..]) => {
            let block = |(i, value): (usize, &Value)| {
                let wrong =
                    || Wrong::new("Invalid", format!("{value} is no block of addresses.")).fix("Write it as 10.0.0.0/8 or 10.1.2.3.");
                value.as_str().and_then(Cidr::parse).ok_or_else(wrong).item(i).at("trustedSources")
            };
            Ok(Some(ProxyProtocol::Require(sources.iter().enumerate().map(block).collect::<Result<_, _>>()?)))
        }
        _ => {
            let wrong = Wrong::new("Invalid", "The mode is Off, or Require with the sources that are believed.");
            Err(wrong.fix("Set mode, and name the load balancers' addresses in trustedSources where it is Require."))
        }
    }
}

fn level(object: &Object) -> Result<Option<Normalisation>, Wrong> {
    let found = object.at("/spec/pathNormalization");
    Ok(Some(match found.as_str() {
        None if found.is_null() => return Ok(None),
        Some("None") => Normalisation::None,
        Some("Base") => Normalisation::Base,
        Some("MergeSlashes") => Normalisation::MergeSlashes,
        Some("DecodeSlashes") => Normalisation::DecodeSlashes,
        _ => {
            let wrong = Wrong::new("Invalid", format!("{found} is no level of normalization."));
            return Err(wrong.fix("Use None, Base, MergeSlashes or DecodeSlashes.").at("pathNormalization"));
        }
    }))
}
