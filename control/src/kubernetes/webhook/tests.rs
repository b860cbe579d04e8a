use super::*;
use axum::body::Body;
use axum::http::Request;
use http_body_util::{BodyExt, Full};
use rustls::pki_types::{CertificateDer, ServerName};
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::ServiceExt;

const NAME: &str = "organza-webhook.organza-system.svc";

fn core(folder: &std::path::Path) -> Arc<Core> {
    crate::open(&crate::tests::config(folder), Arc::new(crate::store::Memory::default())).unwrap().0
}

/// As an API server comes that was given the roots.
async fn connect(address: std::net::SocketAddr, core: &Core, name: &'static str) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    for root in core.lock().authority.roots() {
        roots.add(CertificateDer::from(root)).unwrap();
    }
    let builder = rustls::ClientConfig::builder_with_provider(identity::provider().clone());
    let config = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name).unwrap(), stream).await
}

async fn listening(core: &Arc<Core>) -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, core) = (listener.local_addr().unwrap(), core.clone());
    (address, tokio::spawn(async move { serve(listener, &core, NAME).await }))
}

fn review() -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "namespace": "shop", "name": "a", "object": {}}})
}

#[tokio::test]
async fn an_api_server_that_was_given_the_roots_is_answered_under_the_services_name_alone() {
    let folder = tempfile::tempdir().unwrap();
    let core = core(folder.path());
    let (address, serving) = listening(&core).await;
    assert!(connect(address, &core, "elsewhere.organza-system.svc").await.is_err());
    let stream = connect(address, &core, NAME).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("/admit").header("host", NAME).body(Full::new(Bytes::from(review().to_string()))).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let answer: Value = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(answer["response"], json!({"uid": "u", "allowed": true}));
    serving.abort();
}

#[tokio::test]
async fn what_is_shown_follows_the_root() {
    let folder = tempfile::tempdir().unwrap();
    let core = core(folder.path());
    let shown = Shown::make(&core, NAME).unwrap();
    assert!(!shown.is_due(&core));
    let (next, at) = (core.lock().authority.add_root(now()).unwrap(), now());
    assert!(!shown.is_due(&core), "the new one signs nothing yet");
    core.lock().authority.issue_from(next, at).unwrap();
    assert!(shown.is_due(&core));
    assert!(!Shown::make(&core, NAME).unwrap().is_due(&core));
}

async fn asked(router: Router, body: Vec<u8>) -> StatusCode {
    router.oneshot(Request::post("/admit").body(Body::from(body)).unwrap()).await.unwrap().status()
}

#[tokio::test]
async fn a_question_is_of_so_many_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let router = router(core(folder.path()));
    let mut body = review().to_string().into_bytes();
    body.resize(limits::ADMISSION_BODY, b' ');
    assert_eq!(asked(router.clone(), body.clone()).await, StatusCode::OK);
    body.push(b' ');
    assert_eq!(asked(router.clone(), body).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(asked(router, b"nonsense".to_vec()).await, StatusCode::BAD_REQUEST);
}

fn question() -> Bytes {
    Bytes::from(review().to_string())
}

#[tokio::test(start_paused = true)]
async fn who_gets_no_place_in_time_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let asking = Asked::new(core(folder.path()));
    let _busy = asking.places.clone().acquire_many_owned(limits::ADMISSIONS as u32).await.unwrap();
    let begun = tokio::time::Instant::now();
    let refused = timeout(limits::ADMISSION_TIME, judge(asking, question())).await.unwrap();
    assert_eq!(refused.err(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert!(begun.elapsed() >= limits::ADMISSION_WAIT, "{:?}", begun.elapsed());
}

/// Who asks and goes away, again and again, would have as many judged at once as he likes.
#[test]
fn a_judgement_keeps_its_place_when_who_asked_has_gone_away() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let asking = Asked::new(core(folder.path()));
        // The one thread that judges is held up.
        let (go, held) = std::sync::mpsc::channel::<()>();
        let holding = tokio::task::spawn_blocking(move || held.recv());
        let mut under_way = Box::pin(judge(asking.clone(), question()));
        tokio::select! {
            biased;
            _ = &mut under_way => panic!("nobody judges yet"),
            () = std::future::ready(()) => {}
        }
        drop(under_way);
        assert_eq!(asking.places.available_permits(), limits::ADMISSIONS - 1);
        go.send(()).unwrap();
        holding.await.unwrap().unwrap();
        let _all = asking.places.acquire_many(limits::ADMISSIONS as u32).await.unwrap();
    });
}

