use crate::Translation;
use crate::file::{self, Located};
use crate::schema::check;
use crate::tests::{object, run, service};
use serde_json::{Value, json};

/// What becomes of a faulty object is told at its path, and still guards: `head` with each of these specs, and with a good one.
pub fn are_told_and_held_closed(head: &str, good: &str, cases: &[(String, &str)], is_closed: impl Fn(&Translation) -> bool) {
    let told = |spec: &str| {
        let (objects, found) = file::parse("p.yaml", &format!("{head}{spec}"));
        assert!(found.is_empty(), "{found:?}");
        let (kept, found) = check(objects);
        (run(&[vec![service("a", "s")], kept].concat()), found.into_iter().map(|found| found.report.path_text()).collect::<Vec<_>>())
    };
    let (translated, found) = told(good);
    assert!(found.is_empty() && !is_closed(&translated), "{found:?}");
    for (spec, path) in cases {
        let (translated, found) = told(spec);
        assert_eq!(found.first().map(String::as_str), Some(*path), "{spec}: {found:?}");
        assert!(is_closed(&translated), "{spec}");
    }
}

fn problems(spec: &str) -> Vec<Located> {
    let head = "apiVersion: organza.dev/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: p}\nspec:\n  targetRefs: [{group: '', kind: Service, name: s}]\n";
    let (objects, found) = file::parse("p.yaml", &format!("{head}{spec}"));
    assert!(found.is_empty(), "{found:?}");
    check(objects).1
}

#[test]
fn mistakes_are_told_with_their_place() {
    assert!(problems("").is_empty());
    let cases = [
        ("  circuitBreaker: {maxParallelRequest: 1}\n", "spec.circuitBreaker.maxParallelRequest"),
        ("  circuitBreaker: {maxConnections: 0}\n", "spec.circuitBreaker.maxConnections"),
        ("  circuitBreaker: {perEndpoint: {maxConnections: 0}}\n", "spec.circuitBreaker.perEndpoint.maxConnections"),
        ("  circuitBreaker: {maxParallelRequests: 0}\n", "spec.circuitBreaker.maxParallelRequests"),
        ("  circuitBreaker: {failureRate: {threshold: 101}}\n", "spec.circuitBreaker.failureRate.threshold"),
        ("  healthCheck: {passive: {baseEjectionTime: soon}}\n", "spec.healthCheck.passive.baseEjectionTime"),
        ("  healthCheck: {passive: {interval: 1ms}}\n", "spec.healthCheck.passive.interval"),
        ("  healthCheck: {passive: {baseEjectionTime: 10s, maxEjectionTime: 1s}}\n", "spec.healthCheck.passive"),
        ("  loadBalancer: {type: ConsistentHash}\n", "spec.loadBalancer"),
        ("  loadBalancer: {type: ConsistentHash, consistentHash: {type: Header}}\n", "spec.loadBalancer.consistentHash"),
        ("  healthCheck: {active: {type: HTTP}}\n", "spec.healthCheck.active"),
        ("  healthCheck: {active: {type: GRPC, tcp: {}}}\n", "spec.healthCheck.active"),
        ("  healthCheck: {active: {type: HTTP, http: {path: healthz}}}\n", "spec.healthCheck.active.http.path"),
        ("  healthCheck: {active: {type: HTTP, http: {path: /, method: CONNECT}}}\n", "spec.healthCheck.active.http.method"),
        (
            "  healthCheck: {active: {type: HTTP, http: {path: /, expectedStatuses: [99]}}}\n",
            "spec.healthCheck.active.http.expectedStatuses[0]",
        ),
        ("  healthCheck: {active: {type: TCP, interval: 1ms}}\n", "spec.healthCheck.active.interval"),
        ("  healthCheck: {active: {type: TCP, tcp: {send: {type: Text}}}}\n", "spec.healthCheck.active.tcp.send"),
        ("  loadBalancer: {locality: {prefer: Rack}}\n", "spec.loadBalancer.locality.prefer"),
        ("  sessionPersistence: {sessionName: 's t'}\n", "spec.sessionPersistence.sessionName"),
        ("  sessionPersistence: {cookieConfig: {lifetimeType: Permanent}}\n", "spec.sessionPersistence"),
        ("  sessionPersistence: {type: Header, cookieConfig: {lifetimeType: Session}}\n", "spec.sessionPersistence"),
    ];
    for (spec, path) in cases {
        let found = problems(spec);
        assert_eq!(found.len(), 1, "{spec}: {found:?}");
        assert_eq!(found[0].report.path_text(), path, "{spec}: {found:?}");
        assert_eq!(found[0].place.line, 6, "{spec}");
    }
}

