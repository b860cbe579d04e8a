//! What is answered to whom the API server of a cluster lets through: questions, and nothing that changes a thing or gives a right.

use super::*;
use crate::store::Memory;
use axum::http::Request as Question;
use tower::ServiceExt;

fn api(folder: &std::path::Path) -> Api {
    let config = crate::tests::config(folder);
    let (core, _) = crate::open(&config, Arc::new(Memory::default())).unwrap();
    Api {
        core,
        xds_address: "127.0.0.1:1".into(),
        control_identity: "spiffe://organza.local/ns/organza-system/sa/control".into(),
        release: "0",
        synced: tokio::sync::watch::channel(true).1,
        desk: Arc::new(Desk::new(Some([7; 32]), ([127, 0, 0, 1], 2).into()).unwrap()),
        prometheus: None,
        links: Arc::from([]),
        logs: None,
        callers: None,
    }
}

async fn ask(router: &Router, method: &str, path: &str, host: &str) -> StatusCode {
    let question = Question::builder().method(method).uri(path).header("host", host).header("content-type", "application/json");
    router.clone().oneshot(question.body(Body::from("{}")).unwrap()).await.unwrap().status()
}

#[tokio::test]
async fn questions_are_answered_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let api = api(folder.path());
    let (questions, owner) = (api.clone().questions(), api.router());
    for path in [path::STATUS, path::OBJECTS, path::PROXIES, path::GRAPH, path::CERTIFICATES, path::FLOWS, path::TAP, path::EVENTS] {
        assert_eq!(ask(&questions, "GET", path, HOST).await, StatusCode::OK, "{path}");
    }
    assert_eq!(ask(&questions, "GET", "/v1/proxies/nobody/resources", HOST).await, StatusCode::NOT_FOUND);
    // Of these the owner's socket knows each, so that what is refused here is not just misspelt.
    let others = [("POST", path::REGISTRATIONS), ("DELETE", "/v1/registrations/web"), ("POST", path::SIGN)];
    let rights =
        [("POST", path::ROTATE), ("POST", path::DASHBOARD), ("GET", path::TOKENS), ("POST", path::TOKENS), ("DELETE", "/v1/tokens/a")];
    for (method, path) in rights {
        assert_eq!(ask(&questions, method, path, HOST).await, StatusCode::UNAUTHORIZED, "{method} {path}");
    }
    let unknown = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
    for (method, path) in others {
        assert_eq!(ask(&questions, method, path, HOST).await, StatusCode::NOT_FOUND, "{method} {path}");
    }
    assert!(!unknown.contains(&ask(&owner, "GET", path::TOKENS, HOST).await));
    assert!(!unknown.contains(&ask(&owner, "POST", path::DASHBOARD, HOST).await));
}

/// Who brings a token may what the API server says that he may, and nothing else: also what he could ask without.
#[tokio::test]
async fn who_brings_a_token_is_judged_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let callers = crate::kubernetes::callers::tests::server(&Arc::default());
    let questions = Api { callers: Some(Arc::new(callers)), ..api(folder.path()) }.questions();
    let ask = async |method: &str, path: &str, token: &str| {
        let question = Question::builder().method(method).uri(path).header("host", HOST).header("content-type", "application/json");
        let question = question.header("authorization", token).body(Body::from("null")).unwrap();
        questions.clone().oneshot(question).await.unwrap().status()
    };
    let link = |role: &str| format!("{}?role={role}", path::DASHBOARD);
    assert_eq!(ask("GET", path::TAP, "Bearer ann's").await, StatusCode::OK);
    assert_eq!(ask("POST", &link("tapper"), "Bearer ann's").await, StatusCode::OK, "as much as she may herself");
    assert_eq!(ask("POST", &link("operator"), "Bearer ann's").await, StatusCode::FORBIDDEN);
    assert_eq!(ask("GET", path::TOKENS, "Bearer ann's").await, StatusCode::FORBIDDEN);
    assert_eq!(ask("GET", "/v1/proxies/nobody/resources", "Bearer ann's").await, StatusCode::FORBIDDEN, "an operator's");
    assert_eq!(ask("GET", path::TOKENS, "Bearer sys's").await, StatusCode::OK);
    for token in ["Bearer nobody's", "Basic ann:pass", "Bearer "] {
        assert_eq!(ask("GET", path::STATUS, token).await, StatusCode::UNAUTHORIZED, "{token}");
    }
    assert_eq!(ask("POST", path::SIGN, "Bearer sys's").await, StatusCode::NOT_FOUND);
}

