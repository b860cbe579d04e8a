use super::KIND;
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

#[test]
fn one_that_the_schema_refuses_redacts_all_the_same() {
    let text = "apiVersion: organza.dev/v1alpha1\nkind: TelemetryPolicy\nmetadata: {name: p, namespace: a}\nspec:\n  acessLog: {}\n  recorded:\n    requestHeaders: [x-a]\n    redactions: [{field: Path, pattern: '[0-9]'}]\n";
    let parsed = |text: &str| file::parse("p.yaml", text).0;
    let (held, found) = check(parsed(text));
    assert_eq!((held.len(), found.len()), (1, 1));
    let t = run(&held);
    assert_eq!((says(&t), told(&t)), (vec![(Some(Vec::new()), 1)], Vec::new()), "it was told already");
    let status = t.statuses.iter().find(|status| *status.object.kind == *KIND).unwrap();
    assert_eq!(&*status.conditions[0].reason, "Invalid");
    // What was good before is kept by whoever has it, and what redacts nothing is nothing.
    let good = check(parsed(&text.replace("  acessLog: {}\n", ""))).0;
    assert!(crate::schema::check_again(parsed(text), &good).0.is_empty());
    let nothing =
        check(parsed("apiVersion: organza.dev/v1alpha1\nkind: TelemetryPolicy\nmetadata: {name: p, namespace: a}\nspec: {acessLog: {}}\n"))
            .0;
    assert_eq!(made(&run(&nothing)), 0);
}

fn experimental(name: &str, spec: Value) -> Object {
    object("gateway.networking.x-k8s.io/v1alpha1", "XTelemetryPolicy", ("a", name), json!({ "spec": spec }))
}

fn edge() -> Object {
    crate::tests::gateway(json!([{"name": "web", "port": 80, "protocol": "HTTP"}]))
}

fn enabled(more: Value) -> Value {
    let mut tracing = json!({"mode": "Enabled", "provider": {"backendRef": {"name": "s", "port": 80}}});
    tracing.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"}], "tracing": tracing})
}

fn first(t: &Translation) -> model::telemetry::TelemetrySettings {
    let of = |resource: &Resource| if let Resource::Telemetry(policy) = resource { Some(policy.says.clone()) } else { None };
    t.resources.iter().find_map(of).unwrap()
}

/// What is in force of both kinds together: no field is said twice.
fn of_both(t: &Translation) -> model::telemetry::TelemetrySettings {
    let of = |resource: &Resource| if let Resource::Telemetry(policy) = resource { Some(policy.says.clone()) } else { None };
    let all: Vec<_> = t.resources.iter().filter_map(of).collect();
    let [one, other] = &all[..] else { panic!("{all:?}") };
    let (first, last) = (one.clone().over(other), other.clone().over(one));
    assert_eq!(first, last, "whichever comes first");
    first
}

#[test]
fn two_kinds_of_policy_for_one_gateway_stand_beside_each_other() {
    use model::telemetry::SpansTo;
    let header = |name: &str| json!([{"name": "a", "sourceType": "Header", "headerName": name}]);
    let theirs = || experimental("one", enabled(json!({"samplingRate": {"numerator": 1}, "attributes": header("x-tenant")})));
    let ours = |mut spec: Value| {
        spec["targetRefs"] = json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"}]);
        policy("a", "one", spec)
    };
    let redactions = json!([{"field": "Path", "pattern": "[0-9]"}]);
    let spec = json!({
        "tracing": {"sampling": {"percent": 50}, "otlp": {"endpoint": "http://c:4317"}, "slowerThan": "3s"},
        "metrics": {"dropLabels": ["response_code"]},
        "recorded": {"requestHeaders": ["x-a"], "redactions": redactions},
    });
    let t = run(&[service("a", "s"), edge(), theirs(), ours(spec)]);
    assert_eq!(told(&t), []);
    let says = of_both(&t);
    // Of tracing the standard's kind says ...
    assert_eq!((says.share, says.traced), (Some(1_000), Some(true)));
    assert!(matches!(says.spans, Some(SpansTo::Exporter(_))), "{says:?}");
    // ... and of all else ours, whichever is older.
    assert_eq!((says.slower, says.redactions.map(|all| all.len())), (Some(std::time::Duration::from_secs(3)), Some(1)));
    assert!(says.dropped_labels.is_some());
    assert_eq!(says.request_headers.as_deref(), Some(&["x-a".into(), "x-tenant".into()][..]));
    // What is to be hidden and cannot be read is recorded by nobody.
    let odd = json!([{"field": "RequestHeader", "name": "x-tenant", "pattern": "("}]);
    let odd = json!({"recorded": {"requestHeaders": ["x-tenant"], "redactions": odd}});
    let t = run(&[service("a", "s"), edge(), theirs(), ours(odd)]);
    assert_eq!(of_both(&t).request_headers.map(|names| names.len()), Some(0));
    // One that cannot be read takes nothing from the other, and two of one kind are two for one target.
    let broken = experimental("one", enabled(json!({"mode": "Perhaps"})));
    let t = run(&[service("a", "s"), edge(), broken, ours(json!({"recorded": {"redactions": redactions}}))]);
    assert_eq!((made(&t), says_redactions(&t)), (1, 1));
    let t = run(&[service("a", "s"), edge(), theirs(), experimental("two", enabled(json!({})))]);
    assert_eq!((told(&t), made(&t)), (vec![("Conflicted".to_owned(), "spec.targetRefs[0].name".to_owned())], 1));
    let second = t.statuses.iter().find(|status| *status.object.name == *"two").unwrap();
    let reasons: Vec<&str> = second.parents[0].conditions.iter().map(|condition| &*condition.reason).collect();
    assert_eq!(reasons, ["Conflicted", "ResolvedRefs"]);
}

