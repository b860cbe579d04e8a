//! The control plane as a whole, in this process: files on disk, proxies over mutual TLS on loopback, restarts on the same state.

mod consumers;
mod numbers;
mod older;
mod peer;
mod rotation;
mod succession;

use control::core::Core;
use control::{Control, ControlConfig};
use identity::{Csr, Expected, alpn};
use model::{SpiffeId, TrustDomain};
use peer::{PATIENCE, Peer, channel, control_identity, credentials, secured};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;
use wire::api::{Event, RegistrationRequest, TokenRequest, WorkloadPort};
use wire::discovery::DeltaDiscoveryRequest;
use wire::v1;

const ROUTE: &str = "
apiVersion: v1
kind: Service
metadata: {name: catalog, namespace: shop}
spec: {selector: {app: catalog}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: catalog, namespace: shop}
spec:
  parentRefs: [{group: '', kind: Service, name: catalog}]
  rules:
  - backendRefs: [{name: catalog-v1, port: 80, weight: 90}, {name: catalog-v2, port: 80, weight: 10}]
";

async fn start(folder: &Path) -> Control {
    let (state, files) = (folder.join("state"), folder.join("files"));
    std::fs::create_dir_all(&state).unwrap();
    std::fs::create_dir_all(&files).unwrap();
    Control::start(ControlConfig {
        mesh: "test".into(),
        state,
        paths: vec![files],
        trust_domain: TrustDomain::parse("organza.local").unwrap(),
        listen: ([127, 0, 0, 1], 0).into(),
        dashboard: ([127, 0, 0, 1], 0).into(),
        metrics: None,
        svid_life: Duration::from_secs(600),
        own_ca: None,
        cluster: None,
        beyond: Default::default(),
    })
    .await
    .unwrap()
}

/// Whole at once, as careful editors save.
fn save(folder: &Path, name: &str, text: &str) {
    let beside = folder.join("beside");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, folder.join("files").join(name)).unwrap();
}

fn register(core: &Core, name: &str, service: Option<&str>, port: u16) -> String {
    let request = RegistrationRequest {
        name: name.into(),
        namespace: "shop".into(),
        service_account: name.into(),
        service: service.map(Into::into),
        ports: service.iter().map(|_| WorkloadPort { service: 80, target: port }).collect(),
        protocol: Some("http".into()),
        labels: BTreeMap::new(),
        addresses: service.iter().map(|_| format!("127.0.0.1:{}", port + 1)).collect(),
    };
    core.register(request, None).unwrap().proxy
}

async fn event<T>(events: &mut tokio::sync::broadcast::Receiver<Event>, found: impl Fn(Event) -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(it) = found(events.recv().await.unwrap()) {
                return it;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the event in time")
}

#[tokio::test]
async fn an_edit_reaches_the_proxies_that_use_it_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("files")).unwrap();
    save(folder.path(), "routes.yaml", ROUTE);
    let control = start(folder.path()).await;
    let core = &control.core;
    for (name, port) in [("catalog-v1", 9001), ("catalog-v2", 9003)] {
        register(core, name, Some(name), port);
    }
    let proxy = register(core, "web", None, 0);
    let mut peer = Peer::join(core, control.xds_address, &proxy).await;
    peer.step().await.unwrap();
    assert_eq!(peer.held().into_iter().collect::<Vec<_>>(), ["organza/trustbundle//organza.local", "organza/workload/shop/web"]);
    let answer = peer.ask("host/shop/catalog").await;
    assert_eq!(answer.unwrap().to_string(), "files/service/shop/catalog");
    for key in ["files/route/shop/httproute.catalog", "files/endpoints/shop/catalog-v1", "files/service/shop/catalog-v2"] {
        assert!(peer.held().contains(key), "{key} of {:?}", peer.held());
    }
    assert_eq!(peer.ask("host/other/catalog.shop").await, None);

    let mut events = core.events.subscribe();
    save(folder.path(), "routes.yaml", &ROUTE.replace("90", "50").replace("10}", "50}"));
    let step = peer.step().await.unwrap();
    assert_eq!(step.changes.iter().map(|change| change.key().to_string()).collect::<Vec<_>>(), ["files/route/shop/httproute.catalog"]);
    let told = |event| if let Event::Generation { changes, .. } = event { changes.first().map(|c| c.summary.clone()) } else { None };
    assert_eq!(event(&mut events, told).await, "HTTPRoute catalog 90/10 → 50/50");
    let done = |event| match event {
        Event::Applied { applied: 1, concerned: 1, generation, .. } => Some(generation),
        _ => None,
    };
    assert_eq!(event(&mut events, done).await, step.generation);

    save(folder.path(), "routes.yaml", "kind: [\n");
    let refused = |event| if let Event::Refused { problems, serving, .. } = event { Some((problems, serving)) } else { None };
    let (problems, serving) = event(&mut events, refused).await;
    assert_eq!((problems[0].file.as_str(), serving), ("routes.yaml", step.generation));
    assert!(core.world().items.contains_key(&model::Key::parse("files/route/shop/httproute.catalog").unwrap()));
    control.stop().await;
}

