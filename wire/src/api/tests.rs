//! The JSON of the control API as it was recorded in `testdata/api`. Samples name every field, so that a new one does not compile until it is
//! added here, and changes a file that reviewers see.

mod openapi;

use super::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from("testdata/api")
}

/// What was recorded under the name says this value, both ways.
fn recorded<T: Serialize + serde::de::DeserializeOwned + PartialEq + Debug>(names: &mut BTreeSet<String>, name: &str, value: &T) {
    let written = serde_json::to_string_pretty(value).expect("JSON") + "\n";
    let path = folder().join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}; it should say:\n{written}", path.display()));
    let (is, should): (Value, Value) = (serde_json::from_str(&text).expect("recorded JSON"), serde_json::from_str(&written).expect("JSON"));
    assert_eq!(is, should, "{name} has another shape now; if that is meant, let it say:\n{written}");
    assert_eq!(serde_json::from_str::<T>(&text).expect("recorded JSON is understood"), *value, "{name}");
    // The other end may be of the next release, which says more.
    let mut later: Value = is;
    if let Value::Object(fields) = &mut later {
        fields.insert("ofTheNextRelease".to_owned(), serde_json::json!({"and": [1]}));
        let understood = serde_json::from_value::<T>(later);
        match REFUSES_WHAT_IT_DOES_NOT_KNOW.contains(&name) {
            true => assert!(understood.is_err(), "{name} gives rights away, or asks people's own questions"),
            false => assert_eq!(understood.expect("fields of the next release are skipped"), *value, "{name}"),
        }
    }
    names.insert(name.to_owned());
}

/// What would mean something else without a field that is not known.
const REFUSES_WHAT_IT_DOES_NOT_KNOW: [&str; 3] = ["token-request.json", "tap-query.json", "trace-query.json"];

fn text(text: &str) -> String {
    text.to_owned()
}

fn labels() -> BTreeMap<String, String> {
    [("app", "web"), ("version", "v1")].map(|(key, value)| (text(key), text(value))).into()
}

fn condition() -> Condition {
    Condition { kind: text("Accepted"), status: text("True"), reason: text("Accepted"), message: text("The parent takes the route.") }
}

fn located() -> Located {
    Located {
        severity: Severity::Error,
        file: text("routes.yaml"),
        line: 12,
        column: 5,
        object: text("HTTPRoute shop/catalog"),
        path: text("spec.rules[0].backendRefs[1].name"),
        reason: text("BackendNotFound"),
        message: text("there is no Service catalog-v3 in namespace shop"),
        fix: Some(text("name one that exists")),
    }
}