/// A page in a browser of whoever forwards the port by hand says the name by which it got here.
#[tokio::test]
async fn a_browser_is_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let questions = api(folder.path()).questions();
    for host in ["localhost:15011", "127.0.0.1:15011", "evil.example", ""] {
        assert_eq!(ask(&questions, "GET", path::STATUS, host).await, StatusCode::FORBIDDEN, "{host:?}");
    }
}

#[tokio::test]
async fn bodies_are_of_so_many_bytes_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let owner = self::api(folder.path()).router();
    let send = async |path: &str, bytes: usize| {
        let question = Question::builder().method("POST").uri(path).header("host", HOST).header("content-type", "application/json");
        owner.clone().oneshot(question.body(Body::from(" ".repeat(bytes))).unwrap()).await.unwrap().status()
    };
    for (path, most) in [(path::TOKENS, limits::API_BODY), (path::DIFF, limits::DIFF_BODY)] {
        // It is no JSON, but is read.
        assert_ne!(send(path, most).await, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        assert_eq!(send(path, most + 1).await, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
}

#[tokio::test]
async fn what_is_told_and_remembered_has_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let core = self::api(folder.path()).core;
    let mut slow = core.events.subscribe();
    let before = core.past_events().items.len();
    assert!(before < limits::PAST_EVENTS);
    (0..=limits::EVENTS as u64).for_each(|n| core.tell(Event::Mended { serving: n, time: 0 }));
    assert_eq!(core.past_events().items.len(), limits::PAST_EVENTS);
    assert!(matches!(slow.try_recv(), Err(tokio::sync::broadcast::error::TryRecvError::Lagged(1))));
    let problem = api::Located {
        severity: api::Severity::Error,
        file: "f.yaml".into(),
        line: 1,
        column: 1,
        object: String::new(),
        path: String::new(),
        reason: "Unreadable".into(),
        message: "it is no YAML".into(),
        fix: None,
    };
    core.read(crate::files::Read { objects: Vec::new(), problems: vec![problem; limits::PROBLEMS + 1] });
    assert_eq!(beside::problems(&core).items.len(), limits::PROBLEMS);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_say_what_it_wants_keeps_the_socket_for_so_long_and_no_longer() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    // Nothing at all, what may be the beginning of any version, and half a head.
    for said in ["", "P", "GET /v1/status HTTP/1.1\r\n"] {
        let (mut silent, served) = tokio::io::duplex(1024);
        tokio::spawn(answer(served, Router::new()));
        silent.write_all(said.as_bytes()).await.unwrap();
        let begun = tokio::time::Instant::now();
        let ended = tokio::time::timeout(limits::API_HEAD * 2, silent.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{said:?}: it is ended");
        assert_eq!(begun.elapsed(), limits::API_HEAD, "{said:?}");
    }
}

/// The answer to a question by who has answers of these names: its status, its name, and how long it is.
async fn told(router: &Router, path: &str, known: &str) -> (StatusCode, String, usize) {
    let mut question = Question::builder().uri(path).header("host", HOST);
    if !known.is_empty() {
        question = question.header("if-none-match", known);
    }
    let answer = router.clone().oneshot(question.body(Body::empty()).unwrap()).await.unwrap();
    let name = answer.headers().get("etag").map_or("", |name| name.to_str().unwrap()).to_owned();
    (answer.status(), name, axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap().len())
}

#[tokio::test]
async fn what_the_asker_has_is_not_sent_again_and_what_is_new_is() {
    let folder = tempfile::tempdir().unwrap();
    let api = self::api(folder.path());
    let (core, router) = (api.core.clone(), api.router());
    for path in [path::GRAPH, path::OBJECTS, path::FLOWS, path::TRACES, path::PROBLEMS] {
        let (status, name, bytes) = told(&router, path, "").await;
        assert!(status == StatusCode::OK && name.starts_with("W/\"") && bytes > 0, "{path}: {status} {name}");
        // Whatever else is known, and as strong as whoever keeps it takes it for.
        for known in [name.clone(), format!("\"other\", {name}"), name.trim_start_matches("W/").to_owned(), "*".to_owned()] {
            assert_eq!(told(&router, path, &known).await, (StatusCode::NOT_MODIFIED, name.clone(), 0), "{path} {known}");
        }
        assert_eq!(told(&router, path, "\"other\"").await, (status, name, bytes), "{path}");
    }
    // That time passes changes no graph; that somebody is called does.
    let (_, before, _) = told(&router, path::GRAPH, "").await;
    let id = telemetry::EdgeId {
        reporter: telemetry::Reporter::Source,
        source_namespace: "shop".into(),
        source_workload: "web".into(),
        source_version: "v1".into(),
        service_namespace: "shop".into(),
        service: "catalog".into(),
        destination_namespace: "shop".into(),
        destination_workload: "catalog".into(),
        destination_version: "v1".into(),
        protocol: telemetry::Protocol::Http,
        security: telemetry::Security::MutualTls,
    };
    let counts = telemetry::EdgeTotals { requests: 1, ..Default::default() };
    let delta = telemetry::EdgeDelta { incarnation: 1, sequence: 1, edges: vec![(id, counts)], ..Default::default() };
    core.lock().graph.report("web", delta, seconds(now()));
    let (status, after, whole) = told(&router, path::GRAPH, &before).await;
    assert!(status == StatusCode::OK && after != before, "{status} {after}");
    let (_, _, near) = told(&router, "/v1/graph?node=service/shop/none", "").await;
    assert!(near < whole, "a node that is not there has no edges: {near} of {whole}");
    // Of a process and of a route, by themselves; the word of a process is of one time.
    let status = async |path: &str| told(&router, path, "").await.0;
    assert_eq!(
        (status("/v1/graph?proxy=web").await, status("/v1/graph?proxy=web&seconds=60").await),
        (StatusCode::OK, StatusCode::BAD_REQUEST)
    );
    for path in ["/v1/graph?route=HTTPRoute/shop/none", "/v1/history?route=none"] {
        assert_eq!(status(path).await, StatusCode::NOT_FOUND, "{path}");
    }
    // What fails has no name.
    assert_eq!(told(&router, "/v1/requests?id=none", "*").await.0, StatusCode::NOT_FOUND);
    assert!(told(&router, "/v1/history", "*").await.1.is_empty());
}

#[tokio::test]
async fn that_time_passes_is_no_news_of_a_last_hour() {
    let folder = tempfile::tempdir().unwrap();
    let api = self::api(folder.path());
    let (core, router) = (api.core.clone(), api.router());
    let (status, name, bytes) = told(&router, "/v1/history?node=service/shop/catalog", "").await;
    let mut said = picture::history(&core, picture::Of::Node("service/shop/catalog"));
    assert!(status == StatusCode::OK && said.time > 0 && bytes > serde_json::to_string(&api::History::default()).unwrap().len());
    said.time = 0;
    assert_eq!(known::name(&said).unwrap(), *name);
}

#[tokio::test]
async fn each_day_of_what_consumers_used_is_told_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let api = self::api(folder.path());
    let consumer = "
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: organza.dev/v1alpha1
kind: Consumer
metadata: {name: acme, namespace: shop}
spec:
  targetRefs: [{group: '', kind: Service, name: orders}]
  keys: [{sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}]
";
    let (objects, problems) = frontends::file::parse("acme.yaml", consumer);
    assert!(problems.is_empty());
    api.core.read(crate::files::Read { objects, problems: Vec::new() });
    let id = telemetry::ConsumedId { consumer: "shop/acme".into(), api: "Service shop/orders".into() };
    let counts = telemetry::ConsumedCounts { requests: 5, ..Default::default() };
    api.core.lock().consumption.report([(id, counts)], seconds(now()));
    for days in [false, true] {
        let all = consumers::consumers(&api.core, days).items;
        let of: Vec<_> = all.iter().flat_map(|one| &one.apis).map(|one| (one.used.requests, one.by_day.len())).collect();
        assert_eq!(of, [(5, usize::from(days))]);
    }
    let router = api.router();
    let (_, _, whole) = told(&router, "/v1/consumers?days=true", "").await;
    let (status, _, bytes) = told(&router, path::CONSUMERS, "").await;
    assert!(status == StatusCode::OK && bytes < whole, "{status}: {bytes} of {whole}");
    assert_eq!(told(&router, "/v1/consumers?day=true", "").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_goes_along_to_a_collector_is_shown_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let api = self::api(folder.path());
    let policy = r#"
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XTelemetryPolicy
metadata:
  name: all
  namespace: shop
  annotations:
    team: shop
    kubectl.kubernetes.io/last-applied-configuration: '{"spec":{"tracing":{"provider":{"headers":[{"name":"authorization","value":"canary-5d0e"}]}}}}'
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]
  tracing: {mode: Enabled, provider: {backendRef: {name: collector, port: 4317}, headers: [{name: authorization, value: canary-5d0e}]}}
---
apiVersion: v1
kind: Secret
metadata:
  name: key
  namespace: shop
  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"kind":"Secret","data":{"key":"canary-5d0e"}}'}
data: {key: canary-5d0e}
"#;
    let (objects, problems) = frontends::file::parse("all.yaml", policy);
    assert!(problems.is_empty());
    api.core.read(crate::files::Read { objects, problems: Vec::new() });
    let told = serde_json::to_string(&told::objects(&api.core, true)).unwrap();
    assert!(told.contains("XTelemetryPolicy") && told.contains("authorization") && !told.contains("canary-5d0e"), "{told}");
    // What else is noted of an object is shown.
    assert!(told.contains("Secret") && told.contains("\"team\":\"shop\""), "{told}");
}

