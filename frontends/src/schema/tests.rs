//! The published examples, valid and invalid, are the measure: every valid one passes, every invalid one is refused.

use super::*;
use crate::{file, limits};
use serde_json::json;
use std::path::{Path, PathBuf};

fn third_party(folder: &str) -> Vec<PathBuf> {
    fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
        let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for entry in entries {
            match entry.is_dir() {
                true => collect(&entry, into),
                false if entry.extension().is_some_and(|e| e == "yaml") => into.push(entry),
                false => {}
            }
        }
    }
    let mut all = Vec::new();
    collect(&Path::new("../third_party/gateway-api").join(folder), &mut all);
    assert!(!all.is_empty(), "{folder}");
    all
}

/// The suite fills in who the controller is.
fn filled(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap().replace("{GATEWAY_CONTROLLER_NAME}", "organza.dev/gateway-controller")
}

/// Problems of a file, but for kinds that are not ours (Deployments and the like stand in examples too).
fn problems_of(path: &Path) -> Vec<Located> {
    let (objects, mut problems) = file::parse(&path.display().to_string(), &filled(path));
    let (_, found) = check(objects);
    problems.extend(found.into_iter().filter(|p| &*p.report.reason != "UnknownKind"));
    problems
}

#[test]
fn every_published_example_passes() {
    for path in third_party("examples") {
        let problems = problems_of(&path);
        assert!(problems.is_empty(), "{}: {problems:#?}", path.display());
    }
}

#[test]
fn every_published_invalid_example_is_refused() {
    let passed: Vec<_> = third_party("invalid-examples").into_iter().filter(|path| problems_of(path).is_empty()).collect();
    assert!(passed.is_empty(), "these must be refused: {passed:#?}");
}

#[test]
fn every_conformance_manifest_passes_its_schema() {
    for path in third_party("conformance") {
        let problems = problems_of(&path);
        assert!(problems.is_empty(), "{}: {problems:#?}", path.display());
    }
}

fn one(text: &str) -> Located {
    let (objects, problems) = file::parse("f.yaml", text);
    assert!(problems.is_empty(), "{problems:?}");
    let (_, mut found) = check(objects);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

#[test]
fn mistakes_are_found_where_they_stand_and_told_how_to_mend() {
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\nspec:\n  rules:\n  - backendRefs:\n";
    let found = one(&format!("{route}    - name: b\n      port: 80\n      wieght: 3\n"));
    assert_eq!((found.place.line, found.place.column), (9, 7));
    assert_eq!(found.report.fix.as_deref(), Some("did you mean `weight`?"));
    let found = one(&format!("{route}    - name: b\n      port: 80\n      weight: -1\n"));
    assert_eq!((found.place.line, found.report.path_text().as_str()), (9, "spec.rules[0].backendRefs[0].weight"));
    assert_eq!(found.report.fix.as_deref(), Some("write 0 or more"));
    let found = one(&format!("{route}    - name: b\n      port: 80\n      zone: a\n"));
    assert_eq!(found.report.fix.as_deref(), Some("known here: filters, group, kind, name, namespace, port, weight"));
    let found = one(&format!("{route}    - port: 80\n"));
    assert_eq!(found.report.fix.as_deref(), Some("write name"));
    let found = one("apiVersion: organza.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {pathNormalization: Merge}\n");
    assert_eq!(found.report.fix.as_deref(), Some("write one of None, Base, MergeSlashes, DecodeSlashes"));
    // A rule of the CRD in CEL: a Service needs a port.
    let found = one(&format!("{route}    - name: b\n"));
    assert!(found.report.message.contains("port"), "{found:?}");
    // What is left out counts as its default: four are kept.
    let telemetry =
        "apiVersion: organza.dev/v1alpha1\nkind: TelemetryPolicy\nmetadata: {name: a}\nspec: {accessLog: {file: {maxBytes: 536870912}}}\n";
    let found = one(telemetry);
    assert!(found.report.message.contains("lower either"), "{found:?}");
    let (_, fits) = check(file::parse("f.yaml", &telemetry.replace("536870912}", "536870912, kept: 1}")).0);
    assert!(fits.is_empty(), "{fits:?}");
    let found = one("apiVersion: gateway.networking.k8s.io/v1\nkind: HttpRoute\nmetadata: {name: a}\n");
    assert_eq!((&*found.report.reason, found.place.line), ("UnknownKind", 2));
    assert!(found.report.fix.unwrap().contains("HTTPRoute"));
    let found = one("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 0}]}\n");
    assert_eq!(found.report.path_text(), "spec.ports[0].port");
}

/// A cluster's files hold what others read; a mistake in typing is none of it.
#[test]
fn kinds_of_others_are_told_from_ours_that_are_mistyped() {
    let is_others = |api_version: &str, kind: &str| {
        let text = format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\n");
        let object = &file::parse("f.yaml", &text).0[0].object;
        super::is_others(&object.group, &object.kind)
    };
    let others = [
        ("apps/v1", "Deployment"),
        ("v1", "ServiceAccount"),
        ("v1", "Pod"),
        ("v1", "Event"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("networking.istio.io/v1", "Gateway"),
        ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"),
        ("serving.knative.dev/v1", "Service"),
    ];
    let ours = [
        ("v1", "Service"),
        ("v1", "Servce"),
        ("v1", "configmap"),
        ("discovery.k8s.io/v1beta1", "EndpointSlice"),
        ("gateway.networking.k8s.io/v1", "HttpRoute"),
        ("gateway.networking.k8s.io/v1", "Deployment"),
        ("gateway.networking.x-k8s.io/v1alpha1", "XGateway"),
        ("organza.dev/v1alpha1", "Policy"),
        ("organza.io/v1alpha1", "AccessPolicy"),
        ("gateway.networking.k8s.i/v1", "HTTPRoute"),
    ];
    let judged = |all: &[(&str, &str)]| all.iter().map(|(api_version, kind)| is_others(api_version, kind)).collect::<Vec<_>>();
    assert_eq!((judged(&others), judged(&ours)), (vec![true; others.len()], vec![false; ours.len()]));
}

/// An object is one of either release, never of both; what one says where it is wrong is what its own release says.
#[test]
fn both_releases_of_gateway_api_are_taken_each_as_it_is() {
    let route = |session: &str, rest: &str| {
        let rule = format!("{{backendRefs: [{{name: b, port: 80}}], sessionPersistence: {session}{rest}}}");
        format!("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: a}}\nspec: {{rules: [{rule}]}}\n")
    };
    let read = |text: &str| check(file::parse("f.yaml", text).0);
    let (old, problems) = read(&route("{sessionName: cart, cookieConfig: {}}", ", retry: {codes: [503]}"));
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(old[0].at("/spec/rules/0/retry/attempts"), &Value::Null, "what it was before v1.7 it still is");
    let (new, problems) = read(&route("{cookie: {name: cart}}", ", retry: {codes: [503], attempts: 0}"));
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(new[0].at("/spec/rules/0/sessionPersistence/cookie/path"), "/");
    assert!(!read(&route("{sessionName: cart, cookie: {name: cart}}", "")).1.is_empty());
    let gateway = |filter: &str| {
        let listener = format!("{{name: a, port: 80, protocol: HTTP, filters: {{requests: [{filter}]}}}}");
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: a}}\nspec: {{gatewayClassName: organza, listeners: [{listener}]}}\n"
        )
    };
    let asks = "{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {}, backendRef: {name: b, port: 80}}}";
    assert!(read(&gateway(asks)).1.is_empty());
    assert!(!read(&gateway(asks).replace("protocol: HTTP, filters", "protocol: TCP, filters")).1.is_empty(), "filters are of requests");
    let (_, problems) = read(&gateway("{type: Odd}"));
    assert!(problems.iter().all(|p| p.report.path_text().starts_with("spec.listeners[0].filters.requests[0]")), "{problems:#?}");
    let (_, problems) = read(&gateway(asks).replace("port: 80, protocol: HTTP, filters", "prot: 80, protocol: HTTP, filters"));
    assert!(problems.iter().any(|p| p.report.fix.as_deref() == Some("did you mean `port`?")), "{problems:#?}");
    let backend = |port: &str| {
        let spec = format!("{{type: ExternalHostname, externalHostname: {{hostname: a.example}}, port: {{{port}: 443}}}}");
        format!("apiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XBackend\nmetadata: {{name: a}}\nspec: {spec}\n")
    };
    assert!(read(&backend("port")).1.is_empty() && read(&backend("number")).1.is_empty() && !read(&backend("prot")).1.is_empty());
}

