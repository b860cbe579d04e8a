use super::*;
use crate::store::Memory;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// One connection comes, and no other.
struct One(Option<DuplexStream>);

impl Entrance for One {
    type Stream = DuplexStream;
    async fn accept(&mut self) -> std::io::Result<DuplexStream> {
        match self.0.take() {
            Some(stream) => Ok(stream),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_has_so_long_to_shake_hands() {
    let folder = tempfile::tempdir().unwrap();
    let config = crate::tests::config(folder.path());
    let (core, credentials) = crate::open(&config, Arc::new(Memory::default())).unwrap();
    let (mut silent, stream) = tokio::io::duplex(1024);
    let serving = tokio::spawn(serve(core, One(Some(stream)), credentials));
    let begun = tokio::time::Instant::now();
    let ended = tokio::time::timeout(limits::HANDSHAKE * 3, silent.read(&mut [0])).await.expect("it is ended");
    assert_eq!((ended.unwrap(), begun.elapsed()), (0, limits::HANDSHAKE));
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_says_nothing_is_asked_whether_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let config = crate::tests::config(folder.path());
    let (core, credentials) = crate::open(&config, Arc::new(Memory::default())).unwrap();
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let nobody = Credentials::new(credentials.trust.clone());
    let serving = tokio::spawn(serve(core, One(Some(theirs)), credentials));
    let config = identity::client_config(&nobody, identity::Expected::AnyTrusted, &[alpn::H2], Arc::new(Clock)).unwrap();
    let name = rustls::pki_types::ServerName::try_from("control").unwrap();
    let mut silent = tokio_rustls::TlsConnector::from(config).connect(name, ours).await.unwrap();
    // A greeting of HTTP/2 with settings of which none is said, and not another word.
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut heard = Vec::new();
    // How it ends is all the same.
    let ended = tokio::time::timeout((limits::KEEPALIVE + limits::KEEPALIVE_ANSWER) * 3, silent.read_to_end(&mut heard)).await;
    assert!(ended.is_ok(), "it is given up");
    let least = limits::KEEPALIVE + limits::KEEPALIVE_ANSWER;
    assert!(begun.elapsed() >= least && begun.elapsed() < least + limits::KEEPALIVE, "{:?}", begun.elapsed());
    serving.abort();
}

/// As many connections come as are sent.
struct Many(mpsc::UnboundedReceiver<DuplexStream>);

impl Entrance for Many {
    type Stream = DuplexStream;
    async fn accept(&mut self) -> std::io::Result<DuplexStream> {
        match self.0.recv().await {
            Some(stream) => Ok(stream),
            None => std::future::pending().await,
        }
    }
}

/// A control plane that serves whoever comes by its door.
struct Served {
    core: Arc<Core>,
    credentials: Credentials,
    door: mpsc::UnboundedSender<DuplexStream>,
    serving: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    _folder: tempfile::TempDir,
}

fn served() -> Served {
    let folder = tempfile::tempdir().unwrap();
    let (core, credentials) = crate::open(&crate::tests::config(folder.path()), Arc::new(Memory::default())).unwrap();
    let (door, connections) = mpsc::unbounded_channel();
    let serving = tokio::spawn(serve(core.clone(), Many(connections), credentials.clone()));
    Served { core, credentials, door, serving, _folder: folder }
}

type Ours = tokio_rustls::client::TlsStream<DuplexStream>;

/// A connection that has greeted; with the credentials of nobody, a stranger's.
async fn greeted(door: &mpsc::UnboundedSender<DuplexStream>, credentials: &Credentials) -> Ours {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    door.send(theirs).unwrap();
    let config = identity::client_config(credentials, identity::Expected::AnyTrusted, &[alpn::H2], Arc::new(Clock)).unwrap();
    let name = rustls::pki_types::ServerName::try_from("control").unwrap();
    let mut tls = tokio_rustls::TlsConnector::from(config).connect(name, ours).await.unwrap();
    tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    tls
}

/// Reads it and answers each question whether it is there, until it ends.
async fn until_it_ends(mut tls: Ours) -> tokio::time::Instant {
    let mut head = [0; 9];
    while tls.read_exact(&mut head).await.is_ok() {
        let mut body = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        if tls.read_exact(&mut body).await.is_err() {
            break;
        }
        let is_question = head[3] == 6 && head[4] & 1 == 0;
        if is_question && tls.write_all(&[&[0, 0, 8, 6, 1, 0, 0, 0, 0], &body[..]].concat()).await.is_err() {
            break;
        }
    }
    tokio::time::Instant::now()
}

#[tokio::test(start_paused = true)]
async fn the_eldest_connection_of_a_member_ends_for_one_too_many() {
    let Served { core, credentials, door, serving, _folder } = served();
    let mut open = Vec::new();
    for _ in 0..limits::CONNECTIONS_OF_ONE {
        open.push(tokio::spawn(until_it_ends(greeted(&door, &credentials).await)));
    }
    tokio::time::sleep(3 * limits::STRANGER).await;
    assert!(open.iter().all(|one| !one.is_finished()), "who answers stays");
    open.push(tokio::spawn(until_it_ends(greeted(&door, &credentials).await)));
    tokio::time::sleep(limits::LOOK).await;
    let ended: Vec<usize> = open.iter().enumerate().filter(|(_, one)| one.is_finished()).map(|(at, _)| at).collect();
    assert_eq!((ended, core.room.turned_away().members), (vec![0], 1));
    open.iter().for_each(|one| one.abort());
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stranger_stays_for_so_long_and_no_longer() {
    let Served { credentials, door, serving, core: _, _folder } = served();
    let begun = tokio::time::Instant::now();
    let ended = until_it_ends(greeted(&door, &Credentials::new(credentials.trust.clone())).await);
    let ended = tokio::time::timeout(2 * limits::STRANGER, ended).await.expect("it is ended") - begun;
    assert!(ended >= limits::STRANGER && ended < limits::STRANGER + limits::LOOK, "{ended:?}");
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn so_many_shake_hands_at_once_and_the_next_waits() {
    let Served { credentials, door, serving, core: _, _folder } = served();
    let begun = tokio::time::Instant::now();
    let silent: Vec<_> = (0..limits::HANDSHAKES).map(|_| tokio::io::duplex(64)).collect();
    let (silent, theirs): (Vec<_>, Vec<_>) = silent.into_iter().unzip();
    theirs.into_iter().for_each(|stream| door.send(stream).unwrap());
    tokio::time::sleep(limits::LOOK).await;
    let waited = tokio::time::timeout(2 * limits::HANDSHAKE, greeted(&door, &credentials)).await;
    assert!(waited.is_ok() && begun.elapsed() >= limits::HANDSHAKE, "{:?}", begun.elapsed());
    drop(silent);
    serving.abort();
}

#[tokio::test]
async fn a_machine_that_takes_nothing_is_given_up_by_the_kernel() {
    let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let accepted = Entrance::accept(&mut listener).await.unwrap();
    let millis = rustix::net::sockopt::tcp_user_timeout(&accepted).unwrap();
    assert_eq!(std::time::Duration::from_millis(millis.into()), limits::UNHEARD);
}

fn join(core: &Core, service: &str, port: u16) -> registry::Entry {
    let request = wire::api::RegistrationRequest {
        name: service.into(),
        namespace: "shop".into(),
        service_account: service.into(),
        service: Some(service.into()),
        ports: vec![wire::api::WorkloadPort { service: 80, target: port }],
        protocol: Some("http".into()),
        labels: Default::default(),
        addresses: vec![format!("127.0.0.1:{}", port + 1)],
    };
    core.register(request, None).unwrap()
}

/// The Consumer `acme` is one of this service.
fn acme_is_of(core: &Core, service: &str) {
    let text = format!(
        "
apiVersion: organza.dev/v1alpha1
kind: Consumer
metadata: {{name: acme, namespace: shop}}
spec:
  targetRefs: [{{group: '', kind: Service, name: {service}}}]
  keys: [{{sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}}]
"
    );
    let (objects, problems) = frontends::file::parse("all.yaml", &text);
    assert!(problems.is_empty());
    core.read(crate::files::Read { objects, problems: Vec::new() });
}

/// The stream has come so far that the proxy has all that is meant for it.
fn settle(core: &Core, entry: &registry::Entry, stream: u64) {
    let (set, _) = crate::view::set(&core.world(), None, entry, [wire::SELF]);
    core.session(&entry.proxy, stream, |session| session.held = Arc::new(set));
}

/// Whether this proxy's word on `acme` is taken; on a Consumer that nobody is nobody's is.
fn is_believed(core: &Core, entry: &registry::Entry) -> bool {
    let told = |consumer: &str| v1::report_request::Consumed {
        consumer: consumer.into(),
        api: "Service shop/orders".into(),
        requests: 1,
        ..Default::default()
    };
    let identity = entry.identity().unwrap();
    let taken = guarded(core, (&entry.proxy, &identity), vec![told("shop/nobody"), told("shop/acme"), told("acme")]);
    assert!(taken.iter().all(|(id, _)| &*id.consumer == "shop/acme"));
    !taken.is_empty()
}

#[test]
fn what_consumers_used_is_taken_from_a_proxy_whose_stream_has_not_settled() {
    let folder = tempfile::tempdir().unwrap();
    let (core, _) = crate::open(&crate::tests::config(folder.path()), Arc::new(Memory::default())).unwrap();
    let (orders, carts) = (join(&core, "orders", 9001), join(&core, "carts", 9003));
    acme_is_of(&core, "orders");
    assert_eq!([is_believed(&core, &orders), is_believed(&core, &carts)], [true, false], "after a restart: what is meant for it");
    let first = core.connected(&orders.proxy, "0".into(), false);
    core.connected(&carts.proxy, "0".into(), false);
    assert_eq!([is_believed(&core, &orders), is_believed(&core, &carts)], [true, false], "a fresh stream is as none");
    settle(&core, &orders, first);
    acme_is_of(&core, "carts");
    assert!(is_believed(&core, &orders), "it has not heard of it yet");
    assert!(core.disconnected(&orders.proxy, first));
    let second = core.connected(&orders.proxy, "0".into(), false);
    assert!(is_believed(&core, &orders), "what is sent again after a reconnect is of what it held before");
    settle(&core, &orders, second);
    assert!(!is_believed(&core, &orders), "it has the Consumer no more");
}

#[test]
fn the_last_word_of_a_predecessor_is_taken_whatever_its_successor_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let (core, _) = crate::open(&crate::tests::config(folder.path()), Arc::new(Memory::default())).unwrap();
    let (orders, _) = (join(&core, "orders", 9001), join(&core, "carts", 9003));
    acme_is_of(&core, "orders");
    let elder = core.connected(&orders.proxy, "0".into(), false);
    settle(&core, &orders, elder);
    acme_is_of(&core, "carts");
    let younger = core.connected(&orders.proxy, "0".into(), false);
    settle(&core, &orders, younger);
    assert!(is_believed(&core, &orders));
    assert!(!core.disconnected(&orders.proxy, elder));
    assert!(!is_believed(&core, &orders));
}

/// Five times.
fn verdict(what: &str) -> v1::report_request::Verdict {
    v1::report_request::Verdict { verdict: what.into(), policy: "AccessPolicy shop/a".into(), rule: "r".into(), count: 5 }
}

/// A report of this proxy, as its connection would bring it: `acme` asked five times, and was let in by a policy.
async fn tell(core: &Arc<Core>, entry: &registry::Entry, sequence: u64) {
    let used =
        v1::report_request::Consumed { consumer: "shop/acme".into(), api: "Service shop/orders".into(), requests: 5, ..Default::default() };
    let call = v1::Call {
        source: entry.identity.clone(),
        namespace: "shop".into(),
        service: "orders".into(),
        port: 80,
        protocol: "http".into(),
        method: "GET".into(),
        path: "/".into(),
        allowed: 5,
        ..Default::default()
    };
    let (consumed, calls, verdicts) = (vec![used], vec![call], vec![verdict("allowed")]);
    let report =
        v1::ReportRequest { proxy: entry.proxy.clone(), incarnation: 7, sequence, consumed, calls, verdicts, ..Default::default() };
    let mut request = Request::new(report);
    request.extensions_mut().insert(Caller(entry.identity().map(|identity| (identity, "00".into())), Arc::default()));
    let reply = Service(core.clone()).report(request).await.unwrap().into_inner();
    assert_eq!(reply.sequence, sequence, "what was counted before is acknowledged like what is news");
}

/// How often `acme` asked, how many calls were let through and how many a policy allowed, as this control plane has it.
fn counted(core: &Core) -> [u64; 3] {
    let inner = core.lock();
    let used = inner.consumption.of("shop/acme").map(|(_, used)| used.counts().requests).sum();
    [
        used,
        inner.calls.told().map(|told| told.counts.allowed).sum(),
        inner.verdicts.told(None, 0).items.iter().map(|of| of.counts.allowed).sum(),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_outlives_a_crash_and_is_not_counted_again_when_it_is_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let (config, disk) = (crate::tests::config(folder.path()), Memory::default());
    let begin = || crate::open(&config, Arc::new(disk.clone())).unwrap().0;
    let first = begin();
    let orders = join(&first, "orders", 9001);
    acme_is_of(&first, "orders");
    tell(&first, &orders, 1).await;
    assert_eq!(counted(&begin()), [5; 3], "at once");
    // The proxy does not wait so long for an answer: it is counted, and nobody said so.
    assert!(tokio::time::timeout(limits::STORED_TOGETHER / 2, tell(&first, &orders, 2)).await.is_err());
    assert_eq!((counted(&first), counted(&begin())), ([10; 3], [5; 3]));
    // It is killed here, and none of its answers came: the proxy tells all of it again.
    drop(first);
    let second = begin();
    acme_is_of(&second, "orders");
    for sequence in [1, 2, 2, 3] {
        tell(&second, &orders, sequence).await;
    }
    assert_eq!((counted(&second), counted(&begin())), ([15; 3], [15; 3]));
}

#[tokio::test(start_paused = true)]
async fn what_came_while_nobody_took_reports_is_no_sudden_rate() {
    let folder = tempfile::tempdir().unwrap();
    let (core, _) = crate::open(&crate::tests::config(folder.path()), Arc::new(Memory::default())).unwrap();
    let orders = join(&core, "orders", 9001);
    let (reporter, protocol, security) = ("source".into(), "http".into(), "mutual_tls".into());
    let edge = v1::Edge { reporter, protocol, security, service: "catalog".into(), requests: 80, ..Default::default() };
    let edges = vec![wire::edge::encode(&edge)];
    let report = v1::ReportRequest { proxy: orders.proxy, incarnation: 7, sequence: 1, seconds: 8, edges, ..Default::default() };
    let mut request = Request::new(report);
    let identity = SpiffeId::parse(&orders.identity).unwrap();
    request.extensions_mut().insert(Caller(Some((identity, "00".into())), Arc::default()));
    Service(core.clone()).report(request).await.unwrap();
    let inner = core.lock();
    let told = inner.graph.edges(seconds(now()), 10).next().unwrap();
    assert!(told.recent.requests == 80 && (8.0..=9.0).contains(&told.seconds), "{} in {} s", told.recent.requests, told.seconds);
}

/// Whoever tells side by side waits together, and one who gives up keeps nobody else from being stored.
#[tokio::test(start_paused = true)]
async fn reports_that_come_together_are_stored_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let (config, disk) = (crate::tests::config(folder.path()), Memory::default());
    let (core, _) = crate::open(&config, Arc::new(disk.clone())).unwrap();
    let (orders, carts) = (join(&core, "orders", 9001), join(&core, "carts", 9003));
    acme_is_of(&core, "orders");
    let begun = tokio::time::Instant::now();
    let (gone, ()) = tokio::join!(tokio::time::timeout(limits::STORED_TOGETHER / 2, tell(&core, &orders, 1)), tell(&core, &carts, 1),);
    assert!(gone.is_err() && begun.elapsed() < limits::STORED_TOGETHER * 2, "{:?}", begun.elapsed());
    let begun = tokio::time::Instant::now();
    // What was counted for who gave up is stored by now.
    tell(&core, &orders, 1).await;
    assert_eq!(begun.elapsed(), std::time::Duration::ZERO);
    tokio::join!(tell(&core, &orders, 2), tell(&core, &carts, 2), tell(&core, &carts, 3));
    assert!(begun.elapsed() < limits::STORED_TOGETHER * 2, "{:?}", begun.elapsed());
}

/// Control planes that are killed at any moment, and answers that are waited for for any time, over 50 courses of 60 reports each.
#[tokio::test(start_paused = true)]
async fn killed_at_any_moment_a_control_plane_counts_what_was_told_exactly_once() {
    let mut seed = 7_u64;
    let mut draw = |below: u64| {
        // Marsaglia's xorshift.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let (mut kills, mut unanswered) = (0, 0);
    for course in 0..50 {
        let folder = tempfile::tempdir().unwrap();
        let (config, disk) = (crate::tests::config(folder.path()), Memory::default());
        let begin = || {
            let core = crate::open(&config, Arc::new(disk.clone())).unwrap().0;
            acme_is_of(&core, "orders");
            core
        };
        let mut core = begin();
        let orders = join(&core, "orders", 9001);
        let mut sequence = 1;
        while sequence <= 60 {
            let patience = std::time::Duration::from_millis(draw(400));
            match tokio::time::timeout(patience, tell(&core, &orders, sequence)).await {
                Ok(()) => sequence += 1,
                Err(_) => unanswered += 1,
            }
            if draw(4) == 0 {
                core = begin();
                kills += 1;
            }
        }
        assert_eq!(counted(&begin()), [300; 3], "course {course}");
    }
    assert!(kills > 500 && unanswered > 500, "{kills} kills, {unanswered} unanswered");
}

#[tokio::test]
async fn what_policies_decided_is_counted_once_however_often_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (core, _) = crate::open(&crate::tests::config(folder.path()), Arc::new(Memory::default())).unwrap();
    let orders = join(&core, "orders", 9001);
    // The last is of a process that was started anew.
    for (incarnation, sequence) in [(7, 1), (7, 1), (7, 2), (7, 1), (8, 1)] {
        let verdicts = vec![verdict("denied")];
        let mut request =
            Request::new(v1::ReportRequest { proxy: orders.proxy.clone(), incarnation, sequence, verdicts, ..Default::default() });
        request.extensions_mut().insert(Caller(orders.identity().map(|identity| (identity, "00".into())), Arc::default()));
        Service(core.clone()).report(request).await.unwrap();
    }
    let told = core.lock().verdicts.told(None, 0);
    assert_eq!(told.items.iter().map(|one| (&*one.policy, one.counts.denied)).collect::<Vec<_>>(), [("AccessPolicy shop/a", 15)]);
}

#[tokio::test]
async fn whose_keys_cannot_be_fetched_is_told_where_the_issuer_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (core, _) = crate::open(&crate::tests::config(folder.path()), Arc::new(Memory::default())).unwrap();
    let orders = join(&core, "orders", 9001);
    let issuer = "
apiVersion: organza.dev/v1alpha1
kind: TokenIssuer
metadata: {name: corp, namespace: shop}
spec:
  targetRefs: [{kind: Namespace, name: shop}]
  issuer: https://issuer.example
  jwks: {uri: 'https://issuer.example/jwks.json'}
";
    let (objects, problems) = frontends::file::parse("tokens.yaml", issuer);
    assert!(problems.is_empty());
    core.read(crate::files::Read { objects, problems: Vec::new() });
    let key = core.world().resources().find_map(|one| match one {
        model::Resource::TokenIssuer(issuer) => Some(issuer.key.to_string()),
        _ => None,
    });
    let told = || crate::api::problems(&core).items.into_iter().filter(|one| one.reason == "KeysNotFetched").collect::<Vec<_>>();
    let programmed = || {
        let mut objects = crate::api::told::objects(&core, false).items;
        let issuer = objects.iter_mut().find(|one| one.kind == "TokenIssuer").unwrap();
        issuer.parents.remove(0).conditions.into_iter().find(|one| one.kind == "Programmed").unwrap()
    };
    let of_status = || crate::api::told::problems(&core).iter().filter(|one| one.reason == "KeysNotFetched").count();
    for (older_hold, severity) in [(false, wire::api::Severity::Error), (true, wire::api::Severity::Warning)] {
        let one =
            v1::report_request::Keyless { issuer: key.clone().unwrap(), why: "no answer within 5s".into(), since_millis: 9000, older_hold };
        let mut request =
            Request::new(v1::ReportRequest { proxy: orders.proxy.clone(), incarnation: 7, keyless: vec![one], ..Default::default() });
        request.extensions_mut().insert(Caller(orders.identity().map(|identity| (identity, "00".into())), Arc::default()));
        Service(core.clone()).report(request).await.unwrap();
        let found = told();
        assert!(found.len() == 1 && found[0].message.contains("cannot fetch its keys for 9 s: no answer within 5s"), "{found:?}");
        assert_eq!(
            (found[0].severity, found[0].file.as_str(), found[0].object.as_str()),
            (severity, "tokens.yaml", "TokenIssuer shop/corp")
        );
        let programmed = programmed();
        let (status, reason) = if older_hold { ("False", "Pending") } else { ("False", "KeysNotFetched") };
        assert_eq!((&*programmed.status, &*programmed.reason), (status, reason));
        assert!(programmed.message.contains("orders cannot fetch its keys: no answer within 5s"), "{}", programmed.message);
        assert_eq!(of_status(), 1, "whoever asks for the state of the mesh is told too");
    }
    let mut request = Request::new(v1::ReportRequest { proxy: orders.proxy.clone(), incarnation: 7, ..Default::default() });
    request.extensions_mut().insert(Caller(orders.identity().map(|identity| (identity, "00".into())), Arc::default()));
    Service(core.clone()).report(request).await.unwrap();
    assert!(told().is_empty(), "once they are fetched nothing is told");
}
