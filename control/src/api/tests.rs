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
    let others = [
        ("POST", path::ROTATE),
        ("POST", path::DASHBOARD),
        ("POST", path::REGISTRATIONS),
        ("DELETE", "/v1/registrations/web"),
        ("POST", path::SIGN),
        ("GET", path::TOKENS),
        ("POST", path::TOKENS),
        ("DELETE", "/v1/tokens/a"),
    ];
    let unknown = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
    for (method, path) in others {
        assert_eq!(ask(&questions, method, path, HOST).await, StatusCode::NOT_FOUND, "{method} {path}");
    }
    assert!(!unknown.contains(&ask(&owner, "GET", path::TOKENS, HOST).await));
    assert!(!unknown.contains(&ask(&owner, "POST", path::DASHBOARD, HOST).await));
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
        answer(served, Router::new());
        silent.write_all(said.as_bytes()).await.unwrap();
        let begun = tokio::time::Instant::now();
        let ended = tokio::time::timeout(limits::API_HEAD * 2, silent.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{said:?}: it is ended");
        assert_eq!(begun.elapsed(), limits::API_HEAD, "{said:?}");
    }
}
