//! What proxies beside workloads take, `mtls` and `mtlsOverrides` of a `MeshConfig`. What cannot be read is Strict.

use super::{ROOT_NAMESPACE, word};
use crate::Object;
use crate::kubernetes::{Inventory, text};
use crate::wrong::{Within, Wrong};
use model::access::{Mtls, MtlsOf};
use model::{Key, Kind, Source};
use serde_json::Value;

const WORDS: [(&str, Mtls); 2] = [("Strict", Mtls::Strict), ("Permissive", Mtls::Permissive)];

pub fn read(object: &Object) -> Result<Option<Mtls>, Wrong> {
    word(object, "mtls", &WORDS)
}

/// For Services of the MeshConfig's own namespace; one that does not exist yet is meant once it does.
pub fn overrides(object: &Object, inventory: &Inventory) -> Result<Vec<MtlsOf>, Wrong> {
    let namespace = &object.object.namespace;
    let all = match object.at("/spec/mtlsOverrides") {
        Value::Null => return Ok(Vec::new()),
        Value::Array(all) if all.is_empty() || **namespace != *ROOT_NAMESPACE => all,
        Value::Array(_) => {
            let wrong = Wrong::new("Invalid", "The mesh's own MeshConfig has no Services to speak of.");
            return Err(wrong.fix("Write it into the MeshConfig of their namespace.").at("mtlsOverrides"));
        }
        odd => return Err(Wrong::new("Invalid", format!("{odd} is no list.")).at("mtlsOverrides")),
    };
    let one = |(i, value): (usize, &Value)| one(namespace, value, inventory).item(i).at("mtlsOverrides");
    let read = all.iter().enumerate().map(one).collect::<Result<Vec<_>, Wrong>>()?;
    for (i, one) in read.iter().enumerate() {
        if read[..i].iter().any(|other| (&other.service, other.port) == (&one.service, one.port)) {
            let port = one.port.map_or_else(String::new, |port| format!(", port {port},"));
            let wrong = Wrong::new("Invalid", format!("Service {}{port} stands here twice.", one.service.name));
            return Err(wrong.fix("Say it once.").item(i).at("mtlsOverrides"));
        }
    }
    Ok(read)
}

fn one(namespace: &str, value: &Value, inventory: &Inventory) -> Result<MtlsOf, Wrong> {
    let invalid = |message: String| Wrong::new("Invalid", message);
    let name =
        text(value, "service").filter(|name| !name.is_empty()).ok_or_else(|| invalid("service is missing.".to_owned()).at("service"))?;
    let mtls = WORDS.iter().find(|(word, _)| value["mtls"] == *word).map(|(_, mtls)| *mtls);
    let mtls = mtls.ok_or_else(|| invalid(format!("{} is no word of mtls.", value["mtls"])).fix("Use Strict or Permissive.").at("mtls"))?;
    let port = match &value["port"] {
        Value::Null => None,
        found => {
            let port = found.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0);
            Some(port.ok_or_else(|| invalid(format!("{found} is no port.")).at("port"))?)
        }
    };
    if let (Some(port), Some(service)) = (port, inventory.service(namespace, name))
        && service.port(port).is_none()
    {
        return Err(invalid(format!("Service {namespace}/{name} has no port {port}.")).at("port"));
    }
    Ok(MtlsOf { service: Key::new(Source::files(), Kind::Service, namespace, name), port, mtls })
}
