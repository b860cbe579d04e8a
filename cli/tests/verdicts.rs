//! `examples/shop-secure` under load by HTTP/1, HTTP/2, gRPC and bytes while its policies are changed again and again: no verdict is one of a version that
//! was left before the call began, nor of one that was written after it had ended. Who may never and who may always is told the same throughout.

mod common;

use bytes::Bytes;
use common::{SOON, json, mesh, nothing_is_left, up};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::backend::Backend;
use testkit::{Mesh, Process, free_ports};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SERVICES: &str = include_str!("../../examples/shop-secure/services.yaml");
const ACCESS: &str = include_str!("../../examples/shop-secure/access.yaml");

/// Changes that are made, one after another.
const VERSIONS: usize = 24;
/// Calls of each kind that are heard under each version before the next is written.
const CALLS: usize = 10;
/// What is judged so long after it was asked, hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where no version denies it, web may ask for both paths and speak to the ledger.
const WEB: &str = "---
apiVersion: organza.dev/v1alpha1
kind: AccessPolicy
metadata: {name: web, namespace: prod}
spec:
  targetRefs: [{kind: Service, name: orders}, {kind: Service, name: ledger}]
  rules: [{name: web, sources: [{type: ServiceAccount, serviceAccount: {name: web}}]}]
";

/// Version `n` denies web one of two paths, in turns, and bytes to the ledger where it is odd.
fn changing(n: usize) -> String {
    let (path, bytes) = if n % 2 == 1 { ("/odd", "web") } else { ("/even", "nobody") };
    let deny = |name: &str, account: &str, destinations: &str| {
        format!(
            "---
apiVersion: organza.dev/v1alpha1
kind: AccessPolicy
metadata: {{name: {name}-changes, namespace: prod}}
spec:
  targetRefs: [{{kind: Service, name: {name}}}]
  action: Deny
  rules: [{{name: v{n}, sources: [{{type: ServiceAccount, serviceAccount: {{name: {account}}}}}]{destinations}}}]
"
        )
    };
    let paths = format!(", destinations: [{{paths: [{{value: {path}}}]}}]");
    format!("{WEB}{}{}", deny("orders", "web", &paths), deny("ledger", bytes, ""))
}

/// When each version was written, and when all who judge had acknowledged it.
#[derive(Default)]
struct Versions(Vec<(Instant, Option<Instant>)>);

impl Versions {
    /// Whether this version may have been in force at some moment between the two.
    fn may_judge(&self, version: usize, began: Instant, ended: Instant) -> bool {
        let Some((written, _)) = self.0.get(version) else { return false };
        let left = self.0.get(version + 1).and_then(|(_, acknowledged)| *acknowledged);
        *written <= ended && left.is_none_or(|left| began <= left)
    }
}

/// What became of one call.
#[derive(Debug, Clone)]
struct Verdict {
    what: What,
    began: Instant,
    ended: Instant,
    /// The version that denied it, where it was denied and that is told.
    denied: Option<Option<usize>>,
}

/// What is called: a path that changes, by whatever protocol, or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Odd,
    Even,
    Bytes,
}

impl What {
    /// Whether this version denies it.
    fn is_denied_by(self, version: usize) -> bool {
        (version % 2 == 1) == (self != Self::Even)
    }
}

/// Why this verdict could not be; `None` where it could.
fn complaint(versions: &Versions, verdict: &Verdict) -> Option<String> {
    let Verdict { what, began, ended, denied } = verdict;
    let fits = |version: usize| what.is_denied_by(version) == denied.is_some() && versions.may_judge(version, *began, *ended);
    let could = match denied {
        Some(Some(told)) => fits(*told),
        Some(None) | None => (0..versions.0.len()).any(fits),
    };
    (!could).then(|| format!("{verdict:?}"))
}

