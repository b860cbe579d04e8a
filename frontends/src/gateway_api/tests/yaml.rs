//! Objects of YAML text, for tests alone: the real reader locates fields and checks schemas.

use crate::Object;
use model::ObjectRef;
use serde_json::Value;
use std::path::PathBuf;

/// Where this front end lives.
pub fn folder() -> PathBuf {
    PathBuf::from("src/gateway_api")
}

pub fn read(text: &str) -> Vec<Object> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_else(|e| panic!("{e}"));
    documents.into_iter().filter(|value| value.is_object()).map(object).collect()
}

fn object(value: Value) -> Object {
    let word = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
    let (api_version, kind, name) = (word("/apiVersion"), word("/kind"), word("/metadata/name"));
    let cluster_wide = matches!(kind.as_str(), "Namespace" | "GatewayClass" | "ClusterAccessPolicy");
    let namespace = match word("/metadata/namespace") {
        _ if cluster_wide => String::new(),
        given if given.is_empty() => "default".to_owned(),
        given => given,
    };
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let object = ObjectRef::new(group, &kind, &namespace, &name);
    Object::new(object, &api_version, value)
}
