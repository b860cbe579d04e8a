//! Settings: `MeshConfig` for the workloads of the mesh or of one namespace, `GatewayParameters` for the gateways that refer to them. What one leaves out
//! is taken from the next wider place. They are read before gateways and routes are, and never know one.

use super::GROUP;
use crate::gateway_api::condition;
use crate::kubernetes::{Inventory, text};
use crate::wrong::{Within, Wrong};
use crate::{Object, Translation};
use model::access::{AccessSettings, DefaultAccess, Egress, ExplainDenials, Mtls, MtlsOf};
use model::{
    Cidr, Front, FrontLimits, Key, Kind, Normalisation, Origin, ProxyProtocol, Report, Resource, Severity, Source, Status, TrustedProxies,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

pub mod deployed;
mod limits;
mod mtls;
mod trusted;

/// The namespace whose `MeshConfig` holds for the whole mesh.
pub const ROOT_NAMESPACE: &str = "organza-system";
/// The one name that a `MeshConfig` may have, so that each namespace has one at most.
const MESH_CONFIG: &str = "default";
/// The reason of the warning that plaintext is let in; `organza check` looks for it.
const PLAINTEXT: &str = "Plaintext";
const PARAMETERS: &str = "GatewayParameters";
/// Gateway API's word for parameters that cannot be used.
const INVALID_PARAMETERS: &str = "InvalidParameters";

/// What one `MeshConfig` says; `None`: nothing.
#[derive(Debug, Clone, Default)]
struct Mesh {
    normalisation: Option<Normalisation>,
    default_access: Option<DefaultAccess>,
    egress: Option<Egress>,
    explain_denials: Option<ExplainDenials>,
    mtls: Option<Mtls>,
    mtls_of: Vec<MtlsOf>,
    trusted: Option<TrustedProxies>,
}

/// What one `GatewayParameters` says; `None`: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    pub normalisation: Option<Normalisation>,
    pub proxy_protocol: Option<ProxyProtocol>,
    pub trusted: Option<TrustedProxies>,
    pub limits: FrontLimits,
}

impl Parameters {
    /// These, and what `wider` says where they say nothing.
    pub fn over(self, wider: Self) -> Self {
        Self {
            normalisation: self.normalisation.or(wider.normalisation),
            proxy_protocol: self.proxy_protocol.or(wider.proxy_protocol),
            trusted: self.trusted.or(wider.trusted),
            limits: self.limits.over(wider.limits),
        }
    }

    /// What holds for each connection.
    pub fn front(&self) -> Front {
        let trusted = self.trusted.clone().unwrap_or_default();
        Front { proxy_protocol: self.proxy_protocol.clone().unwrap_or_default(), trusted, limits: self.limits }
    }
}

#[derive(Debug, Default)]
pub struct Settings {
    /// By namespace.
    mesh: BTreeMap<Arc<str>, Mesh>,
    origins: BTreeMap<Arc<str>, Origin>,
    /// By namespace and name.
    parameters: BTreeMap<(Arc<str>, Arc<str>), Result<Parameters, Wrong>>,
}

impl Settings {
    pub fn read(objects: &[Object], inventory: &Inventory, out: &mut Translation) -> Self {
        let mut settings = Self::default();
        for object in objects.iter().filter(|object| *object.object.group == *GROUP) {
            let wrong = match &*object.object.kind {
                "MeshConfig" => settings.read_mesh(object, inventory).err(),
                PARAMETERS => settings.read_parameters(object, objects, out).err(),
                _ => continue,
            };
            out.reports.extend(wrong.iter().map(|wrong| wrong.report(&object.object)));
            if *object.object.kind == *"MeshConfig" {
                settings.note_plaintext(object, out);
            }
            let accepted = match wrong {
                Some(wrong) => condition("Accepted", false, "Invalid", &wrong.message),
                None => condition("Accepted", true, "Accepted", "The settings are in force where they are meant."),
            };
            let object = object.object.clone();
            out.statuses.push(Status { object, conditions: vec![accepted], parents: Vec::new(), listeners: Vec::new() });
        }
        settings
    }

    fn read_mesh(&mut self, object: &Object, inventory: &Inventory) -> Result<(), Wrong> {
        // What the schema would have refused can come here where nobody checked it.
        if *object.object.name != *MESH_CONFIG {
            let wrong = Wrong::new("Invalid", format!("A MeshConfig named {} holds nowhere.", object.object.name));
            return Err(wrong.fix(format!("Name it {MESH_CONFIG}.")).at("name").at("metadata"));
        }
        self.origins.insert(object.object.namespace.clone(), object.origin());
        // What cannot be read of who may call is the narrowest that could have been meant, whatever is wrong with the rest.
        let (default_access, egress) = (default_access(object), egress(object));
        let overrides = mtls::overrides(object, inventory);
        let mesh = Mesh {
            normalisation: level(object).ok().flatten(),
            default_access: *default_access.as_ref().unwrap_or(&Some(DefaultAccess::Deny)),
            egress: *egress.as_ref().unwrap_or(&Some(Egress::Registered)),
            explain_denials: denials(object).unwrap_or(Some(ExplainDenials::Never)),
            // Where one of the overrides cannot be read it may have been meant to close: then nothing opens.
            mtls: if overrides.is_err() { Some(Mtls::Strict) } else { mtls::read(object).unwrap_or(Some(Mtls::Strict)) },
            mtls_of: overrides.as_ref().ok().cloned().unwrap_or_default(),
            // Whoever cannot be read is nobody.
            trusted: trusted::read(object).unwrap_or_else(|_| Some(TrustedProxies::default())),
        };
        self.mesh.insert(object.object.namespace.clone(), mesh);
        level(object).at("spec")?;
        default_access.at("spec")?;
        egress.at("spec")?;
        denials(object).at("spec")?;
        mtls::read(object).at("spec")?;
        overrides.at("spec")?;
        trusted::read(object).at("spec").map(drop)
    }

