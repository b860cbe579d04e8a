//! What may be billed is counted exactly once (`decisions/0057`): the control plane is killed again and again while callers call that count themselves, and what
//! its successor has in the end is what they counted: calls seen, what consumers used, what policies decided. The graph, its totals, flows and traces are not
//! of these: they begin anew with each control plane, by design.

mod common;

use common::{SOON, json, mesh, nothing_is_left, processes, up};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::backend::Backend;
use testkit::client::{Counter, Shot, fetch};
use testkit::process::{Mesh, Process, eventually};
use testkit::{Tally, free_ports};

const CONFIG: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http, appProtocol: http}]}
---
apiVersion: organza.dev/v1alpha1
kind: Consumer
metadata: {name: acme}
spec:
  targetRefs: [{kind: Service, name: web}]
  keys: [{sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}]
---
apiVersion: organza.dev/v1alpha1
kind: AccessPolicy
metadata: {name: open}
spec:
  targetRefs: [{kind: Service, name: web}]
  rules: [{name: caller, sources: [{type: ServiceAccount, serviceAccount: {name: caller}}]}]
---
apiVersion: organza.dev/v1alpha1
kind: AccessPolicy
metadata: {name: closed}
spec:
  targetRefs: [{kind: Service, name: web}]
  action: Deny
  rules: [{name: shut, sources: [{type: ServiceAccount, serviceAccount: {name: caller}}], destinations: [{paths: [{value: /closed}]}]}]
";
const KEY: &str = "test";
/// What is called, and how all of it ends.
const KINDS: [(&str, &str, &str); 3] = [("GET", "/items", "200"), ("POST", "/items", "200"), ("GET", "/closed", "403")];
/// How long each control plane lives once it answers, in milliseconds. Verdicts come with each report, a second or so after the last; calls and use with the first
/// that is five seconds after a proxy came back: some are killed before that, some shortly after it was acknowledged.
const LIVES: [u64; 5] = [300, 6300, 900, 5600, 7100];
/// For a report to be told and acknowledged, or told again.
const TWO_REPORTS: Duration = Duration::from_millis(2500);

/// What there is to compare, as callers got it or as the control plane has it.
#[derive(Debug, PartialEq, Eq)]
struct Counted {
    /// Of each kind, allowed and denied.
    calls: Vec<[u64; 2]>,
    /// Requests, refused, 4xx, failures.
    used: [u64; 4],
    /// Allowed by the one policy, denied by the other.
    decided: [u64; 2],
}

/// `ready`: calls of no kind, which were answered.
fn wanted(tallies: &[Tally], ready: u64) -> Counted {
    let count = |at: usize| tallies[at].total();
    let (allowed, denied) = (count(0) + count(1) + ready, count(2));
    Counted { calls: vec![[count(0), 0], [count(1), 0], [0, count(2)]], used: [allowed + denied, denied, 0, 0], decided: [allowed, denied] }
}

/// What the control plane says at its socket; `None` while there is none.
fn asked(mesh: &Mesh, path: &str) -> Option<Value> {
    let mut stream = UnixStream::connect(mesh.home().join("state/organza/default/control.sock")).ok()?;
    stream.set_read_timeout(Some(SOON)).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: organza\r\nconnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    said.starts_with("HTTP/1.1 200").then(|| said.split_once("\r\n\r\n").map(|(_, body)| json(body)))?
}

fn counted(mesh: &Mesh) -> Option<Counted> {
    let number = |of: &Value| of.as_u64().unwrap_or(0);
    let calls = asked(mesh, "/v1/calls")?;
    let of_kind = |(method, path): (&str, &str)| {
        let is_one = |call: &&Value| {
            let by_caller = call["source"].as_str().is_some_and(|source| source.ends_with("/sa/caller"));
            by_caller && call["service"] == "web" && call["method"] == method && call["path"] == path
        };
        let all = calls["items"].as_array().into_iter().flatten().filter(is_one);
        all.fold([0, 0], |sum, call| [sum[0] + number(&call["allowed"]), sum[1] + number(&call["denied"])])
    };
    let used = asked(mesh, "/v1/consumers")?["items"][0].take();
    let verdicts = asked(mesh, "/v1/verdicts")?;
    let decided = |policy: &str, verdict: &str| {
        let of = verdicts["items"].as_array().into_iter().flatten().find(|of| of["policy"] == policy);
        of.map_or(0, |of| number(&of["counts"][verdict]))
    };
    Some(Counted {
        calls: KINDS.iter().map(|(method, path, _)| of_kind((method, path))).collect(),
        used: ["requests", "refused", "client_errors", "failures"].map(|name| number(&used[name])),
        decided: [decided("AccessPolicy default/open", "allowed"), decided("AccessPolicy default/closed", "denied")],
    })
}

