//! Two proxies of one configuration over loopback, without a control plane: the younger takes over from the elder, or ends at any word.

mod datagrams;
mod metrics;

use super::*;
use crate::run::{Begin, run};
use crate::snapshot::file::{self, Fresh};
use crate::tests::quiet::took;
use crate::tests::resources::{HTTP, Place, TCP, service};
use crate::tests::{id, key};
use identity::{Authority, Csr, SignRequest, Signer, Svid};
use model::{Kind, Resource, TrustDomain};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use testkit::backend::Backend;
use tokio::sync::oneshot;
use wire::delta::{Applied, Encoded};

const SOON: Duration = Duration::from_secs(20);

/// A proxy's folder: its page of data, its certificate, and what it knows.
struct Home {
    folder: tempfile::TempDir,
    config: Config,
    http: SocketAddr,
    tcp: SocketAddr,
}

impl Home {
    fn new(web: &Backend, echo: &Backend, change: impl FnOnce(&mut serde_json::Value)) -> Self {
        let plain = |name, backend: &Backend| service(name, &[Place::plain(name, backend.address.port())]);
        let resources = [plain("catalog", web), plain("echo", echo)].concat();
        let ports = testkit::free_ports(2);
        let [http, tcp] = [ports[0], ports[1]].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let role = serde_json::json!({ "workload": { "upstreams": [
            { "host": "catalog", "port": HTTP, "address": http }, { "host": "echo", "port": TCP, "address": tcp },
        ] } });
        Self::of(&resources, role, [http, tcp], change)
    }

    fn of(
        resources: &[Resource],
        role: serde_json::Value,
        [http, tcp]: [SocketAddr; 2],
        change: impl FnOnce(&mut serde_json::Value),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let mut authority = Authority::create(TrustDomain::parse("organza.local").unwrap(), now).unwrap();
        let csr = Csr::generate(&id("web")).unwrap();
        let issued = authority.sign(&SignRequest::parse(&csr.der).unwrap(), &id("web"), now).unwrap();
        let svid = folder.path().join("svid");
        file::write_private(&svid, Svid::new(issued.chain, csr.key()).unwrap().to_pem().as_bytes()).unwrap();
        let mut fresh = Fresh::new();
        for resource in resources {
            let Encoded { version, bytes, .. } = Encoded::new(resource);
            fresh.insert(resource.key().clone(), Applied { version: (&*version).into(), bytes: bytes[..].into() });
        }
        let held = fresh.iter().map(|(key, applied)| (key.clone(), applied.version.clone())).collect();
        let known = |name: &str| (wire::host_subscription("shop", name).into(), Some(key(Kind::Service, name)));
        let answers = [known("catalog"), known("echo")].into();
        file::write(&folder.path().join("snapshot"), &file::Kept { generation: 7, held, answers }, &fresh).unwrap();
        let mut document = serde_json::json!({
            "mesh": "test", "proxy": "web", "namespace": "shop", "identity": id("web").to_string(), "drainSeconds": 1, "workers": 2,
            "role": role,
            "state": folder.path(), "svid": svid, "admin": folder.path().join("admin.sock"),
            // Nobody listens there.
            "control": { "addresses": ["127.0.0.1:1"], "trustRoots": authority.files().roots, "trustDomain": "organza.local" },
        });
        change(&mut document);
        let config = Config::parse(&document.to_string()).unwrap();
        Self { folder, config, http, tcp }
    }

    async fn start(&self, begin: Begin) -> Running {
        let running = Running::start(self.config.clone(), begin);
        let ready = async {
            while !self.asked(&running, "/ready").await.contains("ready") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, ready).await.expect("the proxy becomes ready");
        running
    }

    /// What the admin socket answers.
    async fn asked(&self, running: &Running, path: &str) -> String {
        assert!(!running.thread.as_ref().is_some_and(std::thread::JoinHandle::is_finished), "the proxy ended");
        let ask = async {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut stream = UnixStream::connect(&self.config.admin).await?;
            stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.map(|_| answer)
        };
        ask.await.unwrap_or_default()
    }

    fn names(&self) -> Vec<String> {
        let all = std::fs::read_dir(self.folder.path()).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
        let mut all: Vec<_> = all.filter(|name| name.ends_with(".sock")).collect();
        all.sort();
        all
    }
}

/// A proxy on a thread of its own.
struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<Result<(), String>>>,
}