#[test]
fn what_users_see_is_as_it_was_recorded() {
    let mut names = BTreeSet::new();
    let status = Status {
        mesh: text("shop"),
        trust_domain: text("organza.local"),
        version: text("0.1.0"),
        pid: 4711,
        started: 1_790_000_000,
        time: 1_790_000_060,
        generation: 12,
        proxies_connected: 6,
        proxies_current: 5,
        xds_address: text("127.0.0.1:15012"),
        problems: vec![located()],
        process: Some(Process { cpu_percent: 0.4, resident_bytes: 41_943_040, threads: 4, descriptors: 30 }),
    };
    recorded(&mut names, "status.json", &status);
    let parent = Parent {
        group: text("gateway.networking.k8s.io"),
        kind: text("Gateway"),
        namespace: text("shop"),
        name: text("door"),
        section: Some(text("http")),
        port: Some(8080),
        conditions: vec![condition()],
    };
    let listener = Listener {
        name: text("http"),
        supported_kinds: vec![text("gateway.networking.k8s.io/HTTPRoute")],
        attached_routes: 2,
        conditions: vec![condition()],
    };
    let object = Object {
        group: text("gateway.networking.k8s.io"),
        kind: text("HTTPRoute"),
        namespace: text("shop"),
        name: text("catalog"),
        place: text("routes.yaml:3"),
        labels: labels(),
        manifest: Some(
            serde_json::json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "catalog"}}),
        ),
        conditions: vec![condition()],
        parents: vec![parent],
        listeners: vec![listener],
        applied: 5,
        concerned: 6,
    };
    recorded(&mut names, "objects.json", &ObjectList { generation: 12, items: vec![object] });
    recorded(&mut names, "proxies.json", &ProxyList { generation: 12, items: vec![proxy()] });
    let resource = Resource { key: text("files/service/shop/web"), version: text("8c2f"), encoded: Some(text("CgA=")) };
    let hidden = Resource { key: text("files/certificate/shop/door"), version: text("11aa"), encoded: None };
    let resources = ProxyResources {
        proxy: text("web-v1"),
        generation: 12,
        subscriptions: vec![text("self")],
        items: vec![resource, hidden],
        keyless: [(text("TokenIssuer shop/corp"), text("no answer within 5s"))].into(),
        first_call: true,
    };
    recorded(&mut names, "resources.json", &resources);
    recorded(&mut names, "services.json", &ServiceList { generation: 12, items: vec![service()] });
    recorded(&mut names, "routes.json", &RouteList { generation: 12, items: vec![route()] });
    recorded(&mut names, "edges.json", &EdgeList { generation: 12, items: vec![edge()] });
    recorded(&mut names, "calls.json", &CallList { generation: 12, items: vec![call()], days: 7, left_out: 0 });
    recorded(&mut names, "consumers.json", &ConsumerList { generation: 12, items: vec![consumer()], days: 31 });
    let counts = Verdicts { allowed: 1200, denied: 7, would_allow: 1, would_deny: 3, limited: 2 };
    let decided = PolicyVerdicts {
        policy: text("AccessPolicy shop/orders"),
        since: 1_789_000_000,
        counts,
        rules: vec![RuleVerdicts { rule: text("web-writes"), counts }],
        points: vec![VerdictPoint { time: 1_789_999_990, counts }],
    };
    recorded(&mut names, "verdicts.json", &VerdictList { time: 1_790_000_000, slot_seconds: 10, items: vec![decided], left_out: 0 });
    recorded(&mut names, "graph.json", &graph());
    let history = History { time: 1_790_000_000, slot_seconds: 10, points: vec![Point { time: 1_789_999_990, figures: figures() }] };
    recorded(&mut names, "history.json", &history);
    let (p50, p95, p99) = (Some(1.5), Some(4.0), None);
    let point = LongPoint {
        time: 1_789_999_980,
        requests_per_second: 12.5,
        failures_per_second: 0.25,
        p50_millis: p50,
        p95_millis: p95,
        p99_millis: p99,
    };
    recorded(&mut names, "history-long.json", &LongHistory { time: 1_790_000_000, slot_seconds: 60, points: vec![point] });
    let log = Log { name: text("web-1"), lines: vec![text("listens on 8000")] };
    recorded(&mut names, "logs.json", &LogList { items: vec![log] });
    let link = LinkTemplate { name: text("Jaeger"), url: text("https://jaeger.example/trace/{trace}") };
    recorded(&mut names, "page.json", &PageFacts { role: DashboardRole::Tapper, long_history: true, links: vec![link] });
    recorded(&mut names, "workloads.json", &WorkloadList { generation: 12, items: vec![workload()] });
    recorded(&mut names, "problems.json", &ProblemList { generation: 12, items: vec![located()] });
    let flows = FlowList { items: vec![serde_json::json!({"proxy": "web-v1"})], dropped: 3 };
    recorded(&mut names, "flows.json", &flows);
    let query = TapQuery { from: Some(text("web-v1")), to: Some(text("shop/catalog")), route: None, status: Some(StatusMatch::Class(5)) };
    recorded(&mut names, "tap-query.json", &query);
    let query = TraceQuery { service: Some(text("shop/catalog")), failed: true, slower: Some(250) };
    recorded(&mut names, "trace-query.json", &query);
    recorded(&mut names, "traces.json", &TraceList { items: vec![trace_summary()], dropped: 0 });
    recorded(&mut names, "trace.json", &trace());
    let link = DashboardLink { url: text("http://127.0.0.1:4711/Pp-p/enter?code=c0de"), expires: 1_790_000_600 };
    recorded(&mut names, "dashboard.json", &link);
    let past = PastEvent { time: 1_790_000_000, what: Event::Hello { generation: 12, time: 1_790_000_000 } };
    recorded(&mut names, "events-past.json", &PastEvents { items: vec![past] });
    let certificate = Certificate {
        identity: text("spiffe://organza.local/ns/shop/sa/web"),
        kind: text("workload"),
        proxy: text("web-v1"),
        issuer: text("issuing"),
        not_before: 1_790_000_000,
        not_after: 1_790_086_400,
    };
    recorded(&mut names, "certificates.json", &CertificateList { items: vec![certificate] });
    let root = |fingerprint: char, state| Root {
        fingerprint: fingerprint.to_string().repeat(64),
        state,
        not_after: 2_105_000_000,
        used_until: if state == RootState::Next { 0 } else { 1_790_086_400 },
    };
    let roots = Roots {
        items: vec![root('a', RootState::Signing), root('b', RootState::Next)],
        rotation: Some(RootRotation { waiting_for: vec!["web-v1".into()] }),
    };
    recorded(&mut names, "roots.json", &roots);
    for (name, event) in events() {
        recorded(&mut names, &format!("event-{name}.json"), &event);
    }
    joining(&mut names);
    let there: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("recorded answers")
        .map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(there, names, "each recorded file is compared with something");
}