/// The process that is the control plane.
fn control(mesh: &Mesh) -> Option<u32> {
    processes(mesh.home()).into_iter().find(|(_, command)| command.contains("organza control ")).map(|(pid, _)| pid)
}

/// Kills it, and waits until its keeper has started another, which answers.
fn kill_control(mesh: &Mesh) {
    let pid = control(mesh).expect("there is a control plane");
    assert!(Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status().is_ok_and(|killed| killed.success()));
    eventually("another control plane answers", SOON, || {
        asked(mesh, "/v1/status").is_some() && control(mesh).is_some_and(|now| now != pid)
    });
}

fn shot(door: SocketAddr, method: &'static str, target: &str) -> Shot {
    Shot { method, headers: vec![("x-api-key".into(), KEY.into())], ..Shot::get(door, "web", target) }
}

/// Calls until it is answered; how often it was: nobody else's answer is counted by who is called.
async fn ready(door: SocketAddr, up: &Process) -> u64 {
    let begun = Instant::now();
    loop {
        match fetch(&shot(door, "GET", "/ready")).await {
            Ok((status, ..)) if status == 200 => return 1,
            Ok((status, ..)) => assert!(status.is_server_error(), "{status}"),
            Err(_) => {}
        }
        assert!(begun.elapsed() < SOON, "the service does not answer; up said:\n{}", up.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Once the control plane has it.
async fn agrees(mesh: &Mesh, wanted: &Counted) {
    let begun = Instant::now();
    while counted(mesh).as_ref() != Some(wanted) && begun.elapsed() < SOON {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(counted(mesh).as_ref(), Some(wanted), "the first is what the control plane has, the other what callers counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_billed_is_counted_once_though_the_control_plane_is_killed() {
    let mesh = mesh();
    mesh.write("all.yaml", CONFIG);
    let mut up = up(&mesh);
    let (web, door) = (Backend::http("web").await, free_ports(1)[0]);
    let port = web.address.port().to_string();
    let mut members = [
        Process::start(mesh.organza(&["run", "--service", "web", "--port", &port])),
        Process::start(mesh.organza(&["run", "--service-account", "caller", "--upstream", &format!("web={door}")])),
    ];
    members.iter().for_each(|member| member.wait_for("is in the mesh", SOON));
    let door = ([127, 0, 0, 1], door).into();
    let ready = ready(door, &up).await;

    let callers = KINDS.map(|(method, path, _)| Counter::start(&shot(door, method, path), 1));
    for life in LIVES {
        tokio::time::sleep(Duration::from_millis(life)).await;
        kill_control(&mesh);
    }
    let mut tallies = Vec::new();
    for (caller, (method, path, ending)) in callers.into_iter().zip(KINDS) {
        let tally = caller.finish().await;
        assert!(tally.of(ending) > 100 && tally.total() == tally.of(ending), "{method} {path}: {tally:?}");
        tallies.push(tally);
    }
    let wanted = wanted(&tallies, ready);
    assert_eq!(web.requests(), wanted.decided[0], "what callers got is what the program was asked");

    agrees(&mesh, &wanted).await;
    // What it has just heard is not stored yet as a rule, and not acknowledged: the next one is told it again.
    kill_control(&mesh);
    agrees(&mesh, &wanted).await;
    // The one after that knows all of it from the store alone, and no proxy tells it any of it again.
    tokio::time::sleep(TWO_REPORTS).await;
    kill_control(&mesh);
    assert_eq!(counted(&mesh).as_ref(), Some(&wanted));
    let is_back = |proxy: &Value| proxy["connected"] == true;
    eventually("both proxies are back", SOON, || {
        let all = asked(&mesh, "/v1/proxies");
        all.is_some_and(|all| all["items"].as_array().is_some_and(|all| all.len() == 2 && all.iter().all(is_back)))
    });
    tokio::time::sleep(TWO_REPORTS).await;
    assert_eq!(counted(&mesh).as_ref(), Some(&wanted));
    members.iter_mut().for_each(|member| _ = member.stop(SOON));
    up.stop(SOON);
    nothing_is_left(&mesh);
}
