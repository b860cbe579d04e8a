//! Users' objects as front ends make resources of them, for tests of what comes after. Objects are JSON values, and no schema judges them here.

use frontends::{Object, Options, translate};
use model::{ObjectRef, Report, Resource};
use serde_json::Value;

/// Resources, and what the front ends have to say.
pub fn resources(objects: Vec<Value>) -> (Vec<Resource>, Vec<Report>) {
    let objects: Vec<Object> = objects.into_iter().map(object).collect();
    let translated = translate(&objects, &Options::default());
    (translated.resources, translated.reports)
}

fn object(value: Value) -> Object {
    let word = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
    let (api_version, namespace) = (word("/apiVersion"), word("/metadata/namespace"));
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let namespace = if namespace.is_empty() { "default" } else { &namespace };
    let object = ObjectRef::new(group, &word("/kind"), namespace, &word("/metadata/name"));
    Object::new(object, &api_version, value)
}

/// A Service of files whose port `http` is wherever who joins listens: `selector` as labels in YAML (`app: items, version: v1`).
pub fn service_in_yaml(name: &str, selector: &str, protocol: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Service
metadata: {{ name: {name} }}
spec:
  selector: {{ {selector} }}
  ports: [{{ name: http, port: 80, targetPort: http, appProtocol: {protocol} }}]
"
    )
}
