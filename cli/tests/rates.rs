//! A limit is the proxy's, whatever the number of its workers: a gateway that is started with one, two and eight of them, on what it kept from its control
//! plane, lets through what its policy says, and no more.
#![allow(clippy::print_stdout, reason = "a test that counts says what it counted")]

mod common;

use common::{SOON, get, mesh, nothing_is_left, up};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use testkit::client::{Counter, Shot};
use testkit::process::eventually;
use testkit::{Mesh, Process, Tally, free_port};

/// So many come back each second, and so many may come at once: a machine that stands still for less than two seconds wastes none of them.
const REQUESTS: u64 = 500;
const BURST: u64 = 1_000;
const CONNECTIONS: usize = 64;
const LONG: Duration = Duration::from_secs(10);
/// Who counts looks this often, and where it could not, looks again: a moment is only as long as this machine makes it.
const LOOK: Duration = Duration::from_millis(5);
const MOMENT: Duration = Duration::from_millis(25);
/// Its window is so long that nothing comes back while the test runs.
const AT_ONCE: u64 = 700;

fn config(port: u16) -> String {
    let route = |path: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {path}}}\nspec:\n  parentRefs: [{{name: edge}}]\n  rules:\n  \
             - matches: [{{path: {{value: /{path}}}}}]\n    filters: [{{type: RequestRedirect, requestRedirect: {{hostname: elsewhere}}}}]\n"
        )
    };
    let limit = |path: &str, limit: &str| {
        format!(
            "---\napiVersion: organza.dev/v1alpha1\nkind: RateLimitPolicy\nmetadata: {{name: {path}}}\nspec:\n  \
             targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {path}}}]\n  limits: [{{name: all, {limit}}}]\n"
        )
    };
    let gateway = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec:\n  gatewayClassName: organza\n  ";
    format!("{gateway}listeners: [{{name: http, port: {port}, protocol: HTTP}}]\n")
        + &["steady", "once", "free"].map(route).concat()
        + &limit("steady", &format!("requests: {REQUESTS}, burst: {BURST}"))
        + &limit("once", &format!("requests: 1, window: 1h, burst: {AT_ONCE}"))
}

/// A folder of the gateway's own, with what it kept, once its control plane and itself are gone.
fn kept(mesh: &Mesh, door: SocketAddr) -> PathBuf {
    let mut up = up(mesh);
    let proxies = mesh.home().join("state/organza/default/proxies");
    eventually("the gateway answers", SOON, || get(&door.to_string(), "/free HTTP/1.1\r\nhost: a").0 == 302);
    let folder = std::fs::read_dir(&proxies).expect("proxies").flatten().next().expect("the gateway's").path();
    let copy = mesh.home().join("kept");
    std::fs::create_dir_all(&copy).expect("a folder");
    eventually("what it has is kept", SOON, || {
        // It is written whole, so that one that is read whole is one.
        std::fs::read(folder.join("snapshot")).is_ok_and(|bytes| bytes.windows(6).any(|part| part == b"steady"))
    });
    for name in ["config.json", "snapshot", "svid"] {
        std::fs::copy(folder.join(name), copy.join(name)).expect("a copy");
    }
    up.stop(SOON);
    nothing_is_left(mesh);
    copy
}

fn start(mesh: &Mesh, folder: &Path, workers: usize) -> Process {
    let mut config: Value = serde_json::from_slice(&std::fs::read(folder.join("config.json")).expect("a configuration")).expect("JSON");
    config["workers"] = json!(workers);
    config["state"] = json!(folder);
    config["svid"] = json!(folder.join("svid"));
    config["admin"] = json!(folder.join("admin.sock"));
    std::fs::write(folder.join("config.json"), config.to_string()).expect("written");
    let mut command = mesh.organza(&["proxy", "--config", &folder.join("config.json").display().to_string()]);
    command.stdin(Stdio::null());
    Process::start(command)
}

/// How many workers say of themselves that they are there.
fn workers(folder: &Path) -> usize {
    let ask = || -> std::io::Result<String> {
        let (mut stream, mut said) = (UnixStream::connect(folder.join("admin.sock"))?, String::new());
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: proxy\r\nconnection: close\r\n\r\n")?;
        stream.read_to_string(&mut said).map(|_| said)
    };
    ask().unwrap_or_default().lines().filter(|line| line.starts_with("organza_worker_tasks{")).count()
}

/// A moment at which somebody is refused, so that nothing is left of what may come at once; and how many had been let through.
async fn exhausted(counter: &Counter) -> (Instant, u64) {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < SOON, "nobody is refused");
        let (looked, refused) = (Instant::now(), counter.so_far().of("429"));
        tokio::time::sleep(LOOK).await;
        let so_far = counter.so_far();
        if so_far.of("429") > refused && looked.elapsed() < MOMENT {
            return (Instant::now(), so_far.of("302"));
        }
    }
}

/// What became of requests of all connections; and how many were let through, and in which time, between two moments at which the limit was reached.
fn load(door: SocketAddr, path: &str, long: Duration) -> (Tally, u64, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let shot = Shot { pause: Duration::from_millis(20), ..Shot::get(door, "a", path) };
        let counter = Counter::start(&shot, CONNECTIONS);
        let (begun, before) = exhausted(&counter).await;
        tokio::time::sleep(long).await;
        let (ended, after) = exhausted(&counter).await;
        (counter.finish().await, after - before, ended - begun)
    })
}

#[test]
fn a_limit_is_the_proxys_whatever_the_number_of_its_workers() {
    let (mesh, port) = (mesh(), free_port());
    let door = SocketAddr::from(([127, 0, 0, 1], port));
    mesh.write("edge.yaml", &config(port));
    let folder = kept(&mesh, door);
    for count in [1, 2, 8] {
        let mut proxy = start(&mesh, &folder, count);
        eventually("the gateway answers alone", SOON, || get(&door.to_string(), "/free HTTP/1.1\r\nhost: a").0 == 302);
        eventually("all workers are there", SOON, || workers(&folder) == count);

        let (tally, ..) = load(door, "/once", Duration::from_millis(500));
        assert_eq!(tally.of("302"), AT_ONCE, "{count} workers: {tally:?}");

        let (tally, passed, time) = load(door, "/steady", LONG);
        assert_eq!(tally.total(), tally.of("302") + tally.of("429"), "{tally:?}");
        let allowed = REQUESTS as f64 * time.as_secs_f64();
        let said = format!("{count} workers let through {passed} of {allowed:.0}, and refused {} in all", tally.of("429"));
        println!("{said}");
        // An answer that is under way at either moment is counted a little later than it was decided, one on each connection at most.
        assert!((passed as f64 - allowed).abs() <= allowed * 0.01 + CONNECTIONS as f64, "{said}");
        assert!(proxy.stop(SOON).is_some_and(|ended| ended.success()), "it ends in order: {}", proxy.output());
    }
}
