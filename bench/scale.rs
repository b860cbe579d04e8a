//! A control plane before a large cluster and many proxies: `cargo xtask scale` raises an API server, and this fills it, starts `organza control` on it and plays
//! the proxies. Each is a connection of its own by mutual TLS, takes all that a proxy of the Gateway is sent and acknowledges each part, as a proxy does; what
//! the resources say it does not read, so that what is measured is the control plane.
//!
//! `scale ORGANZA [SERVICES ENDPOINTS ROUTES PROXIES]`, with KUBECONFIG set; with `-` for ORGANZA the control plane is a process of this program, so that the rest
//! need not be built.

#![expect(clippy::print_stdout, reason = "a program that says what it measured")]

use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use identity::{Credentials, Csr, Expected, Svid, TrustStore, alpn};
use kube::Client;
use model::{SpiffeId, TrustDomain};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint, Uri};
use wire::api;
use wire::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node};

#[path = "objects.rs"]
mod objects;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Changes of each kind that are measured: as many as a 99th percentile needs.
const CHANGES: usize = 100;
/// For anything at all to come.
const PATIENCE: Duration = Duration::from_secs(120);
/// That the API server is asked at once while it is filled.
const AT_ONCE: usize = 32;
/// Until the condition that says how many proxies have an object is written, too.
const APPLIED: Duration = Duration::from_secs(60);
/// What is written within three seconds where nothing happens, at most.
const LEASES: u64 = 10;
/// For which the control plane is watched while nothing happens.
const IDLE: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    raise();
    let program = PathBuf::from(arguments.next().ok_or("which organza?")?);
    if program == Path::new(SERVE) {
        let metrics = arguments.next().ok_or("where are its metrics?")?.parse()?;
        return serve(metrics, arguments.next().ok_or("which folder?")?.into()).await;
    }
    let asked: Vec<usize> = arguments.filter_map(|text| text.parse().ok()).collect();
    let &[services, endpoints, routes, proxies] = &asked[..] else {
        return run(&program, Size { services: 1000, endpoints: 10_000, routes: 5000, proxies: 1000 }).await;
    };
    run(&program, Size { services, endpoints, routes, proxies }).await
}

/// What this program is told when it is the control plane.
const SERVE: &str = "--serve";

/// As `organza control --kubernetes` does it.
async fn serve(metrics: SocketAddr, state: PathBuf) -> Result<()> {
    let (namespace, replica) = ("organza-system".to_owned(), "one".to_owned());
    let cluster = control::kubernetes::Cluster {
        client: control::kubernetes::connect(None).await?,
        namespace,
        replica,
        deployment: None,
        webhook: None,
    };
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = control::ControlConfig {
        mesh: "scale".into(),
        state,
        paths: Vec::new(),
        trust_domain: TrustDomain::parse("organza.local")?,
        listen: loopback,
        dashboard: loopback,
        metrics: Some(metrics),
        svid_life: Duration::from_secs(86_400),
        own_ca: None,
        cluster: Some(cluster),
        beyond: Default::default(),
    };
    let control = control::Control::start(config).await?;
    control.core.ending().await;
    control.stop().await;
    Ok(())
}

/// A descriptor for each proxy, at both ends.
fn raise() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
}

#[derive(Clone, Copy)]
struct Size {
    services: usize,
    endpoints: usize,
    routes: usize,
    proxies: usize,
}