    /// Told as long as it holds, for it is meant to end.
    fn note_plaintext(&self, object: &Object, out: &mut Translation) {
        let Some(own) = self.mesh.get(&object.object.namespace) else { return };
        let field = match own.mtls {
            Some(Mtls::Permissive) => "mtls",
            _ if own.mtls_of.iter().any(|one| one.mtls == Mtls::Permissive) => "mtlsOverrides",
            _ => return,
        };
        let wrong =
            Wrong::new(PLAINTEXT, "Callers that prove no identity are let in, and can be read and changed by whoever stands on the way.");
        let report = wrong.fix("Set Strict once organza access suggest --mtls says that it cuts nobody.").at(field).at("spec");
        out.reports.push(Report { severity: Severity::Warning, ..report.report(&object.object) });
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

    /// What the gateways of a namespace take from its `MeshConfig`, and from the mesh's.
    pub fn of_gateways(&self, namespace: &str) -> Parameters {
        let of = |namespace: &str| self.mesh.get(namespace).and_then(|mesh| mesh.trusted.clone());
        let trusted = of(namespace).or_else(|| of(ROOT_NAMESPACE));
        Parameters { normalisation: Some(self.normalisation(namespace)), trusted, ..Parameters::default() }
    }

    /// What holds of access beside policies: for the mesh, and for each namespace that says something of it.
    pub fn access(&self, out: &mut Translation) {
        let root = self.mesh.get(ROOT_NAMESPACE).cloned().unwrap_or_default();
        for (namespace, own) in &self.mesh {
            let is_root = **namespace == *ROOT_NAMESPACE;
            let says = own.default_access.is_some() || own.egress.is_some() || own.explain_denials.is_some();
            let says = says || own.mtls.is_some() || !own.mtls_of.is_empty();
            let Some(origin) = self.origins.get(namespace).filter(|_| says) else { continue };
            let key = |namespace: &str| Key::new(Source::files(), Kind::AccessSettings, namespace, MESH_CONFIG);
            let settings = AccessSettings {
                key: key(if is_root { "" } else { namespace }),
                origin: origin.clone(),
                default_access: own.default_access.or(root.default_access).unwrap_or_default(),
                egress: own.egress.or(root.egress).unwrap_or_default(),
                explain_denials: own.explain_denials.or(root.explain_denials).unwrap_or_default(),
                mtls: own.mtls.or(root.mtls).unwrap_or_default(),
                mtls_of: own.mtls_of.clone(),
            };
            out.resources.push(Resource::AccessSettings(Arc::new(settings)));
        }
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
    Ok(Parameters { normalisation: level(object)?, proxy_protocol, trusted: trusted::read(object)?, limits })
}

fn proxy_protocol(value: &Value) -> Result<Option<ProxyProtocol>, Wrong> {
    let sources = value["trustedSources"].as_array().map(Vec::as_slice).unwrap_or_default();
    match (text(value, "mode"), sources) {
        (None, _) if value.is_null() => Ok(None),
        (Some("Off"), []) => Ok(Some(ProxyProtocol::Off)),
        (Some("Require"), [_, ..]) => Ok(Some(ProxyProtocol::Require(blocks(sources).at("trustedSources")?))),
        _ => {
            let wrong = Wrong::new("Invalid", "The mode is Off, or Require with the sources that are believed.");
            Err(wrong.fix("Set mode, and name the load balancers' addresses in trustedSources where it is Require."))
        }
    }
}

fn blocks(values: &[Value]) -> Result<Vec<Cidr>, Wrong> {
    let block = |(i, value): (usize, &Value)| {
        let wrong = || Wrong::new("Invalid", format!("{value} is no block of addresses.")).fix("Write it as 10.0.0.0/8 or 10.1.2.3.");
        value.as_str().and_then(Cidr::parse).ok_or_else(wrong).item(i)
    };
    values.iter().enumerate().map(block).collect()
}

fn word<T>(object: &Object, field: &str, words: &[(&str, T)]) -> Result<Option<T>, Wrong>
where
    T: Copy,
{
    let found = object.at(&format!("/spec/{field}"));
    if found.is_null() {
        return Ok(None);
    }
    let known = words.iter().find(|(word, _)| found == word).map(|(_, value)| Some(*value));
    known.ok_or_else(|| {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Wrong::new("Invalid", format!("{found} is no word of {field}.")).fix(format!("Use one of {}.", all.join(", "))).at(field)
    })
}

fn default_access(object: &Object) -> Result<Option<DefaultAccess>, Wrong> {
    let words = [("Allow", DefaultAccess::Allow), ("AllowMeshed", DefaultAccess::AllowMeshed), ("Deny", DefaultAccess::Deny)];
    word(object, "defaultAccess", &words)
}

fn egress(object: &Object) -> Result<Option<Egress>, Wrong> {
    word(object, "egress", &[("Any", Egress::Any), ("Registered", Egress::Registered)])
}

fn denials(object: &Object) -> Result<Option<ExplainDenials>, Wrong> {
    word(object, "explainDenials", &[("Never", ExplainDenials::Never), ("Meshed", ExplainDenials::Meshed)])
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
