//! Every manifest of the conformance suite is translated: nothing panics, every object of ours gets a status, and the conditions
//! are the ones that the suite expects (`testdata/conformance.txt`).

use super::yaml::{self, folder};
use crate::{Object, Translation};
use model::{Condition, ConditionStatus, Status};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn suite() -> PathBuf {
    folder().join("../../../third_party/gateway-api/conformance")
}

/// What the suite itself makes before its tests.
const SECRETS: [(&str, &str); 7] = [
    ("gateway-conformance-web-backend", "certificate"),
    ("gateway-conformance-infra", "tls-validity-checks-certificate"),
    ("gateway-conformance-infra", "tls-checks-certificate"),
    ("gateway-conformance-infra", "tls-passthrough-checks-certificate"),
    ("gateway-conformance-app-backend", "tls-passthrough-checks-certificate"),
    ("gateway-conformance-infra", "tls-terminate-checks-certificate"),
    ("gateway-conformance-infra", "tls-checks-client-certificate"),
];

/// Authorities that the suite makes.
const CONFIG_MAPS: [(&str, &str); 4] = [
    ("gateway-conformance-infra", "tls-checks-ca-certificate"),
    ("gateway-conformance-infra", "tls-validity-checks-ca-certificate"),
    ("gateway-conformance-infra", "tls-validity-checks-per-port-ca-certificate"),
    ("gateway-conformance-infra", "mismatch-ca-certificate"),
];

pub fn read(file: &Path) -> Vec<Object> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let text = text.replace("{GATEWAY_CLASS_NAME}", "organza").replace("{GATEWAY_CONTROLLER_NAME}", crate::gateway_api::CONTROLLER);
    yaml::read(&text)
}

/// What every test finds: the objects of `base` or `mesh`, the Secrets and the authorities.
fn common(folder: &str) -> Vec<Object> {
    let mut objects = read(&suite().join(folder).join("manifests.yaml"));
    let pem = |label: &str| format!("-----BEGIN {label}-----\nMAMCAQE=\n-----END {label}-----\n");
    for (namespace, name) in CONFIG_MAPS {
        let body = serde_json::json!({"data": {"ca.crt": pem("CERTIFICATE")}});
        objects.push(crate::tests::object("v1", "ConfigMap", (namespace, name), body));
    }
    for (namespace, name) in SECRETS {
        let data = serde_json::json!({"tls.crt": pem("CERTIFICATE"), "tls.key": pem("PRIVATE KEY")});
        let body = serde_json::json!({"type": "kubernetes.io/tls", "stringData": data});
        objects.push(crate::tests::object("v1", "Secret", (namespace, name), body));
    }
    objects
}

pub fn manifests(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(suite().join(folder)).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    found.sort();
    found
}

#[test]
fn every_object_of_ours_gets_a_status_with_sentences() {
    let mut seen = 0;
    for (folder, base) in [("tests", "base"), ("tests/mesh", "mesh")] {
        let common = common(base);
        for path in manifests(folder) {
            seen += 1;
            let mut objects = common.clone();
            objects.extend(read(&path));
            let t = audit(&objects, &path);
            // The mesh tests use routes that work, to backends of other namespaces too; a few name a backend that is not there.
            let mut told = t.statuses.iter().flat_map(|s| &s.parents).flat_map(|p| &p.conditions);
            let refused = told.find(|c| c.status != ConditionStatus::True && &*c.reason != "BackendNotFound");
            assert!(base != "mesh" || refused.is_none(), "{}: {refused:?}", path.display());
        }
    }
    assert!(seen > 100, "the suite's manifests are there");
}

fn audit(objects: &[Object], path: &Path) -> Translation {
    let t = crate::tests::run(objects);
    for object in objects.iter().filter(|o| matches!(&*o.object.kind, "Gateway" | "GatewayClass" | "ListenerSet")) {
        assert!(t.statuses.iter().any(|s| s.object == object.object), "{}: {} has no status", path.display(), object.object);
    }
    for object in objects.iter().filter(|o| matches!(&*o.object.kind, "HTTPRoute" | "GRPCRoute" | "TLSRoute" | "TCPRoute" | "UDPRoute")) {
        let ours = object.list("/spec/parentRefs").iter().filter(|parent| is_ours(parent, object, objects)).count();
        let told = t.statuses.iter().find(|s| s.object == object.object).map_or(0, |s| s.parents.len());
        assert_eq!(told, ours, "{}: parents of {}", path.display(), object.object);
    }
    for condition in t.statuses.iter().flat_map(conditions) {
        assert!(condition.message.ends_with('.'), "{}: {condition:?} is no sentence", path.display());
    }
    t
}