async fn run(program: &Path, size: Size) -> Result<()> {
    let client = control::kubernetes::connect(None).await?;
    let Size { services, endpoints, routes, proxies } = size;
    let began = Instant::now();
    fill(&client, size).await?;
    println!(
        "{services} Services, {endpoints} endpoints, {routes} HTTPRoutes on the API server after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let (started, control) = (Instant::now(), Control::start(program)?);
    let first = control.joined().await?;
    let (sender, mut told) = mpsc::unbounded_channel();
    let least = services + routes;
    first.proxy(least, sender.clone()).await?;
    let whole = expect(&mut told, 1, |seen| matches!(seen, Seen::Whole(..))).await?;
    println!("cold start to a proxy that has all of it: {:.2} s; {} MB", (whole.last - started).as_secs_f64(), control.resident());
    settle(&client).await?;
    println!(
        "quiet after {:.0} s: its statuses are written; {} MB, {} MB at most",
        started.elapsed().as_secs_f64(),
        control.resident(),
        control.peak()
    );
    // How many proxies have each object is written within a minute of that: this is no idleness yet.
    tokio::time::sleep(APPLIED).await;
    settle(&client).await?;
    println!("idle: {:.2} % of a core; {} MB", control.share(IDLE).await * 100.0, control.resident());
    changes(&client, &control, size, &mut told, 1).await?;
    let mut others = Vec::new();
    for at in 1..proxies {
        others.push(control.join(at).await?);
    }
    let (began, busy) = (Instant::now(), control.processor());
    let all = futures_util::stream::iter(&others).map(|joined| joined.proxy(least, sender.clone())).buffer_unordered(64);
    let mut all = std::pin::pin!(all);
    while let Some(opened) = all.next().await {
        opened?;
    }
    let whole = expect(&mut told, proxies.saturating_sub(1), |seen| matches!(seen, Seen::Whole(..))).await?;
    let took = (whole.last - began).as_secs_f64();
    let spent = (control.processor() - busy).as_secs_f64();
    println!(
        "{proxies} proxies have {} resources each after {took:.1} s; {spent:.1} s of processor, {} MB, {} MB at most",
        whole.resources,
        control.resident(),
        control.peak()
    );
    settle(&client).await?;
    println!("settled: {} MB", control.resident());
    changes(&client, &control, size, &mut told, proxies).await?;
    drop(told);
    Ok(())
}

/// One endpoint, then one route, again and again: until all have it.
async fn changes(client: &Client, control: &Control, size: Size, told: &mut mpsc::UnboundedReceiver<Seen>, proxies: usize) -> Result<()> {
    let each = size.endpoints / size.services;
    for (what, name) in [("an endpoint", "s0"), ("a route", "httproute.r17")] {
        let make = |change| if name == "s0" { objects::slice(0, each, change) } else { objects::route(17, size.services, change) };
        let (mut all, mut answered, mut ours) = (Vec::new(), Vec::new(), Vec::new());
        let (encoded, busy) = (control.encoded().await?, control.processor());
        for change in 1..=CHANGES {
            let object = make(change + proxies * CHANGES);
            // What is left of the change before is no news of this one.
            tokio::time::sleep(Duration::from_millis(300)).await;
            while told.try_recv().is_ok() {}
            let began = Instant::now();
            put(client, &object).await?;
            let answer = Instant::now();
            let is_it = |seen: &Seen| matches!(seen, Seen::Changed(named, _) if named.ends_with(&format!("/{name}")));
            let last = expect(told, proxies, is_it).await?.last;
            all.push(last - began);
            answered.push(answer - began);
            // The API server may tell those who watch before it answers who wrote.
            ours.push(last.saturating_duration_since(answer));
        }
        let encoded = control.encoded().await? - encoded;
        let each = (control.processor() - busy).as_secs_f64() * 1000.0 / CHANGES as f64;
        println!("{what} changed {CHANGES} times, until {proxies} have it: {}", spread(all));
        println!("  {encoded} resources encoded; {each:.1} ms of processor for each change");
        println!("  of it the API server's answer to who wrote: {}; from there: {}", spread(answered), spread(ours));
    }
    Ok(())
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let millis = |percent: usize| times[(times.len() * percent).div_ceil(100).saturating_sub(1)].as_secs_f64() * 1000.0;
    format!("{:.0} ms in the middle, {:.0} ms p99, {:.0} ms at most", millis(50), millis(99), millis(100))
}

/// What a proxy saw.
enum Seen {
    /// It has all that it should: so many resources.
    Whole(Instant, usize),
    /// A step that brought this resource is complete.
    Changed(String, Instant),
}

struct Heard {
    last: Instant,
    resources: usize,
}

async fn expect(told: &mut mpsc::UnboundedReceiver<Seen>, count: usize, is_it: impl Fn(&Seen) -> bool) -> Result<Heard> {
    let mut heard = Heard { last: Instant::now(), resources: 0 };
    let mut left = count;
    while left > 0 {
        let seen = tokio::time::timeout(PATIENCE, told.recv()).await.map_err(|_| format!("{left} of {count} have heard nothing"))?;
        let seen = seen.ok_or("all proxies are gone")?;
        if !is_it(&seen) {
            continue;
        }
        left -= 1;
        match seen {
            Seen::Whole(at, resources) => heard = Heard { last: at.max(heard.last), resources },
            Seen::Changed(_, at) => heard.last = heard.last.max(at),
        }
    }
    Ok(heard)
}

async fn fill(client: &Client, size: Size) -> Result<()> {
    let each = size.endpoints / size.services;
    put(client, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": objects::NAMESPACE}})).await?;
    let class = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "organza"},
        "spec": {"controllerName": "organza.dev/gateway-controller"},
    });
    put(client, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "organza-system"}})).await?;
    put(client, &class).await?;
    put(client, &objects::gateway()).await?;
    let services = (0..size.services).flat_map(|at| [objects::service(at), objects::slice(at, each, 0)]);
    let all = services.chain((0..size.routes).map(|at| objects::route(at, size.services, 0)));
    let puts = futures_util::stream::iter(all).map(|object| async move { patiently(client, &object).await }).buffer_unordered(AT_ONCE);
    let mut puts = std::pin::pin!(puts);
    while let Some(done) = puts.next().await {
        done?;
    }
    Ok(())
}