#[tokio::test]
async fn whether_a_gateway_of_another_controller_is_programmed_is_not_said() {
    let folder = tempfile::tempdir().unwrap();
    let api = self::api(folder.path());
    let class = |name: &str, controller: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: {name}}}\nspec: {{controllerName: {controller}}}\n---\n\
             apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{gatewayClassName: {name}, listeners: [{{name: http, port: 80, protocol: HTTP}}]}}\n---\n"
        )
    };
    let text = class("ours", "organza.dev/gateway-controller") + &class("theirs", "example.com/other");
    let (objects, problems) = frontends::file::parse("all.yaml", &text);
    assert!(problems.is_empty());
    api.core.read(crate::files::Read { objects, problems: Vec::new() });
    let told = told::objects(&api.core, false);
    let says = |name: &str| {
        let gateway = told.items.iter().find(|object| object.kind == "Gateway" && object.name == name).unwrap();
        gateway.conditions.iter().any(|condition| condition.kind == "Programmed")
    };
    assert_eq!((says("ours"), says("theirs")), (true, false));
}

/// As folders for a cluster have it: what others read is no mistake there.
#[tokio::test]
async fn kinds_of_others_are_passed_over_where_files_are_a_clusters() {
    let folder = tempfile::tempdir().unwrap();
    let api = self::api(folder.path());
    let asked = async |object: &str| {
        let body = serde_json::json!({"files": {"all.yaml": format!("{object}metadata: {{name: a, namespace: shop}}\n")}});
        let question = Question::builder().method("POST").uri(path::DIFF).header("host", HOST).header("content-type", "application/json");
        api.clone().router().oneshot(question.body(Body::from(body.to_string())).unwrap()).await.unwrap().status()
    };
    let deployment = "apiVersion: apps/v1\nkind: Deployment\n";
    assert_eq!(asked(deployment).await, StatusCode::BAD_REQUEST);
    let nobody = kube::Config::new("http://127.0.0.1:9".parse().unwrap());
    api.core.join_cluster(kube::Client::try_from(nobody).unwrap());
    assert_eq!(asked(deployment).await, StatusCode::OK);
    assert_eq!(
        asked("apiVersion: gateway.networking.k8s.io/v1\nkind: HttpRoute\n").await,
        StatusCode::BAD_REQUEST,
        "a mistake is one everywhere"
    );
}