#[test]
fn a_balancer_is_the_whole_services_and_each_target_is_named_once() {
    let text = "apiVersion: organza.dev/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: p}\nspec:\n  targetRefs: REFS\n  loadBalancer: {type: RoundRobin}\n";
    let of = |refs: &str| {
        let (objects, _) = file::parse("p.yaml", &text.replace("REFS", refs));
        check(objects).1.iter().map(|found| found.report.message.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("[{group: '', kind: Service, name: a}, {group: '', kind: Service, name: b}]"), "");
    assert!(of("[{group: '', kind: Service, name: a, sectionName: http}]").contains("whole Service"));
    assert!(of("[{group: '', kind: Service, name: a}, {group: '', kind: Service, name: a}]").contains("once"));
}

#[test]
fn shapes_that_no_schema_saw_are_told_and_change_nothing() {
    let refs = json!([{"group": "", "kind": "Service", "name": "s"}]);
    let odd: [Value; 10] = [
        json!({"targetRefs": refs, "healthCheck": {"active": {"type": "PING"}}}),
        json!({"targetRefs": refs, "healthCheck": {"active": {"type": "HTTP", "http": {"path": "/a b"}}}}),
        json!({"targetRefs": refs, "healthCheck": {"active": {"type": "HTTP", "http": {"path": "/", "hostname": "a\r\nb"}}}}),
        json!({"targetRefs": refs, "healthCheck": {"active": {"type": "HTTP", "http": {"path": "/", "expectedStatuses": [1000]}}}}),
        json!({"targetRefs": refs, "healthCheck": {"active": {"type": "TCP", "interval": "0s"}}}),
        json!({"targetRefs": refs, "healthCheck": {"active": {"type": "TCP", "tcp": {"receive": {"type": "Binary", "binary": "?"}}}}}),
        json!({"targetRefs": refs, "healthCheck": {"panicThreshold": 300}}),
        json!({"targetRefs": refs, "healthCheck": {"passive": {"interval": 3}}}),
        json!({"targetRefs": refs, "circuitBreaker": {"failureRate": {}}}),
        json!({"targetRefs": refs, "retryConstraint": {"minRetryRate": {"interval": "0s"}}}),
    ];
    for spec in odd {
        let t = run(&[service("a", "s"), object("organza.dev/v1alpha1", "BackendTrafficPolicy", ("a", "p"), json!({"spec": spec}))]);
        assert_eq!(t.reports.len(), 1, "{spec}");
        assert_eq!(&*t.statuses[0].parents[0].conditions[0].reason, "Invalid");
        let policies = t.resources.iter().filter_map(|r| if let model::Resource::Service(s) = r { Some(s.policies.len()) } else { None });
        assert_eq!(policies.sum::<usize>(), 0);
    }
}

#[test]
fn settings_that_no_schema_would_take_are_told_with_their_place() {
    let told = |kind: &str, rest: &str| {
        let (objects, found) = file::parse("s.yaml", &format!("apiVersion: organza.dev/v1alpha1\nkind: {kind}\n{rest}"));
        assert!(found.is_empty(), "{found:?}");
        check(objects).1.into_iter().map(|found| (found.report.path_text(), found.place.line)).collect::<Vec<_>>()
    };
    assert_eq!(told("MeshConfig", "metadata: {name: default}\nspec: {pathNormalization: Base}\n"), []);
    assert_eq!(told("GatewayParameters", "metadata: {name: any}\nspec: {}\n"), []);
    let place = |path: &str, line| vec![(path.to_owned(), line)];
    for (field, bad) in LIMITS {
        let text = |value: &str| format!("metadata: {{name: any}}\nspec:\n  limits:\n    {field}: {value}\n");
        for bad in bad {
            assert_eq!(told("GatewayParameters", &text(bad)), place(&format!("spec.limits.{field}"), 6), "{field}: {bad}");
        }
    }
    assert_eq!(told("MeshConfig", "metadata: {name: other}\nspec: {}\n"), place("", 1));
    for kind in ["MeshConfig", "GatewayParameters"] {
        for (text, path) in TRUSTED {
            let found = told(kind, &format!("metadata: {{name: default}}\nspec:\n  trustedProxies: {text}\n"));
            assert_eq!(found, place(&format!("spec.trustedProxies{path}"), 5), "{text}");
        }
        let level = "metadata: {name: default}\nspec:\n  pathNormalization: Merge\n";
        assert_eq!(told(kind, level), place("spec.pathNormalization", 5));
        assert_eq!(told(kind, "metadata: {name: default}\nspec:\n  paths: Base\n"), place("spec.paths", 5));
    }
}

/// Who is not to be trusted, and where that is told.
const TRUSTED: [(&str, &str); 6] = [
    ("{}", ""),
    ("{hops: 1, sources: [10.0.0.0/8]}", ""),
    ("{hops: 17}", ".hops"),
    ("{sources: []}", ".sources"),
    ("{hops: 1, header: X-Real-IP}", ".header"),
    ("{hops: 1, everyone: true}", ".everyone"),
];

#[test]
fn nobody_is_trusted_by_a_part_that_cannot_be_read() {
    let spec = |trusted: &str| serde_json::from_str::<Value>(&format!("{{\"trustedProxies\": {trusted}}}")).unwrap();
    let odd = [r#"{"sources": ["10.0.0.0/8", "ten"]}"#, r#"{"hops": -1}"#, r#"{"hops": 1, "header": 3}"#, "true", r#"{"sources": []}"#];
    for odd in odd {
        let mut gateway = crate::tests::gateway(json!([{"name": "web", "port": 80, "protocol": "HTTP"}]));
        let namespace = gateway.object.namespace.clone();
        let mesh = |namespace: &str, trusted: &str| {
            object("organza.dev/v1alpha1", "MeshConfig", (namespace, "default"), json!({"spec": spec(trusted)}))
        };
        let t = run(&[gateway.clone(), mesh(&namespace, odd), mesh("organza-system", r#"{"hops": 1}"#)]);
        assert_eq!(&*t.statuses[0].conditions[0].reason, "Invalid", "{odd}");
        let trusts = |t: &crate::Translation| {
            t.resources.iter().any(|r| matches!(r, model::Resource::Listener(l) if l.front.trusted != model::TrustedProxies::default()))
        };
        assert!(!trusts(&t), "{odd}: what a wider place says does not come through");
        std::sync::Arc::make_mut(&mut gateway.value)["spec"]["infrastructure"] =
            json!({"parametersRef": {"group": "organza.dev", "kind": "GatewayParameters", "name": "p"}});
        let own = object("organza.dev/v1alpha1", "GatewayParameters", (&namespace, "p"), json!({"spec": spec(odd)}));
        let t = run(&[gateway, own]);
        assert!(t.resources.iter().all(|r| matches!(r, model::Resource::Listener(l) if l.broken.is_some())), "{odd}");
    }
}

/// Fields of `spec.limits`, and values just beyond their bounds.
const LIMITS: [(&str, [&str; 2]); 12] = [
    ("maxConnections", ["0", "1000001"]),
    ("maxHandshakes", ["0", "1000001"]),
    ("maxRequestHeadBytes", ["1023", "65537"]),
    ("maxRequestsPerConnection", ["0", "1000000001"]),
    ("maxConcurrentStreams", ["0", "1001"]),
    ("requestHeadTimeout", ["999ms", "3601s"]),
    ("idleTimeout", ["999ms", "3601s"]),
    ("bodyIdleTimeout", ["999ms", "3601s"]),
    ("tlsHandshakeTimeout", ["999ms", "61s"]),
    ("maxUdpSessions", ["0", "1000001"]),
    ("udpIdleTimeout", ["999ms", "3601s"]),
    ("maxDatagramBytes", ["511", "65508"]),
];

#[test]
fn limits_that_no_schema_saw_are_refused_as_the_schema_would() {
    for (field, bad) in LIMITS {
        for bad in bad {
            let value = bad.parse::<u64>().map_or_else(|_| json!(bad), |number| json!(number));
            let spec = json!({"limits": {field: value}});
            let t = run(&[object("organza.dev/v1alpha1", "GatewayParameters", ("a", "p"), json!({"spec": spec}))]);
            assert_eq!(&*t.statuses[0].conditions[0].reason, "Invalid", "{field}: {bad}");
        }
    }
}

#[test]
fn settings_that_no_schema_saw_hold_nowhere_and_refuse_their_gateways() {
    let ours = |kind: &str, name: &str, spec: Value| object("organza.dev/v1alpha1", kind, ("a", name), json!({"spec": spec}));
    let reasons = |t: &crate::Translation| {
        let told = t.statuses.iter().map(|s| format!("{} {}", s.object.kind, s.conditions[0].reason));
        told.collect::<Vec<_>>()
    };
    let level = json!({"pathNormalization": 3});
    let t = run(&[service("a", "s"), ours("MeshConfig", "default", level.clone()), ours("MeshConfig", "b", json!({}))]);
    assert_eq!(reasons(&t), ["MeshConfig Invalid", "MeshConfig Invalid"]);
    assert!(t.resources.iter().all(|r| !matches!(r, model::Resource::Service(s) if s.normalisation != model::Normalisation::Base)));
    let mut gateway = crate::tests::gateway(json!([{"name": "web", "port": 80, "protocol": "HTTP"}]));
    std::sync::Arc::make_mut(&mut gateway.value)["spec"]["infrastructure"] =
        json!({"parametersRef": {"group": "organza.dev", "kind": "GatewayParameters", "name": "p"}});
    let t = run(&[gateway, ours("GatewayParameters", "p", level)]);
    assert_eq!(reasons(&t), ["GatewayParameters Invalid", "Gateway InvalidParameters"]);
    assert!(t.resources.iter().all(|r| matches!(r, model::Resource::Listener(l) if l.broken.is_some())));
}