/// A busy API server is asked again: that is not what is measured.
async fn patiently(client: &Client, object: &Value) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match put(client, object).await {
            Err(_) if Instant::now() < end => tokio::time::sleep(Duration::from_secs(1)).await,
            done => return done,
        }
    }
}

/// Until hardly anything is written any more; what never ends is seen afterwards. Leases are renewed always, and how busy the control plane is says nothing: with a
/// thousand proxies it is never idle.
async fn settle(client: &Client) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let before = revision(client).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        if revision(client).await? <= before + LEASES || Instant::now() > end {
            return Ok(());
        }
    }
}

/// How much was ever written to the API server.
async fn revision(client: &Client) -> Result<u64> {
    let request = http::Request::get("/apis/gateway.networking.k8s.io/v1/gatewayclasses?limit=1").body(Vec::new())?;
    let list: Value = client.request(request).await?;
    Ok(list["metadata"]["resourceVersion"].as_str().ok_or("a list without a version")?.parse()?)
}

/// Server-side apply: what is there already may be there.
async fn put(client: &Client, object: &Value) -> Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let plural = match object["kind"].as_str().unwrap_or_default() {
        "GatewayClass" => "gatewayclasses".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    let version = text(&object["apiVersion"]);
    let group = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
    let namespace = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("/namespaces/{namespace}"),
        None => String::new(),
    };
    let path = format!("{group}{namespace}/{plural}/{}?fieldManager=scale&force=true", text(&object["metadata"]["name"]));
    let request = http::Request::patch(path).header("content-type", "application/apply-patch+yaml").body(serde_json::to_vec(object)?)?;
    let _: Value = client.request(request).await?;
    Ok(())
}

/// What `organza` is told when it is the control plane; where its metrics are and its state's folder come last.
const ORGANZA: [&str; 9] = ["control", "--mesh", "scale", "--kubernetes", "--replica", "one", "--listen", "127.0.0.1:0", "--metrics"];

/// The process that is measured; it ends with this one.
struct Control {
    child: Child,
    folder: PathBuf,
    metrics: SocketAddr,
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Control {
    fn start(program: &Path) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("organza-scale-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let log = std::fs::File::create(std::env::temp_dir().join("organza-scale.log"))?;
        let (program, arguments, state) = match program == Path::new("-") {
            true => (std::env::current_exe()?, &[SERVE][..], &[][..]),
            false => (program.to_owned(), &ORGANZA[..], &["--state"][..]),
        };
        let metrics = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(program);
        command.args(arguments).arg(metrics.to_string()).args(state).arg(&folder);
        let child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Self { child, folder, metrics })
    }

    /// Resources that it has encoded since it began.
    async fn encoded(&self) -> Result<u64> {
        let text = ask(TcpStream::connect(self.metrics).await?, "GET", "/metrics", Vec::new()).await?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let count = text.lines().find_map(|line| line.strip_prefix("organza_control_encoded_total{} "));
        Ok(count.ok_or("it does not say how many resources it has encoded")?.parse::<f64>()? as u64)
    }

