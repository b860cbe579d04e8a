//! A whole mesh is replaced by another program under load, by clients that never retry: nothing is lost, what was open lives on in the old
//! processes, and successors that are killed on the way change nothing.

#![allow(clippy::print_stdout, reason = "a test that counts says what it counted")]
#[path = "../common/mod.rs"]
mod common;
mod releases;

use common::{SOON, json, nothing_is_left, processes};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use testkit::backend::Backend;
use testkit::client::{Counter, Shot, fetch};
use testkit::objects::service_in_yaml;
use testkit::process::{Mesh, Process, eventually};
use testkit::streams::{Kind, Streams};
use testkit::{Load, Tally, free_ports};

/// Upgrades of everything, one after another; the development build makes fewer unless `ORGANZA_LOSS=full`.
const UPGRADES: u32 = 6;
const FEWER: u32 = 2;
/// Successors that are killed on their way.
const KILLS: u32 = 8;
const FEWER_KILLS: u32 = 4;
const TOLD: usize = 20;

fn full() -> bool {
    std::env::var("ORGANZA_LOSS").is_ok_and(|size| size == "full") || !cfg!(debug_assertions)
}

fn configuration(http: u16, tcp: u16) -> String {
    let route = |kind: &str, version: &str, name: &str, hosts: &str, section: &str| {
        format!(
            "---
apiVersion: gateway.networking.k8s.io/{version}
kind: {kind}
metadata: {{ name: {name} }}
spec:
  parentRefs: [{{ name: shop, sectionName: {section} }}]
{hosts}  rules:
  - backendRefs: [{{ name: {name}, port: 80 }}]
"
        )
    };
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: shop }}
spec:
  gatewayClassName: organza
  listeners:
  - {{ name: http, port: {http}, protocol: HTTP }}
  - {{ name: tcp, port: {tcp}, protocol: TCP }}
{}{}{}{}{}{}",
        service_in_yaml("items", "app: items", "http"),
        service_in_yaml("rpc", "app: rpc", "kubernetes.io/h2c"),
        service_in_yaml("bytes", "app: bytes", "tcp"),
        route("HTTPRoute", "v1", "items", "  hostnames: [shop]\n", "http"),
        route("GRPCRoute", "v1", "rpc", "  hostnames: [rpc]\n", "http"),
        route("TCPRoute", "v1alpha2", "bytes", "", "tcp"),
    )
}

/// A mesh with a gateway, three services and a client, all in processes of their own.
struct Scene {
    mesh: Mesh,
    up: Process,
    members: Vec<Process>,
    backends: Vec<Backend>,
    gateway: SocketAddr,
    opaque: SocketAddr,
    /// Local listeners of the client's proxy: to `items`, and to `bytes`.
    items: SocketAddr,
    bytes: SocketAddr,
}

impl Scene {
    async fn open() -> Self {
        let program = testkit::process::organza();
        Self::of(&program, &program).await
    }

    /// The control plane and the gateway run one program, the members another.
    async fn of(above: &Path, below: &Path) -> Self {
        let mesh = Mesh::new();
        let ports = free_ports(4);
        let at = |n: usize| SocketAddr::from(([127, 0, 0, 1], ports[n]));
        mesh.write("mesh.yaml", &configuration(ports[0], ports[1]));
        let backends = vec![Backend::http("items").await, Backend::http("rpc").await, Backend::tcp("").await];
        let up = Process::start(mesh.by(above, &["up", "-f", &mesh.config().to_string_lossy()]));
        up.wait_for("is up", SOON);
        let mut members = Vec::new();
        for (service, backend) in ["items", "rpc", "bytes"].into_iter().zip(&backends) {
            let port = backend.address.port().to_string();
            members.push(Process::start(mesh.by(below, &["run", "--service", service, "--port", &port])));
        }
        let upstreams = [format!("items={}", ports[2]), format!("bytes={}", ports[3])];
        members.push(Process::start(mesh.by(below, &["run", "--upstream", &upstreams[0], "--upstream", &upstreams[1]])));
        members.iter().for_each(|member| member.wait_for("is in the mesh", SOON));
        let scene = Self { mesh, up, members, backends, gateway: at(0), opaque: at(1), items: at(2), bytes: at(3) };
        scene.serves().await;
        scene
    }

