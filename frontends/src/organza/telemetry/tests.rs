use crate::file::{self, Located};
use crate::schema::check;
use crate::tests::{object, run, service};
use crate::{Object, Translation};
use model::Resource;
use serde_json::{Value, json};

fn problems(spec: &str) -> Vec<Located> {
    let (objects, found) =
        file::parse("p.yaml", &format!("apiVersion: organza.dev/v1alpha1\nkind: TelemetryPolicy\nmetadata: {{name: p}}\nspec:\n{spec}"));
    assert!(found.is_empty(), "{found:?}");
    check(objects).1
}

#[test]
fn mistakes_are_told_with_their_place() {
    assert!(problems("  tracing: {sampling: {percent: 5}, otlp: {endpoint: 'http://c:4317'}}\n").is_empty());
    let cases = [
        ("  tracing: {sampling: {percent: 101}}\n", "spec.tracing.sampling.percent"),
        ("  tracing: {sampling: {percent: 1, fraction: {numerator: 1}}}\n", "spec.tracing.sampling"),
        ("  tracing: {sampling: {fraction: {numerator: 2, denominator: 1}}}\n", "spec.tracing.sampling.fraction"),
        ("  tracing: {slowerThan: soon}\n", "spec.tracing.slowerThan"),
        ("  tracing: {otlp: {endpoint: 'c:4317'}}\n", "spec.tracing.otlp.endpoint"),
        ("  accessLog: {lines: Some}\n", "spec.accessLog.lines"),
        ("  accessLog: {lines: All, slowerThan: 1s}\n", "spec.accessLog"),
        ("  acessLog: {lines: All}\n", "spec.acessLog"),
        ("  targetRefs: [{group: '', kind: Gateway, name: g}]\n", "spec.targetRefs[0]"),
        ("  targetRefs: [{group: '', kind: Service, name: s}]\n  tracing: {otlp: {endpoint: 'http://c'}}\n", "spec"),
        ("  targetRefs: [{group: '', kind: Service, name: s}]\n  accessLog: {file: {}}\n", "spec"),
        ("  targetRefs: [{group: '', kind: Service, name: s}]\n  metrics: {maxSeries: 50}\n", "spec"),
        ("  metrics: {maxSeries: 10001}\n", "spec.metrics.maxSeries"),
        ("  metrics: {dropLabels: [reporter]}\n", "spec.metrics.dropLabels[0]"),
        ("  accessLog: {file: {name: ../x}}\n", "spec.accessLog.file.name"),
        ("  accessLog: {format: Xml}\n", "spec.accessLog.format"),
        ("  accessLog: {matches: [{paths: /}]}\n", "spec.accessLog.matches[0].paths"),
        ("  recorded: {redactions: [{field: Path, name: a, pattern: b}]}\n", "spec.recorded.redactions[0]"),
        ("  recorded: {redactions: [{field: RequestHeader, pattern: b}]}\n", "spec.recorded.redactions[0]"),
        ("  accessLog: {otlp: {endpoint: 'http://c', caCertificateRefs: [{name: a}]}}\n", "spec.accessLog.otlp"),
    ];
    for (spec, place) in cases {
        let found: Vec<String> = problems(spec).iter().map(|problem| problem.report.path_text()).collect();
        assert_eq!(found, [place], "{spec}");
    }
}

fn policy(namespace: &str, name: &str, spec: Value) -> Object {
    object("organza.dev/v1alpha1", "TelemetryPolicy", (namespace, name), json!({ "spec": spec }))
}

/// Reason and place of each report.
fn told(t: &Translation) -> Vec<(String, String)> {
    t.reports.iter().map(|report| (report.reason.to_string(), report.path_text())).collect()
}

fn made(t: &Translation) -> usize {
    t.resources.iter().filter(|resource| matches!(resource, Resource::Telemetry(_))).count()
}

#[test]
fn of_two_for_one_target_the_first_holds_and_the_other_says_so() {
    let target = json!({"targetRefs": [{"group": "", "kind": "Service", "name": "s"}], "accessLog": {"lines": "Errors"}});
    let t = run(&[service("a", "s"), policy("a", "one", target.clone()), policy("a", "two", target)]);
    assert_eq!((told(&t), made(&t)), (vec![("Conflicted".to_owned(), "spec.targetRefs[0].name".to_owned())], 1));
    let whole = run(&[policy("a", "one", json!({})), policy("a", "two", json!({}))]);
    assert_eq!((told(&whole), made(&whole)), (vec![("Conflicted".to_owned(), "metadata.name".to_owned())], 1));
    // Another namespace's is another target.
    let apart = run(&[policy("a", "one", json!({})), policy("organza-system", "one", json!({}))]);
    assert_eq!((told(&apart), made(&apart)), (Vec::new(), 2));
}

