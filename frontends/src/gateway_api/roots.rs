//! Certificates of authorities: bundles in ConfigMaps (or Secrets) by which a peer is believed that is none of the mesh. Enough is checked here
//! for a user to learn of a mistake at once; whether a certificate can stand as a root, the proxy finds out and says.

use super::certificate::has_certificate;
use crate::kubernetes::{Inventory, text};
use crate::wrong::Wrong;
use model::ObjectRef;
use serde_json::Value;
use std::sync::Arc;

/// The reasons that the specification has for one kind of reference.
#[derive(Clone, Copy)]
pub struct Reasons {
    pub kind: &'static str,
    pub reference: &'static str,
}

/// All that can be read of `caCertificateRefs`, and what is wrong with the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bundle {
    pub pem: Vec<u8>,
    pub wrong: Vec<Wrong>,
}

impl Bundle {
    pub fn read(validation: &Value, from: &ObjectRef, inventory: &Inventory, reasons: Reasons) -> Self {
        let listed = validation.get("caCertificateRefs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut bundle = Self::default();
        for (i, reference) in listed.iter().enumerate() {
            match one(reference, from, inventory, reasons) {
                Ok(pem) => {
                    bundle.pem.extend_from_slice(pem);
                    bundle.pem.push(b'\n');
                }
                Err(wrong) => bundle.wrong.push(wrong.item(i).at("caCertificateRefs")),
            }
        }
        bundle
    }

    /// `None`: none of them can be read.
    pub fn roots(&self) -> Option<Arc<[u8]>> {
        (!self.pem.is_empty()).then(|| self.pem.as_slice().into())
    }
}

const FIELD: &str = "ca.crt";

fn one<'i>(reference: &Value, from: &ObjectRef, inventory: &'i Inventory, reasons: Reasons) -> Result<&'i [u8], Wrong> {
    let (group, kind) = (text(reference, "group").unwrap_or(""), text(reference, "kind").unwrap_or(""));
    let namespace = text(reference, "namespace").unwrap_or(&from.namespace);
    let target = ObjectRef::new(group, kind, namespace, text(reference, "name").unwrap_or(""));
    if !matches!((group, kind), ("", "ConfigMap" | "Secret")) {
        let wrong = Wrong::new(reasons.kind, format!("Certificates are not read from a {kind} of group {group:?}."));
        return Err(wrong.fix("Use a ConfigMap.").at(if group.is_empty() { "kind" } else { "group" }));
    }
    if !inventory.permits(from, &target) {
        let wrong = Wrong::new("RefNotPermitted", format!("No ReferenceGrant in namespace {namespace} lets {from} refer to {target}."));
        let fix = format!("Add a ReferenceGrant to namespace {namespace}, from {} of namespace {} to {kind}.", from.kind, from.namespace);
        return Err(wrong.fix(fix).at("namespace"));
    }
    let name = (target.namespace.clone(), target.name.clone());
    let (exists, found) = match kind {
        "Secret" => {
            let secret = inventory.secrets.get(&name);
            (secret.is_some(), secret.and_then(|secret| secret.get(FIELD)))
        }
        _ => {
            let data = inventory.config_maps.get(&name);
            (data.is_some(), data.and_then(|data| text(data, FIELD)).map(str::as_bytes))
        }
    };
    found.filter(|pem| has_certificate(pem)).ok_or_else(|| {
        let what = if exists { format!("{target} has no certificate in {FIELD}.") } else { format!("{target} does not exist.") };
        Wrong::new(reasons.reference, what).fix(format!("Put the authority's certificates there, in PEM, under {FIELD}.")).at("name")
    })
}