/// A connection to what answers, without a network: time goes on only where nobody has anything to do.
fn answering(core: Arc<Core>) -> tokio::io::DuplexStream {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(answer(theirs, router(core)));
    ours
}

#[tokio::test(start_paused = true)]
async fn who_tells_half_a_question_is_given_up_and_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut stream = answering(core(folder.path()));
    let begun = tokio::time::Instant::now();
    stream.write_all(b"POST /admit HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{").await.unwrap();
    let mut said = Vec::new();
    let ended = timeout(limits::ADMISSION_AGE / 2, stream.read_to_end(&mut said)).await;
    assert!(ended.is_ok(), "the connection is open yet: {}", String::from_utf8_lossy(&said));
    assert!(said.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&said));
    assert!(begun.elapsed() >= limits::ADMISSION_TIME, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_grows_so_old_and_ends_between_two_questions() {
    let folder = tempfile::tempdir().unwrap();
    let stream = answering(core(folder.path()));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let ended = tokio::spawn(connection);
    let begun = tokio::time::Instant::now();
    // It is never quiet for long enough to be given up for that, and asks nothing at the instant at which it ends.
    let (between, mut answers) = (Duration::from_secs(7), 0);
    while sender.ready().await.is_ok() && begun.elapsed() < 2 * limits::ADMISSION_AGE {
        let request = Request::post("/admit").header("host", NAME).body(Full::new(question())).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.into_body().collect().await.unwrap();
        answers += 1;
        tokio::time::sleep(between).await;
    }
    assert!(ended.is_finished(), "it is open yet");
    assert!(answers >= limits::ADMISSION_AGE.as_secs() / between.as_secs(), "{answers}");
}

/// An API server that refuses to have roots written so many times; when it was asked is kept.
fn refusing(times: usize, asked: &Arc<Mutex<Vec<Duration>>>) -> Client {
    let (asked, begun) = (asked.clone(), tokio::time::Instant::now());
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let asked = asked.clone();
        async move {
            let is_refused = {
                let mut asked = asked.lock().unwrap();
                asked.push(begun.elapsed());
                asked.len() <= times
            };
            let body = request.into_body().collect().await.unwrap().to_bytes().to_vec();
            let nothing = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","message":"none","code":404}"#;
            let (status, body) = if is_refused { (404, nothing.as_bytes().to_vec()) } else { (200, body) };
            Ok::<_, std::convert::Infallible>(axum::http::Response::builder().status(status).body(kube::client::Body::from(body)).unwrap())
        }
    });
    Client::new(service, "organza")
}

#[tokio::test(start_paused = true)]
async fn roots_that_could_not_be_written_are_written_soon() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Arc::default();
    let client = refusing(2, &asked);
    let core = core(folder.path());
    let writing = timeout(limits::APPLY_AGAIN / 2, vouch(&client, &core)).await;
    assert!(writing.is_err(), "it goes on");
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[2] < limits::APPLY_AGAIN / 4, "{asked:?}");
}

/// Time goes on only where nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn so_many_api_servers_connect_and_ask_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let core = core(folder.path());
    let asking = Asked::new(core.clone());
    assert_eq!(asking.places.available_permits(), limits::ADMISSIONS);
    let busy = asking.places.clone().acquire_many_owned(limits::ADMISSIONS as u32).await.unwrap();
    let mut waiting = std::pin::pin!(judge(asking.clone(), question()));
    assert!(timeout(limits::ADMISSION_WAIT / 2, waiting.as_mut()).await.is_err(), "it waits its turn");
    drop(busy);
    assert!(waiting.await.is_ok());
    let (address, serving) = listening(&core).await;
    let mut silent = Vec::new();
    for _ in 0..limits::ADMISSION_CONNECTIONS {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let begun = tokio::time::Instant::now();
    // Who says nothing is given up, which makes room.
    connect(address, &core, NAME).await.unwrap();
    assert!(begun.elapsed() >= limits::HANDSHAKE, "{:?}", begun.elapsed());
    serving.abort();
}