#[tokio::test]
async fn nobody_is_served_as_somebody_else() {
    let folder = tempfile::tempdir().unwrap();
    let control = start(folder.path()).await;
    let (core, address) = (&control.core, control.xds_address);
    let (web, db) = (register(core, "web", None, 0), register(core, "db", Some("db"), 9001));
    let channel_of_web = secured(address, &credentials(core, &web)).await;

    // The answer may come as the stream's head or as its first word.
    let refused = match Peer::open(channel_of_web.clone(), &db).await {
        Ok(mut peer) => peer.step().await.map(drop).unwrap_err(),
        Err(status) => status,
    };
    assert_eq!(refused.code(), Code::PermissionDenied);
    check_reports_and_signing(&control, channel_of_web, &web, &db).await;
}

async fn check_reports_and_signing(control: &Control, channel: tonic::transport::Channel, web: &str, db: &str) {
    let mut telemetry = wire::grpc::TelemetryClient::new(channel.clone());
    let report = |proxy: &str| v1::ReportRequest { proxy: proxy.into(), incarnation: 1, sequence: 1, ..Default::default() };
    assert_eq!(telemetry.report(report(db)).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(telemetry.report(report(web)).await.unwrap().into_inner().sequence, 1);

    // Signed for who one is, whatever the request says; and for nobody who was taken out.
    let other = SpiffeId::parse("spiffe://organza.local/ns/shop/sa/db").unwrap();
    let csr = Csr::generate(&other).unwrap();
    let mut certificates = wire::grpc::CertificatesClient::new(channel);
    let sign = || v1::SignRequest { csr: csr.der.clone().into() };
    let chain = certificates.sign(sign()).await.unwrap().into_inner().chain;
    let svid = identity::Svid::new(chain.into_iter().map(|der| der.to_vec()).collect(), csr.key()).unwrap();
    assert_eq!(svid.id().to_string(), "spiffe://organza.local/ns/shop/sa/web");
    assert!(control.core.deregister(web));
    assert_eq!(certificates.sign(sign()).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_report_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let control = start(folder.path()).await;
    let web = register(&control.core, "web", None, 0);
    let mut telemetry = wire::grpc::TelemetryClient::new(secured(control.xds_address, &credentials(&control.core, &web)).await);
    let edge = v1::Edge {
        reporter: "source".into(),
        source_workload: "web".into(),
        destination_workload: "db".into(),
        protocol: "http".into(),
        security: "mutual_tls".into(),
        requests: 5,
        ..v1::Edge::default()
    };
    for sequence in [1, 1, 2, 1] {
        let report = v1::ReportRequest {
            proxy: web.clone(),
            incarnation: 7,
            sequence,
            edges: vec![wire::edge::encode(&edge)],
            ..Default::default()
        };
        telemetry.report(report).await.unwrap();
    }
    let requests: Vec<u64> = control.core.lock().graph.edges(0, 10).map(|told| told.totals.requests).collect();
    assert_eq!(requests, [10]);
}

#[tokio::test]
async fn calls_are_told_by_whom_they_are_made_to_and_outlive_the_control_plane() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    let db = register(&first.core, "db", Some("db"), 9001);
    register(&first.core, "web", Some("web"), 9003);
    let held = credentials(&first.core, &db);
    let call = |service: &str, path: &str| v1::Call {
        source: "spiffe://organza.local/ns/shop/sa/web".into(),
        namespace: "shop".into(),
        service: service.into(),
        port: 80,
        protocol: "http".into(),
        method: "GET".into(),
        path: path.into(),
        allowed: 5,
        ..v1::Call::default()
    };
    let mut telemetry = wire::grpc::TelemetryClient::new(secured(first.xds_address, &held).await);
    for sequence in [1, 1, 2] {
        // What is not its own is not its to tell.
        let mut calls = vec![call("db", "/rows/{id}"), call("web", "/"), call("db", "/rows?key=secret")];
        // What is more than a report may tell is not read.
        calls.resize(control::limits::CALLS_OF_ONE, call("web", "/"));
        calls.push(call("db", "/more"));
        telemetry.report(v1::ReportRequest { proxy: db.clone(), incarnation: 7, sequence, calls, ..Default::default() }).await.unwrap();
    }
    let told = |control: &Control| -> Vec<(String, String, u64)> {
        let inner = control.core.lock();
        inner.calls.told().map(|told| (told.called.service.clone(), told.call.path.clone(), told.counts.allowed)).collect()
    };
    let want = [("db".to_owned(), "/rows/{id}".to_owned(), 10)];
    assert_eq!(told(&first), want);
    // Who was taken out tells of its end what it backed, and nothing else.
    first.core.deregister(&db);
    let calls = vec![call("db", "/rows/{id}"), call("web", "/")];
    telemetry.report(v1::ReportRequest { proxy: db.clone(), incarnation: 7, sequence: 3, calls, ..Default::default() }).await.unwrap();
    let want = [("db".to_owned(), "/rows/{id}".to_owned(), 15)];
    assert_eq!(told(&first), want);
    first.stop().await;
    let second = start(folder.path()).await;
    assert_eq!(told(&second), want);
    second.stop().await;
}

#[tokio::test]
async fn a_token_lets_one_machine_in_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let control = start(folder.path()).await;
    let core = &control.core;
    let root = { identity::Signer::roots(&core.lock().authority).remove(0) };
    let token = identity::Token::create(&root, &control.xds_address.to_string()).unwrap();
    let request = TokenRequest { namespace: "shop".into(), service_account: "db".into(), services: vec!["db".into()], ttl_seconds: 60 };
    let kept = core.lock().tokens.create(token.secret_hash(), &request, control::core::seconds(control::core::now())).unwrap();
    core.keep_token(&kept);

    let time = Arc::new(rustls::time_provider::DefaultTimeProvider);
    let tls = identity::pinned_client_config(token.root_sha256, Expected::one(control_identity()), &[alpn::H2], time.clone()).unwrap();
    let open = channel(control.xds_address, tls).await.unwrap();
    let mut telemetry = wire::grpc::TelemetryClient::new(open.clone());
    assert_eq!(telemetry.report(v1::ReportRequest::default()).await.unwrap_err().code(), Code::Unauthenticated);
    let csr = Csr::generate(&SpiffeId::parse("spiffe://organza.local/ns/shop/sa/anyone").unwrap()).unwrap();
    let mut certificates = wire::grpc::CertificatesClient::new(open);
    let ask = |service: &str| v1::JoinRequest {
        secret: token.secret_text().to_string(),
        csr: csr.der.clone().into(),
        service: service.into(),
        port: 9001,
        addresses: vec!["127.0.0.1:9002".into()],
        name: "db".into(),
        ..v1::JoinRequest::default()
    };
    // For another service it is refused, and not used up.
    assert_eq!(certificates.join(ask("web")).await.unwrap_err().code(), Code::PermissionDenied);
    let joined = certificates.join(ask("db")).await.unwrap().into_inner();
    assert_eq!(joined.identity, "spiffe://organza.local/ns/shop/sa/db");
    assert_eq!(certificates.join(ask("db")).await.unwrap_err().code(), Code::Unauthenticated);

    // It is taken out by itself alone, at once, and need not be there for it twice.
    let other = register(core, "web", Some("web"), 9003);
    let leave = |proxy: &str| v1::LeaveRequest { proxy: proxy.into() };
    assert_eq!(certificates.leave(leave(&joined.proxy)).await.unwrap_err().code(), Code::Unauthenticated);
    let mut web = wire::grpc::CertificatesClient::new(secured(control.xds_address, &credentials(core, &other)).await);
    assert_eq!(web.leave(leave(&joined.proxy)).await.unwrap_err().code(), Code::PermissionDenied);
    assert!(core.lock().registry.get(&joined.proxy).is_some());
    let mut db = wire::grpc::CertificatesClient::new(secured(control.xds_address, &credentials(core, &joined.proxy)).await);
    db.leave(leave(&joined.proxy)).await.unwrap();
    assert!(core.lock().registry.get(&joined.proxy).is_none());
    db.leave(leave(&joined.proxy)).await.unwrap();

    let wrong = identity::pinned_client_config([0; 32], Expected::one(control_identity()), &[alpn::H2], time).unwrap();
    assert!(channel(control.xds_address, wrong).await.is_err());
}