fn is_ours(parent: &Value, route: &Object, objects: &[Object]) -> bool {
    let namespace = parent["namespace"].as_str().unwrap_or(&route.object.namespace);
    match parent["kind"].as_str().unwrap_or("Gateway") {
        kind @ ("Gateway" | "ListenerSet") => {
            objects.iter().any(|o| &*o.object.kind == kind && &*o.object.namespace == namespace && parent["name"] == *o.object.name)
        }
        kind => kind == "Service",
    }
}

fn conditions(status: &Status) -> Vec<&Condition> {
    let inner = status.parents.iter().map(|p| &p.conditions).chain(status.listeners.iter().map(|l| &l.conditions));
    status.conditions.iter().chain(inner.flatten()).collect()
}

#[test]
fn conditions_are_the_ones_that_the_suite_expects() {
    let table = std::fs::read_to_string(folder().join("testdata/conformance.txt")).unwrap();
    let (mut wrong, mut facts) = (String::new(), 0);
    let common = common("base");
    let mut translated = Translation::default();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some(fact) = line.strip_prefix("  ").or(line.strip_prefix("! ")) else {
            let mut objects = common.clone();
            objects.extend(line.split(" + ").flat_map(|name| read(&suite().join(format!("tests/{name}.yaml")))));
            translated = crate::tests::run(&objects);
            wrong.push_str(&format!("{line}\n"));
            continue;
        };
        facts += 1;
        let unmet = check(fact, &translated);
        match (line.starts_with('!'), unmet) {
            (false, Some(found)) => wrong.push_str(&format!("  expected {fact}\n  found    {found}\n")),
            (true, None) => wrong.push_str(&format!("  is met now, take the ! away: {fact}\n")),
            _ => {}
        }
    }
    assert!(facts > 100);
    let failed = wrong.lines().any(|line| line.starts_with(' '));
    let shown: Vec<&str> = wrong.lines().collect();
    let shown =
        shown.iter().enumerate().filter(|(i, line)| line.starts_with(' ') || shown.get(i + 1).is_some_and(|next| next.starts_with(' ')));
    assert!(!failed, "\n{}", shown.map(|(_, line)| *line).collect::<Vec<_>>().join("\n"));
}

/// `None`: the fact holds; else what holds instead.
fn check(fact: &str, t: &Translation) -> Option<String> {
    let (subject, wanted) = fact.rsplit_once(": ").unwrap_or_else(|| panic!("{fact:?} is no fact"));
    let words: Vec<&str> = subject.split(' ').collect();
    let named = |text: &str| {
        let (namespace, name) = text.split_once('/').unwrap();
        let short = [
            ("infra", "gateway-conformance-infra"),
            ("web", "gateway-conformance-web-backend"),
            ("app", "gateway-conformance-app-backend"),
        ];
        (short.iter().find(|(s, _)| *s == namespace).map_or(namespace, |(_, long)| long).to_owned(), name.to_owned())
    };
    let is = |object: &model::ObjectRef, kind: &str, name: &str| {
        *object.kind == *kind && (object.namespace.to_string(), object.name.to_string()) == named(name)
    };
    let Some(status) = t.statuses.iter().find(|s| is(&s.object, words[0], words[1])) else { return Some("no status".to_owned()) };
    let mut found: Vec<String> = Vec::new();
    match words.get(2) {
        None => {
            found = super::told(&status.conditions);
            found.push(format!("routes={}", status.listeners.iter().map(|l| l.attached_routes).sum::<u32>()));
        }
        Some(&"on") => {
            let on = |p: &&model::ParentStatus| is(&p.parent, "Gateway", words[3]) || is(&p.parent, "ListenerSet", words[3]);
            for parent in status.parents.iter().filter(on) {
                found.extend(super::told(&parent.conditions));
            }
        }
        Some(_) => {
            let listener = status.listeners.iter().find(|l| *l.name == *words[3])?;
            found = super::told(&listener.conditions);
            let kinds: Vec<&str> = listener.supported_kinds.iter().map(|(_, kind)| &**kind).collect();
            found.push(format!("routes={}", listener.attached_routes));
            match kinds.is_empty() {
                true => found.push("kinds=none".to_owned()),
                false => found.extend(kinds.iter().map(|kind| format!("kinds={kind}"))),
            }
        }
    }
    let holds = |want: &str| found.iter().any(|found| found == want || found.split('/').next() == Some(want));
    let all = wanted.split(' ').all(holds);
    (!all).then(|| format!("{subject}: {}", found.join(" ")))
}