#[test]
fn what_no_schema_saw_is_told_and_changes_nothing() {
    let service_target = json!([{"group": "", "kind": "Service", "name": "s"}]);
    let cases = [
        (json!({"tracing": {"otlp": {"endpoint": "https://10.0.0.1"}}}), "spec.tracing.otlp.endpoint"),
        (json!({"tracing": {"otlp": {"endpoint": "http://c", "protocol": "Thrift"}}}), "spec.tracing.otlp.protocol"),
        (json!({"tracing": {"sampling": {"fraction": {"numerator": 3, "denominator": 2}}}}), "spec.tracing.sampling"),
        (json!({"tracing": {"slowerThan": "soon"}}), "spec.tracing.slowerThan"),
        (json!({"accessLog": {"lines": "Some"}}), "spec.accessLog.lines"),
        (json!({"metrics": {"dropLabels": ["response_code", "reporter"]}}), "spec.metrics.dropLabels[1]"),
        (json!({"targetRefs": service_target, "metrics": {"dropLabels": ["response_code"]}}), "spec.metrics"),
        (json!({"targetRefs": service_target, "accessLog": {"otlp": {"endpoint": "http://c"}}}), "spec.accessLog.otlp"),
    ];
    for (spec, place) in cases {
        let t = run(&[service("a", "s"), policy("a", "p", spec.clone())]);
        let places: Vec<String> = told(&t).into_iter().map(|(_, place)| place).collect();
        assert_eq!((places, made(&t)), (vec![place.to_owned()], 0), "{spec}");
    }
    let pod = run(&[policy("a", "p", json!({"targetRefs": [{"group": "", "kind": "Pod", "name": "s"}]}))]);
    assert_eq!(told(&pod), [("Invalid".to_owned(), "spec.targetRefs[0].kind".to_owned())]);
}

#[test]
fn what_bears_keys_of_a_consumer_is_left_out_and_the_rest_of_the_policy_holds() {
    let from = json!([{"type": "Header", "header": {"name": "X-Partner-Key"}}]);
    let consumer = object("organza.dev/v1alpha1", "Consumer", ("b", "acme"), json!({"spec": {"from": from}}));
    let recorded = json!({"requestHeaders": ["x-a", "x-partner-key"], "redactions": [{"field": "Path", "pattern": "[0-9]"}]});
    let t = run(&[policy("a", "one", json!({"recorded": recorded})), consumer]);
    assert!(told(&t).contains(&("BearsKeys".to_owned(), "spec.recorded.requestHeaders[1]".to_owned())), "{:?}", told(&t));
    assert_eq!(says(&t), [(Some(vec!["x-a".to_owned()]), 1)]);
}

/// Of each policy in force the fields of requests that are recorded, and how many redactions there are.
fn says(t: &Translation) -> Vec<(Option<Vec<String>>, usize)> {
    let of = |resource: &Resource| match resource {
        Resource::Telemetry(policy) => {
            let names = policy.says.request_headers.as_ref().map(|names| names.iter().map(ToString::to_string).collect());
            Some((names, policy.says.redactions.as_ref().map_or(0, |all| all.len())))
        }
        _ => None,
    };
    t.resources.iter().filter_map(of).collect()
}

#[test]
fn of_a_policy_that_cannot_be_read_redactions_hold_and_no_field_is_recorded() {
    let redactions = json!([{"field": "Path", "pattern": "[0-9]"}, {"field": "Path", "pattern": "("}]);
    let recorded = json!({"requestHeaders": ["x-a"], "redactions": redactions});
    let t = run(&[policy("a", "one", json!({"recorded": recorded})), policy("a", "two", json!({}))]);
    assert_eq!(says(&t), [(Some(Vec::new()), 1)]);
    // The younger one says whose the target is.
    let reasons: Vec<_> = told(&t).into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, ["Invalid", "Conflicted"]);
    let elsewhere = json!({"recorded": {"redactions": [{"field": "Path", "pattern": "a"}]}, "tracing": {"slowerThan": "soon"}});
    assert_eq!(says(&run(&[policy("a", "one", elsewhere)])), [(Some(Vec::new()), 1)]);
}

#[test]
fn what_says_who_somebody_is_may_not_be_asked_for() {
    for name in ["Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key"] {
        for field in ["requestHeaders", "responseHeaders"] {
            let t = run(&[policy("a", "one", json!({"recorded": {field: ["x-ok", name]}}))]);
            assert_eq!((told(&t), made(&t)), (vec![("Invalid".to_owned(), format!("spec.recorded.{field}[1]"))], 0), "{name}");
        }
    }
}