fn says_redactions(t: &Translation) -> usize {
    says(t).iter().map(|(_, redactions)| redactions).sum()
}

#[test]
fn what_an_experimental_policy_says_is_said_of_its_gateway() {
    use model::telemetry::{CollectorProtocol, Parents, SpanValue, SpansTo};
    let attributes = json!([
        {"name": "tenant", "sourceType": "Header", "headerName": "X-Tenant"},
        {"name": "env", "sourceType": "Literal", "literalValue": "prod"},
        {"name": "code", "sourceType": "Attribute", "attributeKey": "http.response.status_code"},
    ]);
    let spec = enabled(json!({
        "samplingRate": {"numerator": 1, "denominator": 8},
        "parentBasedSampling": {"mode": "Enabled", "samplingRate": {"numerator": 50}},
        "serviceName": "edge", "spanName": "ingress", "attributes": attributes,
        "provider": {"backendRef": {"name": "s", "port": 80}, "headers": [{"name": "Authorization", "value": "Bearer x"}]},
    }));
    let t = run(&[service("a", "s"), edge(), experimental("one", spec)]);
    assert_eq!(told(&t), []);
    let says = first(&t);
    assert_eq!((says.share, says.parents, says.traced), (Some(12_500), Some(Parents::Heeded(50_000)), Some(true)));
    assert_eq!(says.request_headers.as_deref(), Some(&["x-tenant".into()][..]));
    let Some(SpansTo::Exporter(to)) = says.spans else { panic!("{says:?}") };
    assert!(matches!(&to.backend, model::Backend::Service(to) if *to.service.name == *"s" && to.port == 80));
    assert_eq!((to.headers[0].0.as_ref(), to.headers[0].1.0.as_ref(), to.protocol), ("authorization", "Bearer x", CollectorProtocol::Http));
    assert_eq!((to.words.service.as_deref(), to.words.name.as_deref()), (Some("edge"), Some("ingress")));
    let values: Vec<&SpanValue> = to.words.attributes.iter().map(|(_, value)| value).collect();
    assert_eq!(
        values,
        [
            &SpanValue::Header("x-tenant".into()),
            &SpanValue::Literal("prod".into()),
            &SpanValue::Attribute("http.response.status_code".into())
        ]
    );
    let off = run(&[
        edge(),
        experimental(
            "one",
            json!({"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"}], "tracing": {"mode": "Disabled"}}),
        ),
    ]);
    let says = first(&off);
    assert_eq!((says.share, says.parents, says.traced), (Some(0), Some(Parents::Ignored), Some(false)));
    // By its port a collector says what it speaks.
    for (port, app, wanted) in [
        (4318, None, CollectorProtocol::Http),
        (4317, Some("http"), CollectorProtocol::Http),
        (9000, Some("kubernetes.io/h2c"), CollectorProtocol::Grpc),
    ] {
        let mut named = json!({"name": "p", "port": port});
        app.iter().for_each(|app| named["appProtocol"] = json!(app));
        let collector = object("v1", "Service", ("a", "s"), json!({"spec": {"ports": [named]}}));
        let spec = enabled(json!({"provider": {"backendRef": {"name": "s", "port": port}}}));
        let Some(SpansTo::Exporter(to)) = first(&run(&[collector, edge(), experimental("one", spec)])).spans else { panic!() };
        assert_eq!(to.protocol, wanted, "{port}");
    }
}

