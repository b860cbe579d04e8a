use super::*;
use axum::body::Body;
use axum::http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
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

/// Time goes on only where nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn so_many_api_servers_connect_and_ask_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let core = core(folder.path());
    let asking = Asked { core: core.clone(), places: Arc::new(Semaphore::new(limits::ADMISSIONS)) };
    assert_eq!(Asked::new(core.clone()).places.available_permits(), limits::ADMISSIONS);
    let busy = asking.places.clone().acquire_many_owned(limits::ADMISSIONS as u32).await.unwrap();
    let mut waiting = std::pin::pin!(admit(State(asking), Bytes::from(review().to_string())));
    assert!(tokio::time::timeout(limits::HANDSHAKE, waiting.as_mut()).await.is_err(), "it waits its turn");
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