#[test]
fn defaults_are_put_in() {
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\nspec:\n  rules:\n  - backendRefs: [{name: b, port: 80}]\n";
    let (objects, _) = file::parse("f.yaml", text);
    let (objects, problems) = check(objects);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(objects[0].at("/spec/rules/0/backendRefs/0/weight"), &serde_json::json!(1));
    assert_eq!(objects[0].at("/spec/rules/0/matches/0/path/value"), "/");
}

#[test]
fn many_objects_are_judged_in_their_order() {
    let route = |n: usize| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r-{n}}}\nspec: {{hostnames: [{}]}}\n",
            if n % 50 == 7 { "\"-\"" } else { "a.test" }
        )
    };
    let (objects, problems) = file::parse("f.yaml", &(0..500).map(route).collect::<String>());
    assert!(problems.is_empty(), "{problems:?}");
    let (good, refused) = check(objects);
    let names: Vec<_> = good.iter().map(|object| object.object.name.to_string()).collect();
    assert_eq!(names, (0..500).filter(|n| n % 50 != 7).map(|n| format!("r-{n}")).collect::<Vec<_>>());
    let lines: Vec<_> = refused.iter().map(|problem| problem.place.line).collect();
    assert_eq!(lines, (0..500).filter(|n| n % 50 == 7).map(|n| 5 * n + 5).collect::<Vec<u32>>());
}

#[test]
fn what_was_found_good_is_not_judged_again_until_it_is_written_anew() {
    let read = |port: &str| {
        let text = format!("apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{ports: [{{port: {port}}}]}}\n");
        file::parse("f.yaml", &text).0
    };
    let (mut before, _) = check(read("80"));
    before[0].value = Arc::new(serde_json::json!("judged"));
    assert_eq!(*check_again(read("80"), &before).0[0].value, "judged");
    assert_eq!(check_again(read("81"), &before).0[0].at("/spec/ports/0/port"), 81);
    assert_eq!(check_again(read("0"), &before).1.len(), 1);
}

#[test]
fn fields_are_all_named_where_they_are_few() {
    let object = crate::Object::new(model::ObjectRef::new("", "Odd", "a", "b"), "v1", json!({"~": 1}));
    let fix = |fields: usize| {
        let known: serde_json::Map<_, _> = (0..fields).map(|i| (format!("field-{i}"), json!({}))).collect();
        structure::unknown_fields(&json!({ "properties": known }), &object).remove(0).fix
    };
    assert!(fix(limits::FIELDS_LISTED).unwrap().starts_with("known here: field-0"));
    assert_eq!(fix(limits::FIELDS_LISTED + 1), None);
}