    async fn serves(&self) {
        let begun = Instant::now();
        for (address, host) in [(self.gateway, "shop"), (self.items, "items")] {
            while !fetch(&Shot::get(address, host, "/")).await.is_ok_and(|(status, _, _)| status == 200) {
                assert!(begun.elapsed() < SOON, "{address} does not serve; up said:\n{}", self.up.output());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        for address in [self.opaque, self.bytes] {
            while Opaque::open(address).is_none_or(|mut opaque| !opaque.echoes("first")) {
                assert!(begun.elapsed() < SOON, "{address} does not carry; up said:\n{}", self.up.output());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Runs this program's `up --upgrade`: its exit code and what it said.
    fn upgrade(&self, program: &Path) -> (i32, String) {
        let child = self.upgrading(program);
        let output = child.wait_with_output().expect("its output");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code().unwrap_or(-1), said)
    }

    fn upgrading(&self, program: &Path) -> std::process::Child {
        let mut command = self.mesh.by(program, &["up", "--upgrade"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    }

    /// Processes of the mesh by number, with the program that each runs.
    fn running(&self) -> Vec<(u32, String, PathBuf)> {
        let all = processes(self.mesh.home()).into_iter();
        all.filter_map(|(pid, command)| Some((pid, command, std::fs::read_link(format!("/proc/{pid}/exe")).ok()?))).collect()
    }

    fn proxies(&self) -> serde_json::Value {
        let (code, out, error) = self.mesh.run(&["get", "proxies", "-A", "-o", "json"]);
        assert_eq!(code, 0, "{error}");
        json(&out)
    }

    /// `up` and the members keep their numbers whatever they become.
    fn supervisors(&self) -> BTreeSet<u32> {
        self.members.iter().chain([&self.up]).map(Process::id).collect()
    }
}

/// A program under another name, as a release that was just installed.
fn release(folder: &Path, name: &str, program: &Path) -> PathBuf {
    let path = folder.join(name);
    std::fs::copy(program, &path).expect("a copy of the program");
    path
}

/// The program under test as a further release of itself.
fn next(mesh: &Mesh, name: &str) -> PathBuf {
    release(mesh.home(), name, &testkit::process::organza())
}

/// One opaque connection.
struct Opaque(TcpStream);

impl Opaque {
    fn open(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        Some(Self(stream))
    }

    fn echoes(&mut self, word: &str) -> bool {
        let mut back = vec![0; word.len()];
        self.0.write_all(word.as_bytes()).and_then(|()| self.0.read_exact(&mut back)).is_ok() && back == word.as_bytes()
    }
}

fn load(scene: &Scene) -> Load {
    let gateway = scene.gateway;
    let post = Shot { method: "POST", ..Shot::upload(gateway, "shop", "/buy", 100) };
    // Kept open and idle for as long as doors take to change hands, and longer.
    let idle = Shot { pause: Duration::from_millis(450), ..Shot::get(gateway, "shop", "/") };
    let close = Shot { headers: vec![("connection".into(), "close".into())], ..Shot::get(gateway, "shop", "/") };
    let within_idle = Shot { pause: Duration::from_millis(450), ..Shot::get(scene.items, "items", "/") };
    Load {
        counters: vec![
            ("GET", Counter::start(&Shot::get(gateway, "shop", "/items?q=1"), 2)),
            ("GET, a connection each", Counter::start(&close, 2)),
            ("GET, mostly idle", Counter::start(&idle, 6)),
            ("POST", Counter::start(&post, 2)),
            ("upload", Counter::start(&Shot::upload(gateway, "shop", "/upload", 200_000), 1)),
            ("GET among workloads", Counter::start(&Shot::get(scene.items, "items", "/"), 2)),
            ("GET among workloads, mostly idle", Counter::start(&within_idle, 3)),
        ],
        streams: vec![
            ("WebSocket", Streams::start(Kind::WebSocket, gateway, "shop", "/ws", 2)),
            ("gRPC stream", Streams::start(Kind::Grpc, gateway, "rpc", "/echo.Echo/Both", 2)),
            ("opaque", Streams::start(Kind::Tcp, scene.opaque, "", "", 2)),
            ("opaque among workloads", Streams::start(Kind::Tcp, scene.bytes, "", "", 2)),
        ],
    }
}

/// Ends the load; what was lost is told.
async fn finish(load: Load) -> Tally {
    load.losses().iter().take(TOLD).for_each(|(what, loss)| println!("lost: {what}: {}", loss.answer));
    load.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_mesh_becomes_another_program_and_loses_nothing() {
    let scene = Scene::open().await;
    let supervisors = scene.supervisors();
    let load = load(&scene);
    let mut long = [Opaque::open(scene.opaque).expect("connected"), Opaque::open(scene.bytes).expect("connected")];
    assert!(long.iter_mut().all(|opaque| opaque.echoes("before")));
    let first: BTreeSet<u32> =
        scene.running().into_iter().filter(|(_, command, _)| command.contains(" proxy ")).map(|(pid, ..)| pid).collect();
    assert_eq!(first.len(), 5, "a gateway, three services, a client");

    let upgrades = if full() { UPGRADES } else { FEWER };
    let mut before = BTreeSet::new();
    for number in 1..=upgrades {
        let program = next(&scene.mesh, &format!("organza-{number}"));
        let (code, said) = scene.upgrade(&program);
        assert_eq!(code, 0, "{said}\nup said:\n{}\nthere is:\n{:#?}", scene.up.output(), scene.running());
        println!("{said}");
        for word in ["control plane: process", "proxy gateway-shop: process", "sockets of", "runs organza"] {
            assert!(said.contains(word), "no {word:?} in:\n{said}");
        }
        // All is the new program but for processes in which connections live on.
        let running = scene.running();
        let (new, old): (Vec<_>, Vec<_>) = running.into_iter().partition(|(_, _, exe)| *exe == program);
        assert!(supervisors.iter().all(|pid| new.iter().any(|(other, ..)| other == pid)), "{new:?}");
        assert!(old.iter().all(|(_, command, _)| command.contains(" proxy ")), "{old:?}");
        assert!(new.iter().any(|(_, command, _)| command.contains(" control ")), "{new:?}");
        let serving: BTreeSet<u32> = new.iter().filter(|(_, command, _)| command.contains(" proxy ")).map(|(pid, ..)| *pid).collect();
        assert_eq!(serving.len(), first.len(), "each proxy is there once, and new");
        assert!(serving.is_disjoint(&before) && serving.is_disjoint(&first));
        before = serving;
        assert!(long.iter_mut().all(|opaque| opaque.echoes("between")), "what was open lives on");
    }
    assert!(first.iter().filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).count() >= 2, "in the processes that it began in");
    let leaving = |proxies: &serde_json::Value| -> u64 {
        proxies["items"].as_array().into_iter().flatten().filter_map(|p| p["leaving"].as_u64()).sum()
    };
    eventually("the control plane knows of those that leave", SOON, || leaving(&scene.proxies()) > 0);
    assert!(long.iter_mut().all(|opaque| opaque.echoes("after")));
    drop(long);
    let all = finish(load).await;
    assert_eq!(all.lost(), 0, "{all:?}\nup said:\n{}", scene.up.output());
    // With their last connections the old processes end by themselves, and take nothing with them.
    eventually("the first processes end", SOON, || !first.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()));
    eventually("nobody leaves any more", SOON, || leaving(&scene.proxies()) == 0);
    scene.serves().await;
    let Scene { mesh, mut up, members, backends, .. } = scene;
    drop(members);
    assert!(up.stop(SOON).is_some_and(|status| status.success()), "{}", up.output());
    nothing_is_left(&mesh);
    drop(backends);
}

/// Every process there is.
fn all_pids() -> BTreeSet<u32> {
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The successor of the gateway's proxy, once there is one: looked for among those alone that were not there before, for it has the doors within milliseconds.
fn successor(scene: &Scene, before: &BTreeSet<u32>) -> Option<u32> {
    let home = scene.mesh.home().display().to_string();
    let is_it = |pid: &u32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command);
        ["--take-over", "gateway-shop", &home].iter().all(|word| command.contains(word))
    };
    all_pids().into_iter().filter(|pid| !before.contains(pid)).find(is_it)
}

/// By the kernel's own call: a program that sends one takes as long as a successor on its way.
fn signal(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid.cast_signed()).expect("a process"), signal);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn successors_that_are_killed_on_their_way_cost_nothing() {
    let scene = Scene::open().await;
    let program = next(&scene.mesh, "organza-next");
    let load = load(&scene);
    let log = scene.mesh.home().join("state/organza/default/logs/proxy-gateway-shop.log");
    let (mut killed, mut served) = (0, 0);
    let mut step = Duration::from_millis(25);
    let wanted = if full() { KILLS } else { FEWER_KILLS };
    while killed < wanted {
        assert!(served < 20, "successors are too fast to be killed");
        let before = all_pids();
        let upgrade = scene.upgrading(&program);
        let begun = Instant::now();
        let pid = loop {
            if let Some(pid) = successor(&scene, &before) {
                break pid;
            }
            assert!(begun.elapsed() < SOON, "no successor came");
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        // Further on its way each time. Stopped, it goes no further while we look how far it came.
        tokio::time::sleep(step * killed).await;
        signal(pid, Signal::STOP);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        if said.contains(&format!("process {pid} has the doors")) {
            // It was there before us: we come sooner from now on.
            (served, step) = (served + 1, step / 2);
            signal(pid, Signal::CONT);
        } else {
            killed += 1;
            signal(pid, Signal::KILL);
        }
        let output = upgrade.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout);
        println!("successor {pid}: {}", if output.status.success() { "took over" } else { "did not" });
        assert!(output.status.success() || said.contains("the one before goes on"), "{said}");
    }
    assert!(killed > 0);
    let (code, said) = scene.upgrade(&program);
    assert_eq!(code, 0, "{said}");
    let all = finish(load).await;
    assert_eq!(all.lost(), 0, "{all:?}\nup said:\n{}", scene.up.output());
}

#[test]
fn where_nothing_runs_and_where_the_program_is_none_it_says_what_to_do() {
    let mesh = Mesh::new();
    let (code, _, error) = mesh.run(&["up", "--upgrade"]);
    assert_eq!(code, 3);
    assert!(error.contains("is not up") && error.contains("organza up"), "{error}");
    // Nobody who types it is meant by this.
    let (code, _, error) = mesh.run(&["up", "--resume"]);
    assert_eq!(code, 2, "{error}");
    let (code, _, error) = mesh.run(&["resumes", "99"]);
    assert_eq!(code, 1, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_under_run_keeps_its_streams_and_its_exit_code() {
    let mesh = Mesh::new();
    let up = common::up(&mesh);
    // Ends when it is told to by a file.
    let flag = mesh.home().join("end");
    let script = format!("echo begun; while [ ! -e {} ]; do sleep 0.05; done; echo ended; exit 7", flag.display());
    let mut member = Process::start(mesh.organza(&["run", "--", "sh", "-c", &script]));
    member.wait_for("begun", SOON);
    let program = next(&mesh, "organza-next");
    let output = mesh.by(&program, &["up", "--upgrade"]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(std::fs::read_link(format!("/proc/{}/exe", member.id())).expect("a process"), program);
    std::fs::write(&flag, "").expect("a file");
    assert_eq!(member.wait(SOON).code(), Some(7));
    member.wait_for("ended", SOON);
    drop(up);
}
