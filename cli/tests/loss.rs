//! Nothing is lost by the mesh's own changes: clients that never retry go on through a thousand changes of weights, short-lived certificates
//! that are renewed under them, a new root, and a control plane that is killed or ended and comes back.

#![allow(clippy::print_stdout, reason = "a test that counts says what it counted")]
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::backend::Backend;
use testkit::client::{Counter, Shot, fetch};
use testkit::objects::service_in_yaml;
use testkit::process::{Mesh, Process, eventually};
use testkit::streams::{Kind, Streams};
use testkit::{Load, Loss, free_ports};

/// Changes of weights, made one after another as fast as files are read. The development build, which is many times slower, makes fewer
/// unless `ORGANZA_LOSS=full`; the release build, which CI tests, makes all.
const CHANGES: u32 = 1000;
const FEWER: u32 = 200;
/// Of the control plane: killed and ended in turns.
const RESTARTS: u32 = 10;
/// Losses that are told one by one.
const TOLD: usize = 40;
/// Life of certificates, in seconds.
const SVID_LIFE: &str = "20";

fn routes(first: u32) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: shop }}
spec:
  parentRefs: [{{ name: shop }}]
  hostnames: [shop]
  rules:
  - backendRefs:
    - {{ name: items, port: 80 }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: items }}
spec:
  parentRefs: [{{ group: '', kind: Service, name: items, port: 80 }}]
  rules:
  - backendRefs:
    - {{ name: items-v1, port: 80, weight: {first} }}
    - {{ name: items-v2, port: 80, weight: {} }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {{ name: rpc }}
spec:
  parentRefs: [{{ name: shop }}]
  hostnames: [rpc]
  rules:
  - backendRefs:
    - {{ name: rpc, port: 80 }}
",
        100 - first
    )
}

fn services(port: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: shop }}
spec:
  gatewayClassName: organza
  listeners: [{{ name: http, port: {port}, protocol: HTTP }}]
{}{}{}{}",
        service_in_yaml("items", "app: items", "http"),
        service_in_yaml("items-v1", "app: items, version: v1", "http"),
        service_in_yaml("items-v2", "app: items, version: v2", "http"),
        service_in_yaml("rpc", "app: rpc", "kubernetes.io/h2c")
    )
}

fn front(mesh: &Mesh, service: &str, version: &str, backend: &Backend) -> Process {
    let port = backend.address.port().to_string();
    let process = Process::start(mesh.organza(&["run", "--service", service, "--version", version, "--port", &port]));
    process.wait_for("is in the mesh", Duration::from_secs(20));
    process
}

/// The process that tells proxies what to do, found among the children of `up`.
fn control_of(up: &Process) -> Option<String> {
    let out = Command::new("pgrep").args(["-P", &up.id().to_string(), "-f", "organza control"]).output().ok()?;
    String::from_utf8_lossy(&out.stdout).lines().next().map(str::to_owned)
}

/// Kills or ends the control plane, and waits until it is back.
fn restart_control(mesh: &Mesh, up: &Process, signal: &str) {
    let pid = control_of(up).expect("there is a control plane");
    let ended = Command::new("kill").args(["-s", signal, &pid]).status().is_ok_and(|s| s.success());
    assert!(ended, "the control plane could not be ended");
    eventually("the control plane comes back", Duration::from_secs(20), || {
        control_of(up).is_some_and(|now| now != pid) && mesh.run(&["status"]).0 == 0
    });
}

fn roots(mesh: &Mesh) -> wire::api::Roots {
    let (code, out, error) = mesh.run(&["ca", "show", "-o", "json"]);
    assert_eq!(code, 0, "{error}");
    serde_json::from_str(&out).expect("roots as JSON")
}

fn changes() -> u32 {
    let full = std::env::var("ORGANZA_LOSS").is_ok_and(|size| size == "full");
    if full || !cfg!(debug_assertions) { CHANGES } else { FEWER }
}

/// What was done to the mesh, and when: beside each loss stands what came last before it.
struct Story {
    begun: Instant,
    events: Vec<(Instant, String)>,
}

impl Story {
    fn begin(&mut self, what: String) {
        self.events.push((Instant::now(), what));
    }

