//! Nothing is lost by the mesh's own changes: clients that never retry go on through weight changes, short-lived certificates that are renewed
//! under them, and a control plane that is killed and comes back.

#![allow(clippy::print_stdout, reason = "a test that counts says what it counted")]
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::backend::Backend;
use testkit::client::{Counter, Shot, fetch};
use testkit::process::{Mesh, Process, eventually};
use testkit::streams::{Kind, Streams};
use testkit::{Tally, free_ports};

/// Changes of weights, made one after another as fast as files are read.
const CHANGES: u32 = 60;
const CONTROL_KILLS: u32 = 3;

fn routes(first: u32) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: shop }}
spec:
  parentRefs: [{{ name: shop }}]
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
",
        100 - first
    )
}

fn services(port: u16) -> String {
    let service = |name: &str, selector: &str| {
        format!(
            "---
apiVersion: v1
kind: Service
metadata: {{ name: {name} }}
spec:
  selector: {{ {selector} }}
  ports: [{{ name: http, port: 80, targetPort: http, appProtocol: http }}]
"
        )
    };
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: shop }}
spec:
  gatewayClassName: organza
  listeners: [{{ name: http, port: {port}, protocol: HTTP }}]
{}{}{}",
        service("items", "app: items"),
        service("items-v1", "app: items, version: v1"),
        service("items-v2", "app: items, version: v2")
    )
}

fn front(mesh: &Mesh, version: &str, backend: &Backend) -> Process {
    let port = backend.address.port().to_string();
    let process = Process::start(mesh.organza(&["run", "--service", "items", "--version", version, "--port", &port]));
    process.wait_for("is in the mesh", Duration::from_secs(20));
    process
}

/// The process that tells proxies what to do, found among the children of `up`.
fn control_of(up: &Process) -> Option<String> {
    let out = Command::new("pgrep").args(["-P", &up.id().to_string(), "-f", "organza control"]).output().ok()?;
    String::from_utf8_lossy(&out.stdout).lines().next().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_our_own_changes() {
    let mesh = Mesh::new();
    let port = free_ports(1)[0];
    let (v1, v2) = (Backend::http("items-v1").await, Backend::http("items-v2").await);
    mesh.write("services.yaml", &services(port));
    mesh.write("routes.yaml", &routes(50));
    let folder = mesh.config();
    let up = Process::start(mesh.organza(&["up", "-f", &folder.to_string_lossy(), "--svid-life", "20"]));
    up.wait_for("is up", Duration::from_secs(20));
    let (_one, _two) = (front(&mesh, "v1", &v1), front(&mesh, "v2", &v2));
    let gateway = ([127, 0, 0, 1], port).into();
    let begun = Instant::now();
    while !fetch(&Shot::get(gateway, "shop", "/")).await.is_ok_and(|(status, _, _)| status == 200) {
        assert!(begun.elapsed() < Duration::from_secs(20), "the gateway does not serve; up said:\n{}", up.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let gets = Counter::start(&Shot::get(gateway, "shop", "/items?q=1"), 4);
    let posts = Counter::start(&Shot { method: "POST", ..Shot::upload(gateway, "shop", "/buy", 100) }, 2);
    let uploads = Counter::start(&Shot::upload(gateway, "shop", "/upload", 200_000), 1);
    let sockets = Streams::start(Kind::WebSocket, gateway, "shop", "/ws", 2);
    let events = || up.output().matches("HTTPRoute items").count();
    for change in 1..=CHANGES {
        let before = events();
        mesh.write("routes.yaml", &routes(change % 101));
        // While a control plane is coming back, a change is made without being told: the next one goes on after a moment.
        let patience = Instant::now() + Duration::from_secs(1);
        while events() == before && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if change % (CHANGES / CONTROL_KILLS) == 0
            && let Some(pid) = control_of(&up)
        {
            let killed = Command::new("kill").args(["-s", "KILL", &pid]).status().is_ok_and(|s| s.success());
            assert!(killed, "the control plane could not be killed");
            eventually("the control plane comes back", Duration::from_secs(20), || {
                control_of(&up).is_some_and(|now| now != pid) && mesh.run(&["status"]).0 == 0
            });
        }
    }
    // Certificates live for 20 s and are renewed at half of it: by now each was, at least once.
    let left = Duration::from_secs(15).saturating_sub(begun.elapsed());
    tokio::time::sleep(left).await;

    let told = u32::try_from(events()).unwrap_or(u32::MAX);
    assert!(told > CHANGES * 8 / 10, "{told} of {CHANGES} changes were told; up said:\n{}", up.output());
    let mut all = Tally::default();
    for (what, tally) in [
        ("GET", gets.finish().await),
        ("POST", posts.finish().await),
        ("upload", uploads.finish().await),
        ("WebSocket", sockets.finish().await),
    ] {
        println!("{what}: {} whole, {} lost", tally.of("200"), tally.lost());
        assert!(tally.of("200") > 0, "{what}: none came through: {tally:?}");
        all.add(&tally);
    }
    assert_eq!(all.lost(), 0, "{all:?}\nup said:\n{}", up.output());
    assert!(v1.requests() > 0 && v2.requests() > 0, "both versions were called");
}