#[tokio::test]
async fn a_restart_keeps_members_authority_port_and_generation() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    let proxy = register(&first.core, "db", Some("db"), 9001);
    let held = credentials(&first.core, &proxy);
    let mut peer = Peer::open(secured(first.xds_address, &held).await, &proxy).await.unwrap();
    let before = peer.step().await.unwrap().generation;
    let address = first.xds_address;
    first.stop().await;
    drop(peer);

    let second = start(folder.path()).await;
    assert_eq!(second.xds_address, address);
    // The certificate of before is still good, and its holder still known.
    let mut peer = Peer::open(secured(address, &held).await, &proxy).await.unwrap();
    assert!(peer.step().await.unwrap().generation > before);
    peer.until("its service", |held| held.contains("files/service/shop/db")).await;
    second.stop().await;
}

#[tokio::test]
async fn what_an_older_stream_says_late_is_not_heard() {
    let folder = tempfile::tempdir().unwrap();
    let control = start(folder.path()).await;
    let proxy = register(&control.core, "web", None, 0);
    let mut old = Peer::join(&control.core, control.xds_address, &proxy).await;
    old.step().await.unwrap();
    let mut new = Peer::join(&control.core, control.xds_address, &proxy).await;
    new.step().await.unwrap();
    drop(old);
    succession::eventually("the old stream ends", || control.core.lock().leaving.is_empty()).await;
    assert!(control.core.lock().sessions[&proxy].connected);
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_answers_mistakes_in_json() {
    use std::os::unix::fs::PermissionsExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let folder = tempfile::tempdir().unwrap();
    let control = start(folder.path()).await;
    let socket = folder.path().join("state/control.sock");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&socket), 0o600);
    let state = folder.path().join("state");
    assert_eq!(mode(&state.join("ca")), 0o700);
    for secret in ["ca/root.key", "ca/issuing.key", "store.redb"] {
        assert_eq!(mode(&state.join(secret)), 0o600, "{secret}");
    }
    for (question, status) in [
        ("GET /v1/status HTTP/1.1\r\nhost: o\r\nconnection: close\r\n\r\n", "200"),
        ("GET /v1/nothing HTTP/1.1\r\nhost: o\r\nconnection: close\r\n\r\n", "404"),
        ("PUT /v1/status HTTP/1.1\r\nhost: o\r\nconnection: close\r\n\r\n", "405"),
        ("POST /v1/sign HTTP/1.1\r\nhost: o\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n{", "400"),
    ] {
        let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        stream.write_all(question.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{question}: {answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        if status == "200" {
            serde_json::from_str::<wire::api::Status>(body).unwrap();
        } else {
            serde_json::from_str::<wire::api::Refused>(body).unwrap_or_else(|error| panic!("{body:?}: {error}"));
        }
    }
    control.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_message_is_of_so_many_bytes_and_a_report_of_so_many_edges() {
    let folder = tempfile::tempdir().unwrap();
    let control = start(folder.path()).await;
    let web = register(&control.core, "web", None, 0);
    let mut telemetry = wire::grpc::TelemetryClient::new(secured(control.xds_address, &credentials(&control.core, &web)).await);
    let report = |sequence| v1::ReportRequest { proxy: web.clone(), incarnation: 7, sequence, ..Default::default() };
    let sized = |bytes: usize| v1::ReportRequest { flows: vec![v1::Flow { line: "x".repeat(bytes), taps: Vec::new() }], ..report(1) };
    let most = wire::limits::MESSAGE_BYTES;
    // A little is not of the line.
    assert!(telemetry.report(sized(most - 1000)).await.is_ok());
    assert_eq!(telemetry.report(sized(most)).await.unwrap_err().code(), Code::OutOfRange);
    let mut discovery = wire::grpc::DiscoveryClient::new(secured(control.xds_address, &credentials(&control.core, &web)).await);
    let mut asked = async |bytes: usize| {
        let request = DeltaDiscoveryRequest { resource_names_subscribe: vec!["x".repeat(bytes)], ..Default::default() };
        let mut answers = discovery.delta_aggregated_resources(tokio_stream::iter([request])).await.unwrap().into_inner();
        answers.message().await.unwrap_err().code()
    };
    // Nobody is asked about such a name; what is larger is not even read.
    assert_eq!((asked(most - 1000).await, asked(most).await), (Code::InvalidArgument, Code::OutOfRange));
    let edge = v1::Edge {
        reporter: "source".into(),
        source_workload: "web".into(),
        destination_workload: "db".into(),
        protocol: "http".into(),
        security: "mutual_tls".into(),
        requests: 1,
        ..v1::Edge::default()
    };
    let edges = vec![wire::edge::encode(&edge); wire::limits::EDGES + 7];
    telemetry.report(v1::ReportRequest { edges, ..report(2) }).await.unwrap();
    let requests: u64 = control.core.lock().graph.edges(0, 10).map(|told| told.totals.requests).sum();
    assert_eq!(requests, wire::limits::EDGES as u64);
}

#[tokio::test]
async fn who_is_revoked_gets_nothing_any_more_and_others_of_its_name_do() {
    let folder = tempfile::tempdir().unwrap();
    let control = start(folder.path()).await;
    let (core, address) = (&control.core, control.xds_address);
    let (stays, goes) = (register(core, "db", Some("db"), 9001), register(core, "db", Some("db"), 9003));
    let (kept, lost) = (credentials(core, &stays), credentials(core, &goes));
    let (channel_of_kept, channel_of_lost) = (secured(address, &kept).await, secured(address, &lost).await);
    let mut other = Peer::open(channel_of_kept.clone(), &stays).await.unwrap();
    let mut peer = Peer::open(channel_of_lost.clone(), &goes).await.unwrap();
    peer.step().await.unwrap();
    other.step().await.unwrap();
    let leaf = |credentials: &identity::Credentials| identity::pem::fingerprint(&credentials.svid().unwrap().chain()[0]);
    assert!(core.revoke("nobody").is_err());
    core.revoke(&goes).unwrap();

    let told = core.world().resources().find_map(|resource| match resource {
        model::Resource::TrustBundle(bundle) => Some(bundle.revoked.clone()),
        _ => None,
    });
    assert_eq!(told.unwrap(), [identity::pem::from_fingerprint(&leaf(&lost)).unwrap()]);
    other.step().await.unwrap();
    let ended = async {
        loop {
            if let Err(status) = peer.step().await {
                return status.code();
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, ended).await.unwrap(), Code::Unauthenticated);
    let csr = Csr::generate(&SpiffeId::parse("spiffe://organza.local/ns/shop/sa/db").unwrap()).unwrap();
    let sign = async |channel| {
        let request = v1::SignRequest { csr: csr.der.clone().into() };
        wire::grpc::CertificatesClient::new(channel).sign(request).await.map(drop).map_err(|status| status.code())
    };
    // By its name alone it could have been taken for the other.
    assert_eq!(sign(channel_of_lost).await, Err(Code::Unauthenticated));
    assert_eq!(sign(channel_of_kept).await, Ok(()));
    let given = core.lock().registry.get(&stays).unwrap().certificates.len();
    assert_eq!((given, core.lock().registry.get(&goes).is_none()), (2, true));
    control.stop().await;
    let second = start(folder.path()).await;
    assert!(second.core.lock().registry.is_revoked(&leaf(&lost)) && !second.core.lock().registry.is_revoked(&leaf(&kept)));
    second.stop().await;
}

#[tokio::test]
async fn who_left_is_out_of_nobodys_reach_and_gets_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    let (stays, goes) = (register(&first.core, "db", Some("db"), 9001), register(&first.core, "db", Some("db"), 9003));
    let (kept, lost) = (credentials(&first.core, &stays), credentials(&first.core, &goes));
    let leaf = |credentials: &identity::Credentials| identity::pem::fingerprint(&credentials.svid().unwrap().chain()[0]);
    let mut certificates = wire::grpc::CertificatesClient::new(secured(first.xds_address, &lost).await);
    certificates.leave(v1::LeaveRequest { proxy: goes.clone() }).await.unwrap();
    // A neighbour of its name is there, which it is not.
    let csr = Csr::generate(&SpiffeId::parse("spiffe://organza.local/ns/shop/sa/db").unwrap()).unwrap();
    let refused = certificates.sign(v1::SignRequest { csr: csr.der.clone().into() }).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    drop(certificates);
    first.stop().await;

    let second = start(folder.path()).await;
    second.core.revoke(&goes).unwrap();
    assert_eq!(second.core.bundle().revoked, [identity::pem::from_fingerprint(&leaf(&lost)).unwrap()]);
    assert!(second.core.revoke(&goes).is_err(), "it is nowhere any more");
    assert!(second.core.lock().registry.get(&stays).is_some() && !second.core.lock().registry.is_revoked(&leaf(&kept)));
    second.stop().await;
    let third = start(folder.path()).await;
    assert!(third.core.lock().registry.is_revoked(&leaf(&lost)) && third.core.lock().registry.left(&goes).is_none());
    third.stop().await;
}