impl Running {
    fn start(config: Config, begin: Begin) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let quiet = Arc::new(|_: &str| Ok(()));
        let life = move || {
            let ended = async { drop(stopped.await) };
            rt::run(run(config, begin, quiet, ended)).unwrap().map_err(|e| e.to_string())
        };
        // As a process's first thread has.
        let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(life).unwrap();
        Self { stop: Some(stop), thread: Some(thread) }
    }

    fn stop(&mut self) {
        self.stop.take();
    }

    /// Waits for its end.
    async fn ended(&mut self) -> Result<(), String> {
        let end = Instant::now() + SOON;
        while !self.thread.as_ref().is_some_and(|thread| thread.is_finished()) {
            assert!(Instant::now() < end, "the proxy does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.thread.take().unwrap().join().unwrap()
    }
}

/// A kept HTTP/1 connection.
struct Kept(TcpStream);

impl Kept {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self(stream)
    }

    /// The head of the answer to one request.
    fn ask(&mut self) -> String {
        self.0.write_all(b"GET / HTTP/1.1\r\nhost: catalog\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            assert_eq!(self.0.read(&mut byte).unwrap(), 1, "no answer but {:?}", String::from_utf8_lossy(&answer));
            answer.push(byte[0]);
        }
        let head = String::from_utf8(answer).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        self.0.read_exact(&mut vec![0; length]).unwrap();
        head
    }

    fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0))
    }
}

fn echo(stream: &mut TcpStream, word: &[u8]) {
    stream.write_all(word).unwrap();
    let mut back = vec![0; word.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, word);
}

fn good(address: SocketAddr) {
    let head = Kept::open(address).ask();
    assert!(head.starts_with("http/1.1 200"), "{head}");
}

