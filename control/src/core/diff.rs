//! What would be another way if other files were a mesh's, or were applied to a cluster: the next world is made of them as any other is, and nobody gets it.

use super::{Core, Ingredients};
use crate::summary;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use frontends::Object;
use frontends::kubernetes::slim;
use identity::Signer;
use model::ObjectRef;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use wire::api::Diff;

impl Core {
    /// What would be another way if these were the files' objects, or, in a cluster, were applied to it; nothing is.
    pub fn diff(&self, objects: Vec<Object>) -> Diff {
        let (registry, roots) = {
            let inner = self.lock();
            (inner.registry.clone(), inner.authority.roots())
        };
        let (before, in_cluster) = (self.world(), self.cluster().is_some());
        let from = Ingredients {
            objects: Arc::new(if in_cluster { applied(&before.objects, objects) } else { objects }),
            registry: &registry,
            trust_domain: &self.trust_domain,
            roots,
            secret: self.secret.as_ref(),
            in_cluster,
        };
        let after = before.next(from);
        let (changes, problems) =
            after.map_or_else(Default::default, |after| (summary::changes(&before, &after), summary::new_problems(&before, &after)));
        Diff { generation: before.generation, changes, problems }
    }
}

/// What a cluster has once these are applied to it: who names a part of it takes nothing away.
fn applied(there: &[Object], files: Vec<Object>) -> Vec<Object> {
    let mut named: BTreeMap<ObjectRef, Object> = files.into_iter().map(|file| (file.object.clone(), file)).collect();
    let now = |was: &Object| named.remove(&was.object).map_or_else(|| was.clone(), |file| over(was, file));
    let mut all: Vec<Object> = there.iter().map(now).collect();
    all.extend(named.into_values());
    all
}

/// A file's object with what the API server wrote into the one that is there. Defaults that a schema states are in both; of its own kinds, which have none
/// here, it fills in more (a Service's address, the ports of its nodes). Nobody's status is applied, and a schema may state a default of that too.
fn over(was: &Object, mut file: Object) -> Object {
    let is_filled_in = matches!(&*file.object.group, "" | "discovery.k8s.io");
    let mut value = Value::clone(&file.value);
    if is_filled_in {
        // What is kept of it is what is read; the rest is no difference.
        encode(&mut value);
        slim::slim(&file.object.group, &file.object.kind, &mut value);
    }
    if let Value::Object(fields) = &mut value {
        fields.remove("status");
        for (name, was) in was.value.as_object().into_iter().flatten() {
            match fields.get_mut(name) {
                Some(field) if is_filled_in || name == "metadata" => *field = merged(was, field),
                None if is_filled_in || name == "status" => drop(fields.insert(name.clone(), was.clone())),
                _ => {}
            }
        }
    }
    file.value = Arc::new(value);
    file
}

/// As the API server keeps what people write: texts of a Secret stand in base64 among its data, and win.
fn encode(value: &mut Value) {
    let Some(Value::Object(texts)) = value.as_object_mut().and_then(|object| object.remove("stringData")) else { return };
    let mut data = if let Value::Object(data) = value["data"].take() { data } else { Map::new() };
    data.extend(texts.into_iter().map(|(field, text)| (field, STANDARD.encode(text.as_str().unwrap_or_default()).into())));
    value["data"] = data.into();
}

/// The second, and what only the first has.
fn merged(was: &Value, is: &Value) -> Value {
    match (was, is) {
        (Value::Object(was), Value::Object(is)) => {
            let mut all = was.clone();
            for (name, value) in is {
                let value = was.get(name).map_or_else(|| value.clone(), |was| merged(was, value));
                all.insert(name.clone(), value);
            }
            Value::Object(all)
        }
        (Value::Array(was), Value::Array(is)) if was.len() == is.len() => was.iter().zip(is).map(|(was, is)| merged(was, is)).collect(),
        (_, is) => is.clone(),
    }
}

#[cfg(test)]
mod tests;
