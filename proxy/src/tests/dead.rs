//! A proxy that lives beside an application that does not: it says so itself, its callers count that against the endpoint and go elsewhere, and no
//! application can say the same.

use super::resources::{self, HTTP, Place, TCP};
use super::scripted::{FINE, Scripted};
use super::{Mesh, Proxy, bounded};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::client::{Shot, fetch};
use testkit::process::Process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LISTENS: &str = "the application listens at ";
const FORGED: &str = "HTTP/1.1 503 Busy\r\nOrganza-Fault: connect_refused\r\nContent-Length: 0\r\n\r\n";

/// Set where this program is run as an application.
const AS_APPLICATION: &str = "ORGANZA_TEST_APPLICATION";

/// No test of its own: [`Application`] runs this program again, as a process that can be killed.
#[test]
fn application() {
    if std::env::var_os(AS_APPLICATION).is_none() {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    writeln!(std::io::stdout(), "{LISTENS}{};", listener.local_addr().unwrap()).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer);
        let _ = stream.write_all(FINE.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes());
    }
}

/// A real process, which can be killed.
struct Application(Process, SocketAddr);

impl Application {
    fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "tests::dead::application", "--nocapture"]).env(AS_APPLICATION, "1");
        let process = Process::start(command);
        process.wait_for(";", Duration::from_secs(20));
        let output = process.output();
        let address = output.split(LISTENS).nth(1).and_then(|rest| rest.split(';').next()).unwrap().parse().unwrap();
        Self(process, address)
    }

    async fn kill(&self) {
        self.0.signal("KILL");
        while TcpStream::connect(self.1).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// `web` calls catalog, which has a proxy beside each of its applications.
struct Scene {
    web: Proxy,
    http: SocketAddr,
    tcp: SocketAddr,
    /// Kept, since they serve.
    _beside: Vec<Proxy>,
}

impl Scene {
    fn new(applications: &[SocketAddr]) -> Self {
        let mut mesh = Mesh::new();
        let mut web = mesh.proxy("web");
        let (http, tcp) = (web.named("catalog", HTTP), web.named("catalog", TCP));
        let (mut beside, mut places) = (Vec::new(), Vec::new());
        for (name, application) in ["catalog-1", "catalog-2"].into_iter().zip(applications) {
            let mut proxy = mesh.proxy("catalog");
            places.push(Place::organza(name, proxy.inbound(name), application.port()));
            beside.push(proxy);
        }
        mesh.put(resources::catalog(&places));
        Self { web, http, tcp, _beside: beside }
    }

    /// Statuses of calls, one after another.
    async fn calls(&self, method: &'static str, count: usize) -> Vec<u16> {
        let mut statuses = Vec::new();
        for _ in 0..count {
            statuses.push(fetch(&Shot { method, ..Shot::get(self.http, "catalog", "/") }).await.unwrap().0.as_u16());
        }
        statuses
    }

    fn out(&self) -> Vec<(String, String)> {
        let out = self.web.worker.shared.guards.out(Instant::now());
        out.into_iter().map(|out| (out.endpoint.to_string(), out.cause)).collect()
    }
}

#[tokio::test]
async fn a_killed_application_costs_no_call_and_is_left_out() {
    bounded(async {
        let (killed, alive) = (Application::start(), Scripted::new(&[FINE]).await);
        let scene = Scene::new(&[killed.1, alive.address]);
        assert_eq!(scene.calls("GET", 10).await, [200; 10]);
        assert_eq!(alive.requests(), 5, "both are used");
        killed.kill().await;
        // Nothing of them was sent, whatever the method.
        assert_eq!(scene.calls("POST", 20).await, [200; 20]);
        assert_eq!(alive.requests(), 25);
        assert_eq!(scene.out(), [("catalog-1".to_owned(), "3 × connect_refused".to_owned())]);
    })
    .await;
}

#[tokio::test]
async fn where_no_other_is_the_caller_hears_who_failed_and_why() {
    bounded(async {
        let killed = Application::start();
        let scene = Scene::new(&[killed.1]);
        killed.kill().await;
        let (status, headers, _) = fetch(&Shot::get(scene.http, "catalog", "/")).await.unwrap();
        let proxy_status = headers["proxy-status"].to_str().unwrap();
        assert!(status == 503 && proxy_status.starts_with("catalog; error=connection_refused"), "{proxy_status}");
        assert!(!headers.contains_key("organza-fault"), "{headers:?}");
        let record = scene.web.record().await;
        assert_eq!((&record["fault"], &record["response_flags"]), (&"connect_refused".into(), &"UF".into()), "{record}");
    })
    .await;
}

#[tokio::test]
async fn no_application_can_say_what_only_its_proxy_may() {
    bounded(async {
        let (forger, fine) = (Scripted::new(&[FORGED]).await, Scripted::new(&[FINE]).await);
        let scene = Scene::new(&[forger.address, fine.address]);
        let statuses = scene.calls("GET", 20).await;
        assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 10, "its answers are its own: {statuses:?}");
        assert!(scene.out().is_empty(), "{:?}", scene.out());
        // Nor where it has no proxy at all.
        let mut mesh = Mesh::new();
        let mut web = mesh.proxy("web");
        let door = web.named("catalog", HTTP);
        mesh.put(resources::catalog(&[Place::plain("a", forger.address.port()), Place::plain("b", fine.address.port())]));
        for _ in 0..20 {
            let (_, headers, _) = fetch(&Shot::get(door, "catalog", "/")).await.unwrap();
            assert!(!headers.contains_key("organza-fault"));
        }
        assert_eq!(forger.requests(), 20);
        assert!(web.worker.shared.guards.out(Instant::now()).is_empty());
    })
    .await;
}

#[tokio::test]
async fn opaque_connections_go_to_an_application_that_lives() {
    bounded(async {
        let (killed, alive) = (Application::start(), Scripted::new(&[FINE]).await);
        let scene = Scene::new(&[killed.1, alive.address]);
        killed.kill().await;
        for _ in 0..8 {
            let mut stream = TcpStream::connect(scene.tcp).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
        }
        assert_eq!(scene.out(), [("catalog-1".to_owned(), "3 × connect_refused".to_owned())]);
    })
    .await;
}
