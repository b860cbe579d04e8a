//! Certificates that are shown: references to Secrets of type `kubernetes.io/tls`. Enough is checked here for a user to learn of a
//! mistake at once; whether key and certificate belong together, the proxy finds out and says.

use crate::kubernetes::{Inventory, text};
use crate::wrong::Wrong;
use base64::Engine;
use model::*;
use serde_json::Value;

/// `invalid` is the reason that the specification has for a reference that leads nowhere.
pub fn resolve(reference: &Value, from: &ObjectRef, inventory: &Inventory, invalid: &'static str) -> Result<Certificate, Wrong> {
    let (group, kind) = (text(reference, "group").unwrap_or(""), text(reference, "kind").unwrap_or("Secret"));
    let namespace = text(reference, "namespace").unwrap_or(&from.namespace);
    let name = text(reference, "name").unwrap_or("");
    if (group, kind) != ("", "Secret") {
        let wrong = Wrong::new(invalid, format!("A certificate cannot be a {kind} of group {group:?}."));
        return Err(wrong.fix("Refer to a Secret of type kubernetes.io/tls.").at(if group.is_empty() { "kind" } else { "group" }));
    }
    let target = ObjectRef::new(group, kind, namespace, name);
    if !inventory.permits(from, &target) {
        let wrong = Wrong::new("RefNotPermitted", format!("No ReferenceGrant in namespace {namespace} lets {from} refer to {target}."));
        let fix = format!("Add a ReferenceGrant to namespace {namespace}, from {} of namespace {} to Secret.", from.kind, from.namespace);
        return Err(wrong.fix(fix).at("namespace"));
    }
    let broken = |message: String| Wrong::new(invalid, message).at("name");
    let secret = inventory
        .secrets
        .get(&(namespace.into(), name.into()))
        .ok_or_else(|| broken(format!("{target} does not exist.")).fix("Create the Secret, or correct the name."))?;
    if secret.kind != "kubernetes.io/tls" {
        return Err(broken(format!("{target} is of type {}.", secret.kind)).fix("Make it type kubernetes.io/tls."));
    }
    let part = |field: &str, good: fn(&[u8]) -> bool| {
        let found = secret.get(field).filter(|bytes| good(bytes));
        found.ok_or_else(|| {
            broken(format!("{target} has no PEM in {field}.")).fix("Put the PEM there, in base64 under data or as it is under stringData.")
        })
    };
    Ok(Certificate {
        key: Key::new(Source::files(), Kind::Certificate, namespace, name),
        chain: part("tls.crt", has_certificate)?.into(),
        private_key: part("tls.key", has_private_key)?.into(),
    })
}

pub fn has_certificate(pem: &[u8]) -> bool {
    blocks(pem).is_some_and(|labels| labels.iter().any(|label| label == "CERTIFICATE"))
}

fn has_private_key(pem: &[u8]) -> bool {
    blocks(pem).is_some_and(|labels| labels.iter().any(|label| label.ends_with("PRIVATE KEY")))
}

/// Labels of the blocks of a PEM text (RFC 7468); `None` where one of them is no DER sequence of its own length.
fn blocks(pem: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(pem).ok()?;
    let mut labels = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let (label, after) = after.split_once("-----")?;
        let (body, after) = after.split_once(&format!("-----END {label}-----"))?;
        // Parameters of a curve may stand before a key and are no sequence.
        if label != "EC PARAMETERS" {
            let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
            let der = base64::engine::general_purpose::STANDARD.decode(body).ok()?;
            if sequence_len(&der)? != der.len() {
                return None;
            }
        }
        labels.push(label.to_owned());
        rest = after;
    }
    Some(labels)
}

/// The length of a DER sequence, its header included.
fn sequence_len(der: &[u8]) -> Option<usize> {
    let (0x30, first) = (*der.first()?, *der.get(1)?) else { return None };
    match first {
        0..=0x7f => Some(2 + usize::from(first)),
        0x81..=0x84 => {
            let count = usize::from(first & 0x7f);
            let bytes = der.get(2..2 + count)?;
            Some(2 + count + bytes.iter().fold(0, |sum, b| sum << 8 | usize::from(*b)))
        }
        _ => None,
    }
}