    fn tell(&self, what: &str, loss: &Loss) -> String {
        let since = |at: Instant| at.saturating_duration_since(self.begun).as_secs_f64();
        let last = self.events.iter().rev().find(|(at, _)| *at <= loss.ended);
        let last = last.map_or_else(|| "nothing".into(), |(at, event)| format!("{event} ({:.3} s)", since(*at)));
        format!("{what} from {:.3} s to {:.3} s: {}; last before: {last}", since(loss.began), since(loss.ended), loss.answer)
    }
}

fn load(gateway: SocketAddr) -> Load {
    let posts = Shot { method: "POST", ..Shot::upload(gateway, "shop", "/buy", 100) };
    Load {
        counters: vec![
            ("GET", Counter::start(&Shot::get(gateway, "shop", "/items?q=1"), 4)),
            ("POST", Counter::start(&posts, 2)),
            ("upload", Counter::start(&Shot::upload(gateway, "shop", "/upload", 200_000), 1)),
        ],
        streams: vec![
            ("WebSocket", Streams::start(Kind::WebSocket, gateway, "shop", "/ws", 2)),
            ("gRPC stream", Streams::start(Kind::Grpc, gateway, "rpc", "/echo.Echo/Both", 2)),
        ],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_our_own_changes() {
    let mesh = Mesh::new();
    let port = free_ports(1)[0];
    let (v1, v2, rpc) = (Backend::http("items-v1").await, Backend::http("items-v2").await, Backend::http("rpc").await);
    mesh.write("services.yaml", &services(port));
    mesh.write("routes.yaml", &routes(50));
    let folder = mesh.config();
    let up = Process::start(mesh.organza(&["up", "-f", &folder.to_string_lossy(), "--svid-life", SVID_LIFE]));
    up.wait_for("is up", Duration::from_secs(20));
    let _members = [front(&mesh, "items", "v1", &v1), front(&mesh, "items", "v2", &v2), front(&mesh, "rpc", "v1", &rpc)];
    let gateway = ([127, 0, 0, 1], port).into();
    let begun = Instant::now();
    while !fetch(&Shot::get(gateway, "shop", "/")).await.is_ok_and(|(status, _, _)| status == 200) {
        assert!(begun.elapsed() < Duration::from_secs(20), "the gateway does not serve; up said:\n{}", up.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let old = roots(&mesh).items[0].fingerprint.clone();

    let load = load(gateway);
    let mut story = Story { begun: Instant::now(), events: Vec::new() };
    let changes = changes();
    let events = || up.output().matches("HTTPRoute items").count();
    for change in 1..=changes {
        let before = events();
        story.begin(format!("change {change}"));
        mesh.write("routes.yaml", &routes(change % 101));
        // While a control plane is coming back, a change is made without being told: the next one goes on after a moment.
        let patience = Instant::now() + Duration::from_secs(1);
        while events() == before && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if change % (changes / RESTARTS) == 0 {
            let signal = if change % (2 * changes / RESTARTS) == 0 { "KILL" } else { "TERM" };
            story.begin(format!("{signal} of the control plane after change {change}"));
            restart_control(&mesh, &up, signal);
            story.begin("return of the control plane".into());
        }
        // Between two restarts.
        if change == changes * 11 / 20 {
            story.begin("rotation of the root".into());
            let (code, out, error) = mesh.run(&["ca", "rotate", "--timeout", "30s"]);
            assert_eq!(code, 0, "{out}{error}");
            story.begin("the new root signs".into());
        }
    }
    // Nothing under the old root is valid once the last certificate of before has ended.
    eventually("the old root is dropped", Duration::from_secs(60), || roots(&mesh).items.len() == 1);
    assert_ne!(roots(&mesh).items[0].fingerprint, old);
    story.begin("the old root's end".into());
    // A while of traffic in which only the new root is believed.
    tokio::time::sleep(Duration::from_secs(2)).await;

    let told = u32::try_from(events()).unwrap_or(u32::MAX);
    assert!(told > changes * 8 / 10, "{told} of {changes} changes were told; up said:\n{}", tail(&up.output()));
    load.losses().iter().take(TOLD).for_each(|(what, loss)| println!("lost: {}", story.tell(what, loss)));
    let all = load.finish().await;
    assert_eq!(all.lost(), 0, "{all:?}\nup said:\n{}", tail(&up.output()));
    assert!(v1.requests() > 0 && v2.requests() > 0, "both versions were called");
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