fn proxy() -> Proxy {
    Proxy {
        name: text("web-v1"),
        role: Role::Workload,
        namespace: text("shop"),
        service: text("web"),
        revision: text("v1"),
        labels: labels(),
        identity: text("spiffe://organza.local/ns/shop/sa/web"),
        version: text("0.1.0"),
        leaving: 0,
        connected: true,
        acknowledged: Some(12),
        refused: [(text("files/route/shop/httproute.catalog"), text("a regular expression is too large"))].into(),
        resources: 13,
        mtls: true,
        since: 1_790_000_000,
        process: Some(Process { cpu_percent: 5.2, resident_bytes: 15_728_640, threads: 5, descriptors: 45 }),
        drops_trace_context: true,
    }
}

fn service() -> Service {
    let endpoint = Endpoint {
        id: text("web-v1"),
        address: text("127.0.0.1:41008"),
        workload: text("web-v1"),
        revision: text("v1"),
        healthy: true,
        tunnel: text("organza"),
        identity: Some(text("spiffe://organza.local/ns/shop/sa/web")),
        ejected: vec![Ejected { proxy: text("web-v1"), cause: text("5 × 503"), since_millis: 1000, left_millis: 9000, unhealthy: true }],
        checks: vec![Check { proxy: text("web-v1"), passed: true, said: text("GET /healthz answered 200 in 1.2 ms"), at: 1_790_000_000 }],
    };
    Service {
        namespace: text("shop"),
        name: text("web"),
        labels: labels(),
        hostnames: vec![text("web"), text("web.shop")],
        ports: vec![ServicePort { number: 80, name: Some(text("http")), protocol: text("http") }],
        endpoints: vec![endpoint],
        identities: vec![text("spiffe://organza.local/ns/shop/sa/web")],
        breakers: vec![OpenBreaker { proxy: text("web-v1"), percent: 60, requests: 20, since_millis: 1000, half_open: true }],
        crowded: vec![Crowded { proxy: text("web-v1"), open: 8, limit: 8, waiting: 3 }],
    }
}

fn route() -> Route {
    let backend = WeightedBackend { weight: 90, backend: text("shop/catalog-v1:80"), valid: true };
    Route {
        kind: text("HTTPRoute"),
        namespace: text("shop"),
        name: text("catalog"),
        place: text("routes.yaml:3"),
        labels: labels(),
        hosts: vec![text("catalog.example")],
        parents: vec![text("Gateway shop/door.http")],
        rules: vec![RouteRule { name: text("split"), backends: vec![backend] }],
        conditions: vec![condition()],
        applied: 6,
        concerned: 6,
    }
}

fn call() -> Call {
    Call {
        source: text("spiffe://organza.local/ns/shop/sa/web"),
        source_services: vec![text("shop/web")],
        namespace: text("shop"),
        service: text("catalog"),
        workload: text("catalog-1"),
        port: 80,
        protocol: text("http"),
        method: text("GET"),
        path: text("/items/{id}"),
        allowed: 1200,
        denied: 3,
        first_seen: 1_789_900_000,
        last_seen: 1_790_000_000,
        last_allowed: Some(1_789_990_000),
    }
}

fn consumer() -> Consumer {
    let used = Used { requests: 1200, refused: 7, client_errors: 3, failures: 1 };
    let by_day = vec![ConsumedDay { day: 1_789_948_800, used }];
    let api = ConsumedApi { api: text("HTTPRoute shop/orders"), used, first_seen: 1_789_950_000, last_seen: 1_790_000_000, by_day };
    Consumer {
        namespace: text("shop"),
        name: text("acme"),
        labels: labels(),
        groups: vec![text("shop/gold")],
        keys: 2,
        used,
        first_seen: Some(1_789_950_000),
        last_seen: Some(1_790_000_000),
        apis: vec![api],
        conditions: vec![condition()],
        applied: 2,
        concerned: 2,
    }
}

