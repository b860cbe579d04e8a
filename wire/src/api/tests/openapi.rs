//! `docs/openapi.json` says what the types say: every recorded answer fits its schema, field by field, and no schema has a field that no answer has.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Which schema a recorded file is of.
const RECORDED: &[(&str, &str)] = &[
    ("calls", "CallList"),
    ("certificates", "CertificateList"),
    ("consumers", "ConsumerList"),
    ("dashboard", "DashboardLink"),
    ("diff-request", "DiffRequest"),
    ("diff", "Diff"),
    ("edges", "EdgeList"),
    ("events-past", "PastEvents"),
    ("flows", "FlowList"),
    ("graph", "Graph"),
    ("history", "History"),
    ("history-long", "LongHistory"),
    ("logs", "LogList"),
    ("page", "PageFacts"),
    ("objects", "ObjectList"),
    ("problems", "ProblemList"),
    ("proxies", "ProxyList"),
    ("refused", "Refused"),
    ("registration-request", "RegistrationRequest"),
    ("registration", "Registration"),
    ("resources", "ProxyResources"),
    ("roots", "Roots"),
    ("routes", "RouteList"),
    ("services", "ServiceList"),
    ("sign-request", "SignRequest"),
    ("sign", "SignResponse"),
    ("status", "Status"),
    ("tap-query", "TapQuery"),
    ("token-request", "TokenRequest"),
    ("token", "TokenResponse"),
    ("tokens", "TokenList"),
    ("trace-query", "TraceQuery"),
    ("trace", "Trace"),
    ("traces", "TraceList"),
    ("verdicts", "VerdictList"),
    ("workloads", "WorkloadList"),
];

/// Fields that no recorded answer has, since their samples leave them out.
const LEFT_OUT: &[&str] = &["Proxy.leaving", "TapQuery.route"];

struct Described {
    schemas: Map<String, Value>,
    /// `Schema.field`, as answers had them.
    seen: BTreeSet<String>,
}

impl Described {
    /// Why a value is not of a schema; the place first.
    fn differs(&mut self, place: &str, schema: &Value, value: &Value) -> Option<String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.trim_start_matches("#/components/schemas/").to_owned();
            let Some(schema) = self.schemas.get(&name).cloned() else { return Some(format!("{place}: there is no schema {name}")) };
            return self.differs(&name, &schema, value);
        }
        if let Some(all) = schema["allOf"].as_array() {
            return all.iter().find_map(|one| self.differs(place, one, value));
        }
        for several in ["anyOf", "oneOf"] {
            if let Some(any) = schema[several].as_array() {
                let all: Vec<_> = any.iter().map(|one| self.differs(place, one, value)).collect();
                return if all.iter().any(Option::is_none) { None } else { Some(format!("{all:?}")) };
            }
        }
        let wrong = |what: &str| Some(format!("{place}: {value} is not {what}"));
        if schema.get("const").is_some_and(|one| one != value) || schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
            return wrong("what it may be");
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let is = |kind: &&str| match *kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64(),
            "number" => value.is_number(),
            "null" => value.is_null(),
            _ => false,
        };
        if !types.is_empty() && !types.iter().any(is) {
            return wrong(&types.join(" or "));
        }
        match value {
            Value::Array(items) => items.iter().find_map(|item| self.differs(place, &schema["items"], item)),
            Value::Object(fields) => self.fields(place, schema, fields),
            _ => None,
        }
    }

    fn fields(&mut self, place: &str, schema: &Value, fields: &Map<String, Value>) -> Option<String> {
        let known = schema["properties"].as_object();
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        if let Some(missing) = required.into_iter().find(|name| !fields.contains_key(*name)) {
            return Some(format!("{place} has no {missing}"));
        }
        for (name, value) in fields {
            let below = match known.and_then(|known| known.get(name)) {
                Some(below) => below,
                None if known.is_none() || schema.get("additionalProperties").is_some() => &schema["additionalProperties"],
                None => return Some(format!("{place}.{name} is not described")),
            };
            self.seen.insert(format!("{place}.{name}"));
            if let Some(why) = self.differs(&format!("{place}.{name}"), below, value) {
                return Some(why);
            }
        }
        None
    }
}

fn json(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"))).expect("JSON")
}

#[test]
fn answers_are_as_the_open_api_document_describes_them_and_it_describes_nothing_else() {
    let document = json("../docs/openapi.json");
    let schemas = document["components"]["schemas"].as_object().expect("schemas").clone();
    let mut described = Described { schemas: schemas.clone(), seen: BTreeSet::new() };
    for entry in std::fs::read_dir("testdata/api").expect("recorded answers") {
        let path = entry.expect("a file").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let known = RECORDED.iter().find(|(file, _)| *file == name).map(|(_, schema)| *schema);
        let schema = known.unwrap_or_else(|| if name.starts_with("event-") { "Event" } else { panic!("which schema is {name} of?") });
        let reference = serde_json::json!({"$ref": format!("#/components/schemas/{schema}")});
        let why = described.differs("", &reference, &json(&path.to_string_lossy()));
        assert_eq!(why, None, "{name}");
    }
    let mut fields: BTreeSet<String> = BTreeSet::new();
    for (name, schema) in &schemas {
        let several = schema["oneOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
        fields.extend(
            several
                .iter()
                .flat_map(|one| one["properties"].as_object().cloned().unwrap_or_default())
                .map(|(field, _)| format!("{name}.{field}")),
        );
    }
    let unseen: Vec<_> = fields.difference(&described.seen).filter(|field| !LEFT_OUT.contains(&field.as_str())).collect();
    assert!(unseen.is_empty(), "no answer has {unseen:?}");
}

#[test]
fn every_path_of_the_api_is_in_the_open_api_document() {
    let document = json("../docs/openapi.json");
    let source = std::fs::read_to_string("src/api.rs").expect("the paths");
    let paths: Vec<&str> = source.lines().filter_map(|line| line.split_once("&str = \"")?.1.strip_suffix("\";")).collect();
    assert!(paths.len() > 15, "{paths:?}");
    for path in paths {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
}
