use crate::Translation;
use crate::organza::tests::are_told_and_held_closed;
use crate::tests::{object, run, service};
use model::Resource;
use model::consumer::Consumer;
use serde_json::{Value, json};
use std::sync::Arc;

const HEAD: &str = "apiVersion: organza.dev/v1alpha1\nkind: Consumer\nmetadata: {name: p, namespace: a}\nspec:\n  targetRefs: [{kind: Service, name: s}]\n";

const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn all(t: &Translation) -> Vec<&Arc<Consumer>> {
    t.resources.iter().filter_map(|r| if let Resource::Consumer(one) = r { Some(one) } else { None }).collect()
}

/// A key is demanded, and none is anybody's.
fn is_closed(t: &Translation) -> bool {
    matches!(&all(t)[..], [one] if one.required && one.keys.is_empty())
}

#[test]
fn mistakes_are_told_with_their_place_and_held_closed() {
    let keys = format!("  keys: [{{sha256: '{HASH}'}}]\n");
    let cases = [
        ("  required: false\n".to_owned(), "spec"),
        ("  keys: []\n".to_owned(), "spec.keys"),
        ("  keys: [{sha256: secret}]\n".to_owned(), "spec.keys[0].sha256"),
        ("  keys: [{key: secret}]\n".to_owned(), "spec.keys[0].key"),
        (format!("  from: []\n{keys}"), "spec.from"),
        (format!("  from: [{{type: Path}}]\n{keys}"), "spec.from[0].type"),
        (format!("  from: [{{type: Header}}]\n{keys}"), "spec.from[0]"),
        (format!("  from: [{{type: Header, header: {{name: Authorization}}}}]\n{keys}"), "spec.from[0].header.name"),
        (format!("  groups: [a/b]\n{keys}"), "spec.groups[0]"),
        (format!("  required: maybe\n{keys}"), "spec.required"),
    ];
    are_told_and_held_closed(HEAD, &keys, &cases, is_closed);
}

#[test]
fn what_no_schema_saw_knows_nobody_and_says_no_key_again() {
    let with = |more: Value| {
        let mut spec = json!({"targetRefs": [{"kind": "Service", "name": "s"}], "required": false, "keys": [{"sha256": HASH}]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        run(&[service("a", "s"), object("organza.dev/v1alpha1", "Consumer", ("a", "p"), json!({ "spec": spec }))])
    };
    assert!(!is_closed(&with(json!({}))));
    let odd = [
        json!({"keys": "secret"}),
        json!({"keys": []}),
        json!({"keys": ["secret"]}),
        json!({"keys": [{"sha256": "secret"}]}),
        json!({"keys": [{"sha256": "secret".repeat(11)[..64]}]}),
        json!({"from": [{"type": "Header", "header": {"name": "cookie"}}]}),
        json!({"from": [{"type": "Query", "query": {"name": "a b"}}]}),
        json!({"groups": ["other/gold"]}),
        json!({"passOn": "no"}),
    ];
    for more in odd {
        let t = with(more.clone());
        assert!(is_closed(&t), "{more}: {:?}", all(&t));
        assert!(t.reports.len() == 1 && !t.reports[0].message.contains("secret"), "{more}: {:?}", t.reports);
    }
}