#[test]
fn a_version_judges_from_when_it_is_written_until_the_next_is_acknowledged() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let versions = Versions(vec![(at(0), Some(at(1))), (at(10), Some(at(12))), (at(20), None)]);
    let told = |what, (began, ended), denied| complaint(&versions, &Verdict { what, began: at(began), ended: at(ended), denied }).is_none();
    assert!(told(What::Odd, (9, 11), Some(Some(1))) && told(What::Odd, (11, 12), None), "pending: either");
    assert!(!told(What::Odd, (8, 9), Some(Some(1))), "of a version that was not written");
    assert!(!told(What::Odd, (13, 14), None) && !told(What::Bytes, (13, 14), None), "of one that was left");
    assert!(!told(What::Odd, (21, 22), Some(Some(0))) && !told(What::Even, (2, 3), None));
    assert!(told(What::Odd, (21, 22), Some(Some(1))) && told(What::Odd, (21, 22), None), "the last one is not acknowledged yet");
    assert!(told(What::Bytes, (13, 14), Some(None)) && !told(What::Bytes, (2, 3), Some(None)));
}

type Told = Arc<Mutex<Vec<Verdict>>>;

/// Who calls, in the background until told to stop.
struct Callers {
    stop: Arc<AtomicBool>,
    told: Vec<(&'static str, Told)>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Callers {
    fn start(orders: SocketAddr, ledger: SocketAddr) -> Self {
        let (stop, mut told, mut tasks) = (Arc::new(AtomicBool::new(false)), Vec::new(), Vec::new());
        for how in ["http1", "http2", "grpc", "bytes"] {
            let all = Told::default();
            for _ in 0..2 {
                let (stop, all) = (stop.clone(), all.clone());
                tasks.push(tokio::spawn(async move {
                    match how {
                        "bytes" => bytes(ledger, &stop, &all).await,
                        _ => requests(how, orders, &stop, &all).await,
                    }
                }));
            }
            told.push((how, all));
        }
        Self { stop, told, tasks }
    }

    fn heard(&self) -> Vec<usize> {
        self.told.iter().map(|(_, all)| all.lock().expect("a list").len()).collect()
    }

    /// Until so many more of each were heard.
    async fn more(&self, calls: usize) {
        let before = self.heard();
        let heard = async {
            while self.heard().iter().zip(&before).any(|(now, before)| now - before < calls) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.unwrap_or_else(|_| panic!("of {:?} only {:?}", self.told.len(), self.heard()));
    }

    async fn finish(self) -> Vec<(&'static str, Vec<Verdict>)> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("no caller panics");
        }
        self.told.into_iter().map(|(how, all)| (how, all.lock().expect("a list").clone())).collect()
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    /// `None`: the connection ended without an answer.
    async fn ask(&mut self, how: &str, path: &str) -> Option<Response<Incoming>> {
        let (method, content) = if how == "grpc" { ("POST", "application/grpc") } else { ("GET", "text/plain") };
        let request = Request::builder().method(method).uri(format!("http://orders{path}")).header("content-type", content);
        let request = request.header("host", "orders").body(Full::default()).expect("a request");
        match self {
            Self::Http1(sender) => {
                sender.ready().await.ok()?;
                sender.send_request(request).await.ok()
            }
            Self::Http2(sender) => {
                sender.ready().await.ok()?;
                sender.send_request(request).await.ok()
            }
        }
    }
}

async fn opened(how: &str, orders: SocketAddr) -> Sender {
    let stream = TokioIo::new(TcpStream::connect(orders).await.expect("the caller's proxy"));
    match how {
        "http1" => {
            let (sender, connection) = http1::handshake(stream).await.expect("a connection");
            tokio::spawn(connection);
            Sender::Http1(sender)
        }
        _ => {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.expect("a connection");
            tokio::spawn(connection);
            Sender::Http2(sender)
        }
    }
}

/// One after another on one connection, which must live as long as it is not ended in order.
async fn requests(how: &str, orders: SocketAddr, stop: &AtomicBool, all: &Told) {
    let mut sender = opened(how, orders).await;
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let (what, path) = if turn % 2 == 0 { (What::Odd, "/odd") } else { (What::Even, "/even") };
        let began = Instant::now();
        match tokio::time::timeout(PATIENCE, sender.ask(how, path)).await.expect("an answer in time") {
            Some(answer) => {
                let denied = denied(answer).await;
                all.lock().expect("a list").push(Verdict { what, began, ended: Instant::now(), denied });
            }
            // What is denied while it is under way ends without an answer: it tells no version.
            None => {
                all.lock().expect("a list").push(Verdict { what, began, ended: Instant::now(), denied: Some(None) });
                sender = opened(how, orders).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Whether it was denied, and by which version.
async fn denied(answer: Response<Incoming>) -> Option<Option<usize>> {
    let (head, body) = answer.into_parts();
    let field = |name: &str| head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default();
    let (status, why) = (field("grpc-status"), field("proxy-status") + &field("grpc-message"));
    let said = body.collect().await.map(http_body_util::Collected::to_bytes);
    match (head.status.as_u16(), &*status) {
        (403, _) | (200, "7") => {
            let version = why.split("rule v").nth(1).map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
            let version = version.and_then(|digits| digits.parse().ok());
            assert!(version.is_some(), "a denial tells which rule it is by: {why}");
            Some(version)
        }
        (200, _) => {
            // Denied while its answer was coming.
            if said.is_ok() { None } else { Some(None) }
        }
        other => panic!("{other:?} {why} {said:?}"),
    }
}

/// A connection for each word.
async fn bytes(ledger: SocketAddr, stop: &AtomicBool, all: &Told) {
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let word = async {
            let mut stream = TcpStream::connect(ledger).await.expect("the caller's proxy");
            let mut back = [0; 4];
            // Who is refused may be gone before it is written to.
            let came = stream.write_all(b"ping").await.is_ok() && stream.read_exact(&mut back).await.is_ok();
            came.then(|| assert_eq!(&back, b"ping"))
        };
        let came = tokio::time::timeout(PATIENCE, word).await.expect("an end in time");
        let denied = if came.is_some() { None } else { Some(None) };
        all.lock().expect("a list").push(Verdict { what: What::Bytes, began, ended: Instant::now(), denied });
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn member(mesh: &Mesh, service: &str, port: &str, backend: &Backend) -> Process {
    let target = backend.address.port().to_string();
    let run = ["run", "-n", "prod", "--service", service, "--service-port", port, "--port", &target];
    let process = Process::start(mesh.organza(&run));
    process.wait_for("is in the mesh", SOON);
    process
}

fn client(mesh: &Mesh, account: (&str, &str), doors: &[(&str, u16)]) -> Process {
    let mut run: Vec<String> = ["run", "-n", account.0, "--service-account", account.1].map(str::to_owned).to_vec();
    run.extend(doors.iter().flat_map(|(service, port)| ["--upstream".to_owned(), format!("{service}={port}")]));
    let process = Process::start(mesh.organza(&run.iter().map(String::as_str).collect::<Vec<_>>()));
    process.wait_for("is in the mesh", SOON);
    process
}

fn here(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// Waits until this version is in force in the control plane, and those who judge have acknowledged that.
async fn acknowledged(mesh: &Mesh, version: usize) {
    let begun = Instant::now();
    let path = if version % 2 == 1 { "/odd" } else { "/even" };
    loop {
        let (_, checked, error) = mesh.run(&["access", "check", "prod/web", "prod/orders", "--path", path]);
        assert!(begun.elapsed() < PATIENCE, "version {version}: {checked}{error}");
        if !checked.contains(&format!("rule v{version} of AccessPolicy")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        }
        let generation = json(&mesh.run(&["status", "-o", "json"]).1)["generation"].as_u64().unwrap_or_default();
        let proxies = json(&mesh.run(&["get", "proxies", "-n", "prod", "-o", "json"]).1);
        let judges = proxies["items"].as_array().cloned().unwrap_or_default();
        let judges: Vec<_> = judges.iter().filter(|proxy| proxy["service"].as_str().is_some_and(|service| !service.is_empty())).collect();
        let all = judges.len() == 2 && judges.iter().all(|proxy| proxy["acknowledged"].as_u64() >= Some(generation));
        if all && generation > 0 {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "version {version}, generation {generation}: {proxies}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Who may and who may not, whatever else is changed: by each protocol at the one door, by bytes at the other.
async fn pairs(doors: &[(u16, u16, bool)]) {
    for (orders, ledger, may) in doors {
        for how in ["http1", "http2", "grpc"] {
            let answer = opened(how, here(*orders)).await.ask(how, "/orders").await.expect("an answer");
            let refused = answer.headers().get("grpc-status").map_or(answer.status() == 403, |status| status.as_bytes() == b"7");
            assert_eq!(!refused, *may, "{how} by {orders}: {answer:?}");
        }
        let mut stream = TcpStream::connect(here(*ledger)).await.expect("the caller's proxy");
        let mut back = [0; 4];
        let came = stream.write_all(b"ping").await.is_ok() && stream.read_exact(&mut back).await.is_ok();
        assert_eq!(came, *may, "bytes by {ledger}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_verdict_is_of_a_version_that_is_neither_acknowledged_nor_pending() {
    let mesh = mesh();
    let (orders, ledger) = (Backend::http("orders").await, Backend::tcp("").await);
    mesh.write("services.yaml", SERVICES);
    mesh.write("access.yaml", ACCESS);
    mesh.write("changing.yaml", &changing(0));
    let mut versions = Versions(vec![(Instant::now(), Some(Instant::now()))]);
    let mut up = up(&mesh);
    let [web_orders, web_ledger, own_ledger, dev_orders, dev_ledger] = free_ports(5)[..] else { panic!("five ports") };
    let mut members = [
        member(&mesh, "orders", "80", &orders),
        member(&mesh, "ledger", "7000", &ledger),
        client(&mesh, ("prod", "web"), &[("orders:80", web_orders), ("ledger:7000", web_ledger)]),
        client(&mesh, ("prod", "orders"), &[("ledger:7000", own_ledger)]),
        client(&mesh, ("dev", "web"), &[("orders.prod:80", dev_orders), ("ledger.prod:7000", dev_ledger)]),
    ];
    let always = [(web_orders, own_ledger, true), (dev_orders, dev_ledger, false)];
    acknowledged(&mesh, 0).await;
    pairs(&always).await;

    let callers = Callers::start(here(web_orders), here(web_ledger));
    callers.more(CALLS).await;
    for version in 1..VERSIONS {
        versions.0.push((Instant::now(), None));
        mesh.write("changing.yaml", &changing(version));
        acknowledged(&mesh, version).await;
        versions.0[version].1 = Some(Instant::now());
        callers.more(CALLS).await;
        if version % 8 == 0 {
            pairs(&always).await;
        }
    }
    for (how, verdicts) in callers.finish().await {
        let complaints: Vec<_> = verdicts.iter().filter_map(|verdict| complaint(&versions, verdict)).collect();
        assert!(complaints.is_empty(), "{how}: {} of {}: {complaints:#?}", complaints.len(), verdicts.len());
        let named: std::collections::BTreeSet<_> = verdicts.iter().filter_map(|verdict| verdict.denied.flatten()).collect();
        assert!(how == "bytes" || named.len() == VERSIONS, "{how}: each version has judged some: {named:?}");
        assert!(verdicts.iter().any(|v| v.denied.is_some()) && verdicts.iter().any(|v| v.denied.is_none()), "{how}: both were heard");
    }
    members.iter_mut().for_each(|member| _ = member.stop(SOON));
    up.stop(SOON);
    nothing_is_left(&mesh);
}