fn edge() -> Edge {
    Edge {
        source_namespace: text("shop"),
        source: text("web-v1"),
        source_version: text("v1"),
        service_namespace: text("shop"),
        service: text("catalog"),
        destination_namespace: text("shop"),
        destination: text("catalog-v2"),
        destination_version: text("v2"),
        protocol: text("http"),
        security: Security::Mtls,
        requests: 1000,
        failures: 1,
        retries: 2,
        requests_per_second: 47.5,
        success_rate: 0.999,
        p50_millis: Some(1.5),
        p99_millis: None,
    }
}

fn change() -> Change {
    Change {
        change: ChangeKind::Changed,
        kind: text("HTTPRoute"),
        namespace: text("shop"),
        name: text("catalog"),
        file: text("routes.yaml"),
        summary: text("HTTPRoute catalog 90/10 → 50/50"),
    }
}

fn events() -> Vec<(&'static str, Event)> {
    let time = 1_790_000_000;
    let all = vec![
        Event::Hello { generation: 12, time },
        Event::Generation { generation: 13, time, changes: vec![change()] },
        Event::Applied { generation: 13, applied: 6, concerned: 6, millis: 41 },
        Event::Refused { problems: vec![located()], serving: 13, time },
        Event::Mended { serving: 13, time },
        Event::Nack { proxy: text("web-v1"), generation: 13, key: text("files/route/shop/httproute.catalog"), reason: text("too large") },
        Event::ProxyConnected { proxy: text("web-v1"), time },
        Event::ProxyDisconnected { proxy: text("web-v1"), reason: text("it ended"), time },
    ];
    // Without a wildcard: an event that is new must be recorded before this compiles.
    let name = |event: &Event| match event {
        Event::Hello { .. } => "hello",
        Event::Generation { .. } => "generation",
        Event::Applied { .. } => "applied",
        Event::Refused { .. } => "refused",
        Event::Mended { .. } => "mended",
        Event::Nack { .. } => "nack",
        Event::ProxyConnected { .. } => "proxy-connected",
        Event::ProxyDisconnected { .. } => "proxy-disconnected",
    };
    all.into_iter().map(|event| (name(&event), event)).collect()
}

fn joining(names: &mut BTreeSet<String>) {
    let identity = text("spiffe://organza.local/ns/shop/sa/web");
    let asked = RegistrationRequest {
        name: text("web-v1"),
        namespace: text("shop"),
        service_account: text("web"),
        service: Some(text("web")),
        ports: vec![WorkloadPort { service: 80, target: 8000 }],
        protocol: Some(text("http")),
        labels: labels(),
        addresses: vec![text("127.0.0.1:41008")],
    };
    recorded(names, "registration-request.json", &asked);
    let given = Registration {
        identity: identity.clone(),
        proxy: text("web-v1"),
        workload: text("organza/workload/shop/web-v1"),
        services: vec![text("files/service/shop/web")],
        xds_address: text("127.0.0.1:15012"),
        control_identity: text("spiffe://organza.local/ns/organza-system/sa/control"),
        trust_roots: text("PEM"),
    };
    recorded(names, "registration.json", &given);
    recorded(names, "sign-request.json", &SignRequest { proxy: text("web-v1"), csr: text("PEM") });
    let signed = SignResponse { identity: identity.clone(), chain: text("PEM"), roots: text("PEM"), not_after: 1_790_086_400 };
    recorded(names, "sign.json", &signed);
    recorded(names, "diff-request.json", &DiffRequest { files: [(text("routes.yaml"), text("kind: HTTPRoute\n"))].into() });
    recorded(names, "diff.json", &Diff { generation: 12, changes: vec![change()], problems: vec![located()] });
    let wanted = TokenRequest { namespace: text("shop"), service_account: text("web"), services: vec![text("web")], ttl_seconds: 600 };
    recorded(names, "token-request.json", &wanted);
    recorded(names, "token.json", &TokenResponse { id: text("7f3a"), token: text("organza-join-…"), expires: 1_790_000_600 });
    let kept = Token {
        id: text("7f3a"),
        identity,
        services: vec![text("web")],
        created: 1_790_000_000,
        expires: 1_790_000_600,
        used: Some(1_790_000_060),
    };
    recorded(names, "tokens.json", &TokenList { items: vec![kept] });
    recorded(
        names,
        "refused.json",
        &Refused { error: text("no proxy is called \"web\""), fix: Some(text("organza get proxies lists them")) },
    );
}

fn figures() -> Figures {
    Figures {
        requests: 475,
        failures: 1,
        client_errors: 2,
        denied: 1,
        faults: 1,
        retries: 3,
        attempts: 478,
        requests_per_second: 47.5,
        success_rate: 0.998,
        actual_success_rate: 0.992,
        p50_millis: Some(1.5),
        p95_millis: Some(3.5),
        p99_millis: None,
        bytes_received: 1000,
        bytes_sent: 2000,
    }
}

