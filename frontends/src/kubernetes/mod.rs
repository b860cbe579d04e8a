//! The first pass: what exists. Services become services and endpoints, from registered workloads and from EndpointSlices;
//! ReferenceGrants and labels of namespaces are kept for the passes that follow. Nothing here knows a route.

use crate::{Object, Options};
use model::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

mod service;
pub mod slices;
pub mod slim;

/// Namespace and name.
pub type Name = (Arc<str>, Arc<str>);

/// What later passes look references up in.
#[derive(Debug, Default)]
pub struct Inventory {
    /// By namespace and name.
    pub services: BTreeMap<Name, Service>,
    /// Services that are a name for another host. Nobody is sent there: who may write one could reach what he must not.
    pub external_names: BTreeSet<Name>,
    /// Data of ConfigMaps, as strings.
    pub config_maps: BTreeMap<Name, Value>,
    pub secrets: BTreeMap<Name, Secret>,
    pub reports: Vec<Report>,
    pub endpoints: Vec<Endpoints>,
    pub namespaces: BTreeMap<Arc<str>, Labels>,
    grants: Vec<Grant>,
}

#[derive(Debug)]
struct Grant {
    namespace: Arc<str>,
    /// Group, kind, namespace.
    from: Vec<(String, String, String)>,
    /// Group, kind, name or any.
    to: Vec<(String, String, Option<String>)>,
}

/// A Secret; its content never appears in `Debug`.
pub struct Secret {
    pub kind: String,
    data: BTreeMap<String, Vec<u8>>,
}

impl Secret {
    fn read(object: &Object) -> Self {
        use base64::Engine;
        let mut data = BTreeMap::new();
        let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text.trim()).ok();
        for (name, value) in object.at("/data").as_object().into_iter().flatten() {
            data.extend(value.as_str().and_then(decode).map(|bytes| (name.clone(), bytes)));
        }
        // What is written in the clear wins, as the API server has it.
        for (name, value) in object.at("/stringData").as_object().into_iter().flatten() {
            data.extend(value.as_str().map(|text| (name.clone(), text.as_bytes().to_vec())));
        }
        Self { kind: object.at("/type").as_str().unwrap_or("Opaque").to_owned(), data }
    }

    /// `None`: there is none, or it is no base64.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.data.get(name).map(Vec::as_slice)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Inventory {
    pub fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        self.services.get(&(namespace.into(), name.into()))
    }

    /// Labels of a namespace. Each has at least its own name, whether or not an object describes it: off Kubernetes few do.
    pub fn labels_of(&self, namespace: &str) -> Labels {
        let mut labels = self.namespaces.get(namespace).cloned().unwrap_or_default();
        labels.insert("kubernetes.io/metadata.name".into(), namespace.into());
        labels
    }

    /// Whether `from` may refer to that object; within one namespace it always may.
    pub fn permits(&self, from: &ObjectRef, to: &ObjectRef) -> bool {
        *from.namespace == *to.namespace
            || self.grants.iter().any(|grant| {
                *grant.namespace == *to.namespace
                    && grant.from.iter().any(|(g, k, n)| *g == *from.group && *k == *from.kind && *n == *from.namespace)
                    && grant
                        .to
                        .iter()
                        .any(|(g, k, n)| *g == *to.group && *k == *to.kind && n.as_ref().is_none_or(|name| **name == *to.name))
            })
    }
}

pub fn take_inventory(objects: &[Object], options: &Options<'_>) -> Inventory {
    let mut inventory = Inventory::default();
    let slices = service::by_service(objects);
    for object in objects {
        let name = || (object.object.namespace.clone(), object.object.name.clone());
        if object.is("", "Namespace") {
            let labels = labels_at(object.at("/metadata/labels"));
            inventory.namespaces.insert(object.object.name.clone(), labels);
        } else if object.is("gateway.networking.k8s.io", "ReferenceGrant") {
            inventory.grants.push(read_grant(object));
        } else if object.is("", "Service") {
            let (service, endpoints) = service::read_service(object, slices.get(&name()).map_or(&[], Vec::as_slice), options);
            if object.at("/spec/type").as_str() == Some("ExternalName") {
                inventory.external_names.insert(name());
            }
            inventory.services.insert(name(), service);
            service::check_service(object, &mut inventory);
            inventory.endpoints.push(endpoints);
        } else if object.is("", "Secret") {
            inventory.secrets.insert(name(), Secret::read(object));
        } else if object.is("", "ConfigMap") {
            inventory.config_maps.insert(name(), object.at("/data").clone());
        }
    }
    service::check_slices(objects, &mut inventory);
    inventory
}

/// A Service that no slice names, with the workloads that it selects.
pub fn answering(object: &Object, options: &Options<'_>) -> (Service, Endpoints) {
    service::read_service(object, &[], options)
}

/// Longest value of a label.
const LABEL: usize = 63;

/// What can be the value of a label.
pub fn label(text: &str) -> String {
    if text.len() <= LABEL {
        return text.to_owned();
    }
    let short: String = text.chars().take(LABEL - "-12345678".len()).collect();
    format!("{}-{:08x}", short.trim_end_matches(['-', '.']), fnv(text))
}

/// FNV-1a of 32 bits: the same in every process, for names that nobody has to guess.
pub fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

pub fn labels_at(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.as_str().into(), value.as_str()?.into()))).collect()
}

pub fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

pub fn port(value: &Value, field: &str) -> Option<u16> {
    value.get(field).and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0)
}

fn read_grant(object: &Object) -> Grant {
    let word = |v: &Value, field: &str| text(v, field).unwrap_or("").to_owned();
    Grant {
        namespace: object.object.namespace.clone(),
        from: object.list("/spec/from").iter().map(|v| (word(v, "group"), word(v, "kind"), word(v, "namespace"))).collect(),
        to: object.list("/spec/to").iter().map(|v| (word(v, "group"), word(v, "kind"), text(v, "name").map(str::to_owned))).collect(),
    }
}
