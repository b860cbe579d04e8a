//! A real mesh at about half its load, with clients that break off, clients that read slowly and a change of configuration each second: nothing may be
//! lost but what its own client broke off, memory stays flat, and when the load has ended every process holds what it held before.
//!
//! Run as a test it plays a few seconds and judges the losses; `cargo xtask soak --real` plays ten minutes and judges all.
#![allow(clippy::print_stdout, reason = "a program of its own")]

mod load;
mod watch;

use load::{Load, Rude};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use testkit::backend::Backend;
use testkit::client::{Counter, Shot, fetch};
use testkit::objects::service_in_yaml;
use testkit::process::{Mesh, Process, eventually};
use testkit::{Tally, free_ports};
use watch::Watch;

/// Of a run without arguments.
const SHORT: Duration = Duration::from_secs(6);
/// Longest that may be asked for.
const MOST_MINUTES: u64 = 60;
/// Connections of the steady load.
const CONNECTIONS: usize = 16;
/// In which the whole load is measured, of which the half is used.
const MEASURE: Duration = Duration::from_secs(5);
/// The part of a run in which memory may still grow.
const WARM_UP: f64 = 0.2;
/// A run that is shorter says nothing of memory.
const LEAST: Duration = Duration::from_secs(60);
/// Until unused connections are closed.
const IDLE: Duration = Duration::from_secs(90);
/// The same after the load, and some.
const SETTLE: Duration = Duration::from_secs(180);
const CHANGE: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(60);

fn time() -> Duration {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|argument| argument == "--minutes");
    let minutes = at.and_then(|at| arguments.get(at + 1)).and_then(|n| n.parse::<u64>().ok());
    minutes.map_or(SHORT, |minutes| Duration::from_secs(60 * minutes.min(MOST_MINUTES)))
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let broken = runtime.block_on(soak(time()));
    for why in &broken {
        println!("broken: {why}");
    }
    let (word, failed) = if broken.is_empty() { ("ok", 0) } else { ("FAILED", 1) };
    println!("test result: {word}. {} passed; {failed} failed; 0 ignored", 1 - failed);
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays it and says what was not as it should be.
async fn soak(time: Duration) -> Vec<String> {
    let mesh = Mesh::new();
    let port = free_ports(1)[0];
    let (v1, v2) = (Backend::http("items-v1").await, Backend::http("items-v2").await);
    mesh.write("services.yaml", &services(port));
    mesh.write("routes.yaml", &routes(0));
    let up = Process::start(mesh.organza(&["up", "-f", &mesh.config().to_string_lossy()]));
    up.wait_for("is up", SOON);
    let _members = [front(&mesh, "v1", &v1), front(&mesh, "v2", &v2)];
    let gateway: SocketAddr = ([127, 0, 0, 1], port).into();
    serves(gateway, &up).await;
    if time >= LEAST {
        // What the first requests left open ends by itself.
        tokio::time::sleep(IDLE).await;
    }
    let mut watch = Watch::new(mesh.home());
    let before = watch.look().await;

    let most = measure(gateway).await;
    let load = Load::start(gateway, CONNECTIONS, most / 2.0);
    println!("{most:.0} requests a second at most; {:.0} for {} s, of which one in a hundred breaks off", most / 2.0, time.as_secs());
    let changes = change(&mesh, &mut watch, time).await;
    let (tally, rude) = load.finish().await;
    let mut broken = lost(&tally, &rude);
    println!("{changes} changes of configuration");
    if time < LEAST {
        println!("memory and descriptors are judged from a minute on");
        return broken;
    }
    let after = watch.settle(&before, SETTLE).await;
    broken.extend(watch.verdict(&before, &after, WARM_UP));
    broken
}

async fn serves(gateway: SocketAddr, up: &Process) {
    let begun = Instant::now();
    let mut good = 0;
    // Both versions, however the weights fall.
    while good < 20 {
        good = if fetch(&Shot::get(gateway, "shop", "/")).await.is_ok_and(|(status, ..)| status == 200) { good + 1 } else { 0 };
        assert!(begun.elapsed() < SOON, "the gateway does not serve; up said:\n{}", up.output());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Requests a second that come through when nobody waits.
async fn measure(gateway: SocketAddr) -> f64 {
    let shot = Shot { pause: Duration::ZERO, ..Shot::get(gateway, "shop", "/items") };
    let counter = Counter::start(&shot, CONNECTIONS);
    tokio::time::sleep(MEASURE).await;
    counter.finish().await.of("200") as f64 / MEASURE.as_secs_f64()
}

/// Edits the files each second and looks at the processes meanwhile.
async fn change(mesh: &Mesh, watch: &mut Watch, time: Duration) -> u32 {
    let begun = Instant::now();
    let mut changes = 0;
    while begun.elapsed() < time {
        changes += 1;
        mesh.write("routes.yaml", &routes(changes));
        watch.sample().await;
        tokio::time::sleep((CHANGE * changes).saturating_sub(begun.elapsed())).await;
    }
    changes
}

fn lost(tally: &Tally, rude: &Rude) -> Vec<String> {
    println!("{} requests answered, {} lost", tally.of("200"), tally.lost());
    println!("{} broken off by their clients, {} answers read slowly, {} of those lost", rude.reset, rude.slow, rude.lost.len());
    let mut broken: Vec<String> = rude.lost.iter().map(|why| format!("a slow reader's answer was lost: {why}")).collect();
    let wrong = tally.0.iter().filter(|(ending, _)| *ending != "200");
    broken.extend(wrong.map(|(ending, count)| format!("{count} requests ended with {ending}")));
    if tally.of("200") == 0 || rude.reset == 0 || rude.slow == 0 {
        broken.push("the load did not do what it is for".into());
    }
    broken
}

fn front(mesh: &Mesh, version: &str, backend: &Backend) -> Process {
    let port = backend.address.port().to_string();
    let process = Process::start(mesh.organza(&["run", "--service", "items", "--version", version, "--port", &port]));
    process.wait_for("is in the mesh", SOON);
    eventually("it is told of", SOON, || mesh.run(&["get", "services"]).0 == 0);
    process
}

/// Other weights each time, and now and then another policy.
fn routes(change: u32) -> String {
    let (first, limit) = (10 + change * 7 % 80, 200 + change / 10 % 3);
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: shop }}
spec:
  parentRefs: [{{ name: shop }}]
  hostnames: [shop]
  rules:
  - backendRefs:
    - {{ name: items-v1, port: 80, weight: {first} }}
    - {{ name: items-v2, port: 80, weight: {} }}
---
apiVersion: organza.dev/v1alpha1
kind: BackendTrafficPolicy
metadata: {{ name: items }}
spec:
  targetRefs: [{{ group: '', kind: Service, name: items-v1 }}]
  circuitBreaker: {{ maxParallelRequests: {limit} }}
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
{}{}",
        service_in_yaml("items-v1", "app: items, version: v1", "http"),
        service_in_yaml("items-v2", "app: items, version: v2", "http")
    )
}