fn graph() -> Graph {
    let version = NodeVersion { version: text("v2"), endpoints: 2, healthy: 1, weight_percent: Some(10.0), figures: figures() };
    let node = Node {
        id: text("service/shop/catalog"),
        kind: NodeKind::Service,
        namespace: text("shop"),
        name: text("catalog"),
        figures: figures(),
        versions: vec![version],
        marks: vec![text("split")],
    };
    let edge = GraphEdge {
        id: text("service/shop/web→service/shop/catalog/http"),
        source: text("service/shop/web"),
        destination: text("service/shop/catalog"),
        protocol: text("http"),
        security: Some(Security::Mtls),
        mixed: false,
        figures: figures(),
        opened: 0,
        open: 0,
        total_requests: 1000,
        total_failures: 1,
        seen: 1_790_000_000,
        versions: vec![EdgeVersion { version: text("v2"), figures: figures() }],
    };
    Graph { generation: 12, time: 1_790_000_000, window_seconds: 10, nodes: vec![node], edges: vec![edge], left_out: 0 }
}

fn trace_summary() -> TraceSummary {
    TraceSummary {
        trace_id: text("4bf92f3577b34da6a3ce929d0e0e4736"),
        name: text("GET /items"),
        service: text("catalog"),
        started_millis: 1_790_000_000_123.456,
        duration_millis: 41.5,
        spans: 3,
        failed: 1,
        workloads: vec![text("catalog-v1"), text("web-v1")],
    }
}

fn trace() -> Trace {
    let span = Span {
        span_id: text("00f067aa0ba902b7"),
        parent_span_id: Some(text("53995c3f42cd8ad8")),
        depth: 1,
        kind: SpanKind::Server,
        name: text("GET /items"),
        proxy: text("catalog-v1"),
        workload: text("catalog-v1"),
        service: text("catalog"),
        start_millis: 0.5,
        duration_millis: 40.25,
        status: 503,
        failed: true,
        clock_millis: Some(-3_600_000.0),
        record: serde_json::json!({"proxy": "catalog-v1"}),
    };
    Trace {
        trace_id: text("4bf92f3577b34da6a3ce929d0e0e4736"),
        started_millis: 1_790_000_000_123.456,
        duration_millis: 41.5,
        spans: vec![span],
        left_out: 2,
    }
}

fn workload() -> Workload {
    Workload {
        namespace: text("shop"),
        name: text("web-v1"),
        canonical_name: text("web-v1"),
        version: text("v1"),
        identity: text("spiffe://organza.local/ns/shop/sa/web"),
        labels: labels(),
        addresses: vec![text("127.0.0.1")],
        ports: vec![9101],
        tunnel: text("organza"),
        locality: text("eu/a"),
        services: vec![text("files/service/shop/web")],
        node: text("service/shop/web"),
    }
}

#[test]
fn the_description_names_every_path_and_every_recorded_field() {
    let described = std::fs::read_to_string("../docs/control-api.md").expect("the description of the API");
    for path in [
        path::STATUS,
        path::OBJECTS,
        path::PROXIES,
        path::SERVICES,
        path::ROUTES,
        path::EDGES,
        path::GRAPH,
        path::HISTORY,
        path::WORKLOADS,
        path::PROBLEMS,
        path::PAST_EVENTS,
        path::FLOWS,
        path::TRACES,
        &path::trace("ID"),
        path::TAP,
        path::DASHBOARD,
        path::CERTIFICATES,
        path::EVENTS,
        path::REGISTRATIONS,
        path::SIGN,
        path::DIFF,
        path::TOKENS,
        &path::resources("NAME"),
    ] {
        assert!(described.contains(&format!("`{path}")), "{path}");
    }
    for entry in std::fs::read_dir(folder()).expect("recorded answers") {
        let path = entry.expect("a file").path();
        let value: Value = serde_json::from_str(&std::fs::read_to_string(&path).expect("text")).expect("JSON");
        let mut fields = BTreeSet::new();
        collect(&value, &mut fields);
        for field in fields {
            assert!(described.contains(&format!("`{field}`")), "{} has {field}, which the description does not name", path.display());
        }
    }
}

/// Names of all fields, but for those below a user's own words.
fn collect(value: &Value, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, below) in map {
                fields.insert(name.clone());
                if !["labels", "manifest", "refused", "files", "keyless"].contains(&name.as_str()) {
                    collect(below, fields);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, fields)),
        _ => {}
    }
}
