//! The shop's configuration, as the front ends understand it: nothing in it is refused, and requests go where the files say.

use frontends::{Object, Options, Place, translate};
use model::{Change, Key, Kind, ObjectRef, RequestHead, Severity, Source};
use routing::{Caller, Entry, Table};
use serde_json::Value;
use std::path::Path;

/// Every document of a file, without the places of its fields.
fn objects(file: &Path) -> Vec<Object> {
    let text = std::fs::read_to_string(file).expect("a file of the shop");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let word = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    documents
        .into_iter()
        .map(|value| {
            let api_version = word(&value, "/apiVersion");
            let group = api_version.split_once('/').map_or("", |(group, _)| group);
            let object = ObjectRef::new(group, &word(&value, "/kind"), "default", &word(&value, "/metadata/name"));
            let place = Place { file: file.file_name().expect("a name").to_string_lossy().into(), line: 1, column: 1 };
            Object { place, ..Object::new(object, &api_version, value) }
        })
        .collect()
}

fn shop() -> Table {
    let folder = Path::new("../examples/shop");
    let all: Vec<Object> = ["gateway.yaml", "routes.yaml", "services.yaml"].iter().flat_map(|name| objects(&folder.join(name))).collect();
    assert_eq!(all.len(), 9);
    let translated = translate(&all, &Options::default());
    let bad: Vec<_> = translated.reports.iter().filter(|report| report.severity == Severity::Error).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    Table::default().apply(&translated.resources.into_iter().map(Change::Put).collect::<Vec<_>>())
}

fn head(canary: bool) -> RequestHead {
    let mut head = RequestHead::default();
    head.set_authority("catalog");
    head.set_target("/items");
    if canary {
        head.headers.push("X-Canary", b"1");
    }
    head
}

fn split(table: &Table, entry: &Entry, head: &RequestHead) -> Vec<(String, u32)> {
    let decision = table.route(entry, head, &Caller::in_namespace("default")).expect("a decision");
    decision.split().iter().map(|share| (share.label(), share.weight)).collect()
}

#[test]
fn requests_go_where_the_files_say() {
    let table = shop();
    let catalog = Entry::Service { service: Key::new(Source::files(), Kind::Service, "default", "catalog"), port: 80 };
    let v2 = "default/catalog-v2:80".to_owned();
    assert_eq!(split(&table, &catalog, &head(false)), [("default/catalog-v1:80".to_owned(), 90), (v2.clone(), 10)]);
    assert_eq!(split(&table, &catalog, &head(true)), [(v2, 1)]);
    let listener = table.listeners().next().expect("the gateway's listener");
    assert_eq!(listener.port, 8080);
    assert_eq!(split(&table, &Entry::Listener(listener.key.clone()), &head(false)), [("default/web:80".to_owned(), 1)]);
}