#[test]
fn what_an_experimental_policy_cannot_say_is_told() {
    let attribute = |value: Value| json!({"attributes": [value]});
    let literal = |n: usize| json!({"name": format!("a{n}"), "sourceType": "Literal", "literalValue": "x"});
    let header = |n: usize| json!({"name": format!("a{n}"), "sourceType": "Header", "headerName": format!("x-{n}")});
    let many = |of: &dyn Fn(usize) -> Value, most: usize| json!({"attributes": (0..=most).map(of).collect::<Vec<_>>()});
    let cases = [
        (
            attribute(json!({"name": "a", "sourceType": "Attribute", "attributeKey": "user.id"})),
            "UnsupportedValue",
            "spec.tracing.attributes[0].attributeKey",
        ),
        (
            attribute(json!({"name": "a", "sourceType": "Header", "headerName": "Authorization"})),
            "Invalid",
            "spec.tracing.attributes[0].headerName",
        ),
        (attribute(json!({"name": "a", "sourceType": "Cookie"})), "Invalid", "spec.tracing.attributes[0].sourceType"),
        (many(&literal, crate::limits::SPAN_ATTRIBUTES), "Invalid", "spec.tracing.attributes"),
        (many(&header, crate::limits::RECORDED_HEADERS), "Invalid", "spec.tracing.attributes"),
        (json!({"mode": "Perhaps"}), "Invalid", "spec.tracing.mode"),
        (json!({"samplingRate": {"numerator": 3, "denominator": 2}}), "Invalid", "spec.tracing.samplingRate"),
        (
            json!({"provider": {"backendRef": {"name": "s", "port": 80}, "headers": [{"name": "Host", "value": "x"}]}}),
            "Invalid",
            "spec.tracing.provider.headers[0]",
        ),
    ];
    for (more, reason, place) in cases {
        let t = run(&[service("a", "s"), edge(), experimental("one", enabled(more.clone()))]);
        assert_eq!((told(&t), made(&t)), (vec![(reason.to_owned(), place.to_owned())], 0), "{more}");
    }
    // A reference that leads nowhere is told, and the rest holds: spans go nowhere rather than where a wider policy says.
    for (to, reason) in [
        (json!({"name": "none", "port": 80}), "BackendNotFound"),
        (json!({"name": "s", "namespace": "b", "port": 80}), "RefNotPermitted"),
        (json!({"kind": "Secret", "name": "s"}), "InvalidKind"),
    ] {
        let t = run(&[service("a", "s"), service("b", "s"), edge(), experimental("one", enabled(json!({"provider": {"backendRef": to}})))]);
        assert_eq!(told(&t).iter().map(|(reason, _)| reason.as_str()).collect::<Vec<_>>(), [reason]);
        let conditions = &t.statuses.iter().find(|status| *status.object.kind == *"XTelemetryPolicy").unwrap().parents[0].conditions;
        let reasons: Vec<&str> = conditions.iter().map(|condition| &*condition.reason).collect();
        assert_eq!(reasons, ["Accepted", reason]);
        assert!(
            matches!(first(&t).spans, Some(model::telemetry::SpansTo::Exporter(to)) if matches!(to.backend, model::Backend::Invalid { .. }))
        );
    }
    let elsewhere = json!({"targetRefs": [{"group": "", "kind": "Service", "name": "s"}], "tracing": {"mode": "Disabled"}});
    let t = run(&[service("a", "s"), experimental("one", elsewhere)]);
    assert_eq!((told(&t), made(&t)), (vec![("Invalid".to_owned(), "spec.targetRefs[0].kind".to_owned())], 0));
    // What bears a consumer's key is left out, and the rest holds.
    let from = json!([{"type": "Header", "header": {"name": "X-1"}}]);
    let consumer = object("organza.dev/v1alpha1", "Consumer", ("b", "acme"), json!({"spec": {"from": from}}));
    let t = run(&[service("a", "s"), edge(), consumer, experimental("one", enabled(many(&header, 2)))]);
    assert!(told(&t).contains(&("BearsKeys".to_owned(), "spec.tracing.attributes[1].headerName".to_owned())), "{:?}", told(&t));
    assert_eq!(first(&t).request_headers.as_deref(), Some(&["x-0".into(), "x-2".into()][..]));
}

#[test]
fn of_two_policies_that_record_so_many_fields_are_recorded() {
    let names = |what: &str, count: usize| {
        Some((0..count).map(|n| std::sync::Arc::from(format!("x-{what}-{n}"))).collect::<model::telemetry::Names>())
    };
    let both = super::written::either(names("a", 10), names("b", 10)).unwrap();
    assert_eq!((both.len(), &*both[0], &*both[15]), (crate::limits::RECORDED_HEADERS, "x-a-0", "x-b-5"));
}