    /// Megabytes.
    fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(what));
        line.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) / 1024
    }

    fn processor(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        let nanos = threads.filter_map(|thread| {
            let said = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            said.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Of one core, for so long.
    async fn share(&self, time: Duration) -> f64 {
        let (busy, since) = (self.processor(), Instant::now());
        tokio::time::sleep(time).await;
        (self.processor() - busy).as_secs_f64() / since.elapsed().as_secs_f64()
    }

    async fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> Result<bytes::Bytes> {
        ask(UnixStream::connect(self.folder.join("control.sock")).await?, method, path, body).await
    }

    /// What a proxy of the Gateway has when it was let in; asked for until the control plane has read its cluster.
    async fn joined(&self) -> Result<Joined> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.join(0).await {
                Ok(joined) => return Ok(joined),
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    async fn join(&self, at: usize) -> Result<Joined> {
        self.ask("GET", "/ready", Vec::new()).await?;
        let request = json!({"name": format!("p{at}"), "namespace": objects::NAMESPACE, "service_account": "gateway-edge"});
        let answer = self.ask("POST", api::path::REGISTRATIONS, serde_json::to_vec(&request)?).await?;
        let registration: api::Registration = serde_json::from_slice(&answer)?;
        let id = SpiffeId::parse(&registration.identity)?;
        let csr = Csr::generate(&id)?;
        let request = api::SignRequest { proxy: registration.proxy.clone(), csr: identity::pem::encode("CERTIFICATE REQUEST", &csr.der) };
        let signed: api::SignResponse = serde_json::from_slice(&self.ask("POST", api::path::SIGN, serde_json::to_vec(&request)?).await?)?;
        let certificates =
            |pem: &str| identity::pem::certificates(pem.as_bytes()).map(|all| all.iter().map(|one| one.to_vec()).collect::<Vec<_>>());
        let trust = TrustStore::new();
        trust.put(&TrustDomain::parse("organza.local")?, &certificates(&signed.roots)?)?;
        let svid = Svid::new(certificates(&signed.chain)?, csr.key())?;
        let expected = Expected::one(SpiffeId::parse(&registration.control_identity)?);
        let time = Arc::new(rustls::time_provider::DefaultTimeProvider);
        let tls = identity::client_config(&Credentials::with_svid(svid, trust), expected, &[alpn::H2], time)?;
        Ok(Joined { proxy: registration.proxy, address: registration.xds_address.parse()?, tls })
    }
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    method: &str,
    path: &str,
    body: Vec<u8>,
) -> Result<bytes::Bytes> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = http::Request::builder().method(method).uri(path).header("host", "organza").header("content-type", "application/json");
    let answer = sender.send_request(request.body(Full::new(bytes::Bytes::from(body)))?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    match status.is_success() {
        true => Ok(body),
        false => Err(format!("{path}: {status} {}", String::from_utf8_lossy(&body)).into()),
    }
}

/// All are of one Gateway, and each has a certificate of its own.
struct Joined {
    proxy: String,
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
}

impl Joined {
    /// Opens a proxy's stream, which goes on by itself.
    async fn proxy(&self, least: usize, told: mpsc::UnboundedSender<Seen>) -> Result<()> {
        let (address, connector) = (self.address, tokio_rustls::TlsConnector::from(self.tls.clone()));
        let connect = tower::service_fn(move |_: Uri| {
            let connector = connector.clone();
            async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                connector.connect(ServerName::IpAddress(address.ip().into()), stream).await.map(TokioIo::new)
            }
        });
        let channel: Channel = Endpoint::from_static("http://control.organza").connect_with_connector(connect).await?;
        let (requests, receiver) = mpsc::channel(4);
        let node = Node {
            id: self.proxy.clone(),
            user_agent_version: env!("CARGO_PKG_VERSION").into(),
            client_features: wire::delta::features().collect(),
            ..Node::default()
        };
        let asks = vec![wire::SELF.to_owned()];
        let first = DeltaDiscoveryRequest {
            node: Some(node),
            type_url: wire::TYPE_URL.into(),
            resource_names_subscribe: asks,
            ..Default::default()
        };
        requests.send(first).await?;
        let mut client = wire::grpc::DiscoveryClient::new(channel).max_decoding_message_size(wire::limits::MESSAGE_BYTES);
        let outgoing = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let mut responses = client.delta_aggregated_resources(outgoing).await?.into_inner();
        tokio::spawn(async move {
            let mut held = Held { least, ..Held::default() };
            loop {
                match responses.message().await {
                    Ok(Some(response)) => {
                        let answer = DeltaDiscoveryRequest {
                            type_url: wire::TYPE_URL.into(),
                            response_nonce: response.nonce.clone(),
                            ..Default::default()
                        };
                        held.take(response, &told);
                        if requests.send(answer).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => return,
                    // At the end all do.
                    Err(status) if !told.is_closed() => return println!("a stream ended: {status}"),
                    Err(_) => return,
                }
            }
        });
        Ok(())
    }
}

/// Names of what one proxy holds, until it has all of it; then how many they are.
#[derive(Default)]
struct Held {
    names: BTreeSet<u64>,
    changed: Vec<String>,
    least: usize,
    is_whole: bool,
}

impl Held {
    fn take(&mut self, response: DeltaDiscoveryResponse, told: &mpsc::UnboundedSender<Seen>) {
        let now = Instant::now();
        let is_last = !response.system_version_info.ends_with('+');
        if self.is_whole {
            self.changed.extend(response.resources.into_iter().map(|resource| resource.name));
        } else {
            self.names.extend(response.resources.iter().map(|resource| hash(&resource.name)));
        }
        if !is_last {
            return;
        }
        if !self.is_whole && self.names.len() >= self.least {
            self.is_whole = true;
            let _ = told.send(Seen::Whole(now, self.names.len()));
            self.names = BTreeSet::new();
        }
        self.changed.drain(..).for_each(|name| _ = told.send(Seen::Changed(name, now)));
    }
}

fn hash(name: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}
