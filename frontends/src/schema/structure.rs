//! The structure of an object against its schema: types and bounds by a library, unknown fields and repeated list keys by us, because a library
//! for JSON Schema does not know what Kubernetes means by them.

use super::{closest, problem};
use crate::{Object, limits};
use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use model::Report;
use model::report::Step;
use serde_json::{Map, Value, json};

/// OpenAPI's dialect as JSON Schema: `nullable` becomes a type, descriptions go.
pub fn json_schema(open_api: &Value) -> Value {
    let Value::Object(map) = open_api else { return open_api.clone() };
    let mut out = Map::new();
    for (key, value) in map {
        let value = match key.as_str() {
            "description" | "default" | "example" | "nullable" | "format" => continue,
            key if key.starts_with("x-kubernetes-") => continue,
            "properties" => {
                Value::Object(value.as_object().into_iter().flatten().map(|(name, schema)| (name.clone(), json_schema(schema))).collect())
            }
            "items" | "additionalProperties" | "not" => json_schema(value),
            "anyOf" | "allOf" | "oneOf" => Value::Array(value.as_array().into_iter().flatten().map(json_schema).collect()),
            _ => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    if map.get("nullable") == Some(&Value::Bool(true))
        && let Some(kind) = out.get("type").cloned()
    {
        out.insert("type".into(), json!([kind, "null"]));
    }
    Value::Object(out)
}

pub fn violations(validator: &Validator, object: &Object) -> Vec<Report> {
    let told = validator.iter_errors(&object.value).map(|error| {
        let path = super::steps(error.instance_path().as_str());
        Report { fix: mend(error.kind()), ..problem(object, path, "Invalid", error.to_string()) }
    });
    told.collect()
}

/// What to write instead, where the schema says it.
fn mend(broken: &ValidationErrorKind) -> Option<String> {
    use ValidationErrorKind as K;
    let words = |all: &[Value]| all.iter().map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect::<Vec<_>>();
    Some(match broken {
        K::Required { property } => format!("write {}", property.as_str().unwrap_or_default()),
        K::Minimum { limit } => format!("write {limit} or more"),
        K::Maximum { limit } => format!("write {limit} or less"),
        K::MinItems { limit } => format!("write {limit} or more"),
        K::MaxItems { limit } => format!("write {limit} at most"),
        K::MinLength { limit } => format!("write {limit} characters or more"),
        K::MaxLength { limit } => format!("write {limit} characters at most"),
        K::Enum { options } => format!("write one of {}", words(options.as_array()?).join(", ")),
        _ => return None,
    })
}

/// Fields that no schema names: a typing mistake that would otherwise do nothing, silently.
pub fn unknown_fields(open_api: &Value, object: &Object) -> Vec<Report> {
    let mut found = Vec::new();
    walk(open_api, &object.value, &mut Vec::new(), &mut |schema, value, path| {
        let (Some(known), Some(fields)) = (schema.get("properties").and_then(Value::as_object), value.as_object()) else { return };
        let open =
            schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) || schema.get("additionalProperties").is_some();
        for name in fields.keys().filter(|name| !open && !known.contains_key(*name)) {
            let mut at = path.clone();
            at.push(Step::Field(name.as_str().into()));
            let mut report = problem(object, at, "UnknownField", format!("unknown field `{name}`"));
            let near = closest(name, known.keys().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
            let all = || format!("known here: {}", known.keys().cloned().collect::<Vec<_>>().join(", "));
            report.fix = near.or_else(|| (1..=limits::FIELDS_LISTED).contains(&known.len()).then(all));
            found.push(report);
        }
    });
    found
}

/// Lists that are maps by some of their fields (`x-kubernetes-list-map-keys`) must not hold one key twice; sets no value twice.
pub fn repeated_keys(open_api: &Value, object: &Object) -> Vec<Report> {
    let mut found = Vec::new();
    walk(open_api, &object.value, &mut Vec::new(), &mut |schema, value, path| {
        let Some(items) = value.as_array() else { return };
        let keys: Vec<&str> =
            schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let is_set = schema.get("x-kubernetes-list-type").and_then(Value::as_str) == Some("set");
        if keys.is_empty() && !is_set {
            return;
        }
        let identity = |item: &Value| match is_set {
            true => vec![item.clone()],
            false => keys.iter().map(|key| item.get(*key).cloned().unwrap_or(Value::Null)).collect(),
        };
        for (i, item) in items.iter().enumerate() {
            if items[..i].iter().any(|earlier| identity(earlier) == identity(item)) {
                let mut at = path.clone();
                at.push(Step::Index(i));
                let what = if is_set { "value".to_owned() } else { keys.join(", ") };
                found.push(problem(object, at, "Duplicate", format!("stands twice in this list: another item has the same {what}")));
            }
        }
    });
    found
}

/// Visits each part of a value with the schema that it stands under.
fn walk(schema: &Value, value: &Value, path: &mut Vec<Step>, visit: &mut impl FnMut(&Value, &Value, &Vec<Step>)) {
    visit(schema, value, path);
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let below = schema.pointer("/properties").and_then(|p| p.get(name)).or_else(|| schema.get("additionalProperties"));
                if let Some(below) = below {
                    path.push(Step::Field(name.as_str().into()));
                    walk(below, inner, path, visit);
                    path.pop();
                }
            }
        }
        Value::Array(items) => {
            let Some(below) = schema.get("items") else { return };
            for (i, inner) in items.iter().enumerate() {
                path.push(Step::Index(i));
                walk(below, inner, path, visit);
                path.pop();
            }
        }
        _ => {}
    }
}