async fn backends() -> (Backend, Backend) {
    (Backend::http("catalog").await, Backend::tcp("").await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_connections_end_where_they_began_and_new_ones_come_to_the_successor() {
    // Fewer workers than the groups have sockets, and more.
    for workers in [1, 3] {
        takes_over(workers).await;
    }
}

async fn takes_over(workers: usize) {
    let (web, bytes) = backends().await;
    let home = Home::new(&web, &bytes, |_| {});
    let mut elder = home.start(Begin::Alone).await;
    let mut kept = Kept::open(home.http);
    assert!(!kept.ask().contains("connection: close"));
    let mut idle = Kept::open(home.http);
    idle.ask();
    let mut silent = Kept::open(home.http);
    let mut opaque = TcpStream::connect(home.tcp).unwrap();
    echo(&mut opaque, b"before");

    let config = Config { workers: Some(workers), release: "99.0.0".into(), ..home.config.clone() };
    let mut successor = Running::start(config, Begin::AsSuccessor);
    let end = Instant::now() + SOON;
    while home.names().len() != 3 || !home.asked(&successor, "/ready").await.contains("ready") {
        assert!(Instant::now() < end, "it does not take over: {:?}", home.names());
        good(home.http);
    }
    (0..32).for_each(|_| good(home.http));
    assert!(kept.ask().contains("connection: close"), "the elder takes a last request");
    assert!(kept.is_closed());
    echo(&mut opaque, b"after");
    drop(opaque);
    // For longer than a drain would leave them.
    tokio::time::sleep(limits::DRAIN_GRACE * 2).await;
    // Nobody was in a hurry to end those that were idle, or had not said a word yet.
    assert!(idle.ask().contains("connection: close"));
    assert!(silent.ask().contains("connection: close"));
    assert_eq!(elder.ended().await, Ok(()), "with its last connection it ends by itself");
    assert_eq!(home.names(), ["admin.sock", "next.sock"]);
    good(home.http);
    successor.stop();
    assert_eq!(successor.ended().await, Ok(()));
}

/// How far a successor comes before it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Connected,
    Offered,
    Ready,
    /// It has the names as well, and says nothing.
    Named,
}

async fn begin(home: &Home, until: Step) {
    if until == Step::Connected {
        return drop(UnixStream::connect(home.config.handover_socket()).await.unwrap());
    }
    let (mut successor, inheritance) = ask(&home.config).await.unwrap().expect("there is a predecessor");
    assert_eq!((inheritance.groups.len(), &inheritance.release), (2, &home.config.release));
    assert!(inheritance.groups.iter().all(|group| group.descriptors().count() == 2), "two sockets of each, as there are workers");
    if until >= Step::Ready {
        successor.ready().await.unwrap();
    }
    if until >= Step::Named {
        drop(crate::admin::replace(&home.config.admin).unwrap());
        drop(crate::admin::replace(&home.config.handover_socket()).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_that_ends_at_any_step_costs_nothing_and_the_next_one_takes_over() {
    let (web, bytes) = backends().await;
    let home = Home::new(&web, &bytes, |_| {});
    let mut elder = home.start(Begin::Alone).await;
    let mut kept = Kept::open(home.http);
    for step in [Step::Connected, Step::Offered, Step::Ready, Step::Named] {
        for _ in 0..5 {
            // Connections that came while nobody accepted are answered too.
            let callers: Vec<_> = (0..8).map(|_| Kept::open(home.http)).collect();
            begin(&home, step).await;
            for mut caller in callers {
                assert!(caller.ask().starts_with("http/1.1 200"), "{step:?}");
            }
            good(home.http);
            let end = Instant::now() + SOON;
            while home.names() != ["admin.sock", "next.sock"] || !home.asked(&elder, "/ready").await.contains("ready") {
                assert!(Instant::now() < end, "{step:?}: the names are not as they were: {:?}", home.names());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        assert!(!kept.ask().contains("connection: close"), "{step:?}: it was not told to leave");
    }
    drop(kept);
    let mut successor = home.start(Begin::AsSuccessor).await;
    assert_eq!(elder.ended().await, Ok(()));
    good(home.http);
    successor.stop();
    assert_eq!(successor.ended().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_predecessor_refuses_or_is_gone_knows_what_to_do() {
    let (web, bytes) = backends().await;
    let home = Home::new(&web, &bytes, |_| {});
    // Nobody to take over from: it opens the doors itself.
    let mut alone = home.start(Begin::AsSuccessor).await;
    good(home.http);
    // Another proxy's page of data, with the same folder.
    let mut other = home.config.clone();
    other.proxy = "db".into();
    let refused = Running::start(other, Begin::AsSuccessor).ended().await.unwrap_err();
    assert!(refused.contains("this is proxy web"), "{refused}");
    // A conversation of another kind.
    let mut channel = Channel::new(UnixStream::connect(home.config.handover_socket()).await.unwrap());
    let later = Ask { protocol: PROTOCOL + 1, proxy: "web".into(), release: "9.0.0".into(), pid: 1, seats: false, datagrams: false };
    say(&mut channel, &Word::Ask(later), &[]).await.unwrap();
    let refused = hear(&mut channel, SOON).await.unwrap_err().to_string();
    assert!(refused.contains("protocol 2 is not known"), "{refused}");
    good(home.http);
    alone.stop();
    assert_eq!(alone.ended().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_still_open_at_the_end_of_the_time_is_ended() {
    let (web, bytes) = backends().await;
    let home = Home::new(&web, &bytes, |document| document["lingerSeconds"] = 1.into());
    let mut elder = home.start(Begin::Alone).await;
    let mut opaque = TcpStream::connect(home.tcp).unwrap();
    opaque.set_read_timeout(Some(SOON)).unwrap();
    echo(&mut opaque, b"word");
    let mut successor = home.start(Begin::AsSuccessor).await;
    assert_eq!(elder.ended().await, Ok(()));
    assert!(!matches!(opaque.read(&mut [0]), Ok(1)), "it is closed");
    good(home.http);
    successor.stop();
    assert_eq!(successor.ended().await, Ok(()));
}

/// Time goes on only where nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_waited_for_so_long_at_each_word() {
    let (web, bytes) = backends().await;
    let home = Home::new(&web, &bytes, |_| ());
    let _silent = UnixListener::bind(home.config.handover_socket()).unwrap();
    let (asked, time) = took(ask(&home.config)).await;
    assert!(matches!(asked, Err(Error::Late)));
    assert_eq!(time, limits::SUCCESSOR_READY);
    let (_silent, stream) = UnixStream::pair().unwrap();
    let (greeted, time) = took(greet(stream, &home.config)).await;
    assert!(matches!(greeted, Err(Error::Late)));
    assert_eq!(time, limits::HANDOVER_WORD);
    let (_silent, stream) = UnixStream::pair().unwrap();
    let proxy = home.config.proxy.clone();
    let successor = Ask { protocol: PROTOCOL, proxy, release: "1".into(), pid: 1, seats: false, datagrams: false };
    let mut predecessor = Predecessor { channel: Channel::new(stream), successor, release: "0".into() };
    let (doors, ports) = (Doors::new(Vec::new()), Ports::new(Vec::new(), telemetry::Metrics::new()));
    let (ready, time) = took(predecessor.offer(&doors, &ports, None, (0, 0))).await;
    assert!(matches!(ready, Err(Error::Late)));
    assert_eq!(time, limits::SUCCESSOR_READY);
    let (taken, time) = took(predecessor.released()).await;
    assert!(matches!(taken, Err(Error::Late)));
    assert_eq!(time, limits::HANDOVER_WORD);
}