#[tokio::test(start_paused = true)]
async fn who_asks_before_there_is_a_world_waits_for_it_for_so_long_and_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let (synced, is_synced) = tokio::sync::watch::channel(false);
    let api = Api { synced: is_synced, ..api(folder.path()) };
    let doors = [api.clone().router(), api.clone().questions(), api.clone().for_browsers()];
    let begun = tokio::time::Instant::now();
    for door in &doors {
        let asked = begun.elapsed();
        assert_eq!(ask(door, "GET", path::OBJECTS, HOST).await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(begun.elapsed() - asked, limits::WORLD);
    }
    let asked = begun.elapsed();
    assert_eq!(ask(&doors[0], "GET", "/ready", HOST).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(begun.elapsed(), asked, "who looks whether it is ready is told at once");
    let comes = async {
        tokio::time::sleep(limits::WORLD / 2).await;
        synced.send_replace(true);
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(doors.iter().map(|door| ask(door, "GET", path::OBJECTS, HOST))), comes);
    assert_eq!(answers, [StatusCode::OK; 3]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_world_in_vain_is_told_what_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let (_synced, is_synced) = tokio::sync::watch::channel(false);
    let api = Api { synced: is_synced, ..api(folder.path()) };
    let (router, core) = (api.clone().router(), api.core);
    let said = async || {
        let question = Question::builder().uri(path::OBJECTS).header("host", HOST).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(question).await.unwrap();
        let refused: api::Refused = serde_json::from_slice(&axum::body::to_bytes(answer.into_body(), 1 << 10).await.unwrap()).unwrap();
        refused.error
    };
    let problem = |reason: &str, message: &str| {
        let (file, object, path, fix) = Default::default();
        let (reason, message) = (reason.into(), message.into());
        api::Located { severity: api::Severity::Warning, file, line: 0, column: 0, object, path, reason, message, fix }
    };
    let beside = [problem("NoKind", "the cluster has no XMesh"), problem("NotSynced", "the objects are not listed yet")];
    core.lock().problems = beside.to_vec();
    assert_eq!(said().await, "not all objects are listed yet");
    core.lock().problems.insert(1, problem("Unreachable", "the API server does not answer"));
    assert_eq!(said().await, "not all objects are listed yet: the API server does not answer");
}

/// Its proxies have left it: what it would say of them is not so.
#[tokio::test]
async fn a_control_plane_of_a_cluster_that_ends_leaves_the_answer_to_who_leads_next() {
    for (is_clusters, told) in [(true, StatusCode::SERVICE_UNAVAILABLE), (false, StatusCode::OK)] {
        let folder = tempfile::tempdir().unwrap();
        let api = api(folder.path());
        if is_clusters {
            let nobody = tower::service_fn(async |_: axum::http::Request<kube::client::Body>| {
                Err::<axum::http::Response<Body>, _>(std::io::Error::other("nobody asks it"))
            });
            api.core.join_cluster(kube::Client::new(nobody, "default"));
        }
        let router = api.clone().router();
        assert_eq!(ask(&router, "GET", path::OBJECTS, HOST).await, StatusCode::OK);
        api.core.end();
        assert_eq!(ask(&router, "GET", path::OBJECTS, HOST).await, told);
    }
}
