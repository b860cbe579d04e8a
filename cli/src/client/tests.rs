use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

#[tokio::test]
async fn an_answer_is_of_so_many_bytes_and_no_more() {
    let socket = std::env::temp_dir().join(format!("organza-client-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&socket).expect("a socket");
    let server = tokio::spawn(async move {
        for length in [1000, limits::ANSWER_BYTES + 1] {
            let (mut stream, _) = listener.accept().await.expect("a question");
            assert!(stream.read(&mut [0; 4096]).await.expect("its head") > 0);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.expect("a head");
            // Who has had enough closes.
            let _ = stream.write_all(&vec![b'x'; length]).await;
        }
    });
    let client = Client::admin(&socket, "web");
    assert_eq!(client.text("/").await.expect("an answer").len(), 1000);
    assert!(client.text("/").await.expect_err("it is too much").what.contains("broke off its answer"));
    server.await.expect("the server ends");
    std::fs::remove_file(socket).expect("cleaned");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_waited_for_so_long_and_no_longer() {
    let socket = std::env::temp_dir().join(format!("organza-client-silent-{}.sock", std::process::id()));
    let _silent = UnixListener::bind(&socket).expect("a socket");
    let begun = tokio::time::Instant::now();
    let client = Client::admin(&socket, "web");
    let late = tokio::time::timeout(limits::ANSWER * 2, client.text("/")).await.expect("it is given up").expect_err("no answer");
    assert!(late.what.contains("does not answer"), "{late}");
    assert_eq!(begun.elapsed(), limits::ANSWER);
    std::fs::remove_file(socket).expect("cleaned");
}

/// An API server that knows who leads, and lets nobody through to a pod: one is there no more (404), the other is not to be asked by this user (403).
fn cluster(leads: impl Fn() -> &'static str + Clone + Send + 'static) -> control::kubernetes::Client {
    let server = tower::service_fn(move |request: Request<_>| {
        let leads = leads.clone();
        async move {
            let path = request.uri().path();
            let (code, body) = if path.ends_with("/leases/organza-control") {
                (200, serde_json::json!({"metadata": {}, "spec": {"holderIdentity": leads()}}))
            } else {
                let code = if path.contains("/pods/lost/") { 404 } else { 403 };
                (code, serde_json::json!({"kind": "Status", "status": "Failure", "code": code, "message": path, "reason": ""}))
            };
            let answer = Response::builder().status(code).body(Full::new(Bytes::from(body.to_string())));
            answer.map_err(std::io::Error::other)
        }
    });
    control::kubernetes::Client::new(server, "default")
}

#[tokio::test(start_paused = true)]
async fn where_who_leads_is_away_another_is_waited_for_and_asked() {
    let begun = tokio::time::Instant::now();
    let lease = std::time::Duration::from_secs(15);
    let api = cluster(move || if begun.elapsed() < lease { "lost" } else { "next" });
    let leader = Leader::find(api, "organza-system").await.expect("its name");
    for client in [Client::leader(leader.clone()), Client::inside(leader.clone()), Client::by_token(leader.clone(), "t".into())] {
        // Whoever looks at how things are is told at once.
        let now = client.text("/").await.expect_err("nobody answers");
        assert!(now.what.contains("lost") && begun.elapsed() < limits::LEADER_AGAIN, "{now}");
    }
    let changed = Client::inside(leader.clone()).patient().delete("/").await.expect_err("it is refused");
    assert!(changed.what.contains("next") && (lease..limits::LEADER).contains(&begun.elapsed()), "{changed}");
    let asked = Client::leader(leader).patient().text("/").await.expect_err("it is refused");
    assert!(asked.what.contains("next") && asked.why.is_some_and(|why| why.contains("(403)")), "{}", asked.what);
}

#[tokio::test(start_paused = true)]
async fn another_leader_is_waited_for_so_long_and_no_longer() {
    let leader = Leader::find(cluster(|| "lost"), "organza-system").await.expect("its name");
    let begun = tokio::time::Instant::now();
    let lost = Client::leader(leader.clone()).patient().text("/").await.expect_err("nobody answers");
    assert!(lost.what.contains("lost"), "{lost}");
    assert_eq!(begun.elapsed(), limits::LEADER);
    // What is refused stays so.
    let leader = Leader::find(cluster(|| "next"), "organza-system").await.expect("its name");
    let begun = tokio::time::Instant::now();
    assert!(Client::leader(leader).patient().text("/").await.is_err());
    assert!(begun.elapsed() < limits::LEADER_AGAIN);
}

/// Whoever watches waits for it, and scripts try again.
#[test]
fn who_has_no_answer_yet_is_as_one_that_is_not_reached() {
    let refused = br#"{"error": "not all objects are listed yet", "fix": "ask again in a moment"}"#;
    let yet = refusal("/v1/objects", hyper::StatusCode::SERVICE_UNAVAILABLE, refused);
    assert_eq!(
        (yet.code, &*yet.what, yet.why, yet.remedy.as_deref()),
        (Code::Unreachable, "not all objects are listed yet", None, Some("ask again in a moment"))
    );
    assert_eq!(refusal("/v1/objects", hyper::StatusCode::CONFLICT, refused).code, Code::Problems);
    // What is no answer of ours says the same by its status.
    let starting = refusal("/ready", hyper::StatusCode::SERVICE_UNAVAILABLE, b"starting\n");
    assert_eq!((starting.code, starting.why.as_deref()), (Code::Unreachable, Some("starting")));
}

#[tokio::test]
async fn who_has_no_answer_yet_is_asked_again_by_who_is_patient_and_where_nothing_is_changed() {
    let socket = std::env::temp_dir().join(format!("organza-client-yet-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&socket).expect("a socket");
    let server = tokio::spawn(async move {
        for answer in ["503 Service Unavailable", "503 Service Unavailable", "503 Service Unavailable", "200 OK"] {
            let (mut stream, _) = listener.accept().await.expect("a question");
            assert!(stream.read(&mut [0; 4096]).await.expect("its head") > 0);
            let head = format!("HTTP/1.1 {answer}\r\nContent-Length: 3\r\nConnection: close\r\n\r\nyet");
            stream.write_all(head.as_bytes()).await.expect("an answer");
        }
    });
    let client = Client::admin(&socket, "web");
    assert_eq!(client.text("/").await.expect_err("not yet").code, Code::Unreachable);
    let patient = client.patient();
    assert_eq!(patient.delete("/").await.expect_err("not yet").code, Code::Unreachable);
    assert_eq!(patient.text("/").await.expect("the second time"), "yet");
    server.await.expect("the server ends");
    std::fs::remove_file(socket).expect("cleaned");
}
