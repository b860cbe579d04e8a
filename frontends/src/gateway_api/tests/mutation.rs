//! Whatever stands in a field, translation survives it and keeps the model's promises: each field of each kind that the
//! conformance suite writes is replaced by values of every shape. What schemas would refuse is not refused here.

use super::conformance::{manifests, read};
use crate::{Object, Translation};
use model::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// JSON pointers of all values below, the innermost included.
fn pointers(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                pointers(inner, &at, out);
                out.push(at);
            }
        }
        Value::Array(items) => {
            for (i, inner) in items.iter().enumerate() {
                let at = format!("{at}/{i}");
                pointers(inner, &at, out);
                out.push(at);
            }
        }
        _ => {}
    }
}

fn odd_values() -> Vec<Value> {
    let long = "a".repeat(5000);
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(u64::MAX),
        json!(""),
        json!("*"),
        json!("é\r\nx: y"),
        json!(long),
        json!([]),
        json!([null]),
        json!(["x", "x"]),
        json!({}),
        json!({"x": {}}),
    ]
}

#[test]
fn any_value_in_any_field_is_survived() {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let odd = odd_values();
    let mut tried = 0;
    for path in manifests("tests").iter().chain(&manifests("tests/mesh")) {
        let mut objects = read(path);
        for i in 0..objects.len() {
            let mut all = Vec::new();
            pointers(&objects[i].value, "", &mut all);
            for pointer in all {
                // One field of one kind is tried once, whichever item of a list it stands in.
                let shape: String = pointer.split('/').map(|step| if step.parse::<u32>().is_ok() { "/#" } else { step }).collect();
                if !seen.insert(format!("{} {shape}", objects[i].object.kind)) {
                    continue;
                }
                let original = objects[i].value.pointer(&pointer).cloned().unwrap();
                for value in &odd {
                    *std::sync::Arc::make_mut(&mut objects[i].value).pointer_mut(&pointer).unwrap() = value.clone();
                    keeps_promises(&crate::tests::run(&objects), &objects[i], &pointer);
                    tried += 1;
                }
                *std::sync::Arc::make_mut(&mut objects[i].value).pointer_mut(&pointer).unwrap() = original;
            }
        }
    }
    assert!(tried > 3000, "{tried} is few");
}

fn keeps_promises(t: &Translation, changed: &Object, pointer: &str) {
    let told = || format!("{} {pointer} = {}", changed.object, changed.at(pointer));
    let mut keys = BTreeSet::new();
    for resource in &t.resources {
        assert!(keys.insert(resource.key().clone()), "{}: {} twice", told(), resource.key());
        let Resource::Route(route) = resource else { continue };
        assert!(!route.rules.is_empty() && !route.attachments.is_empty(), "{}", told());
        assert!(route.attachments.iter().all(|a| !a.hosts.is_empty()), "{}", told());
        for rule in &route.rules {
            assert!(!rule.matches.is_empty() && rule.backends.iter().all(|b| b.weight <= limits::WEIGHT), "{}", told());
        }
    }
    for report in &t.reports {
        assert!(report.message.ends_with('.') && !report.message.contains(['\n', '\r']), "{}: {report:?}", told());
        assert!(report.message.len() < 1100, "{}: a report of {} bytes", told(), report.message.len());
    }
}
