//! The demo as a user meets it: no request fails, what it shows is what happened, and nothing outlives it.

mod common;

use common::{SOON, json, mesh, nothing_is_left, processes};
use serde_json::json;
use std::time::Duration;
use testkit::Process;
use testkit::process::eventually;

#[test]
fn it_ends_by_itself_with_every_request_answered_over_mutual_tls() {
    let mesh = mesh();
    let (code, said, error) = mesh.run(&["demo", "--for", "6s", "-o", "json"]);
    assert_eq!(code, 0, "{said}{error}");
    let lines: Vec<_> = said.lines().map(json).collect();
    let summary = &lines.last().expect("a summary")["summary"];
    assert_eq!(summary["failed"], 0, "{summary}");
    assert!(summary["requests"].as_u64().is_some_and(|n| n > 50), "{summary}");
    let table = lines.iter().rev().find(|line| line["services"].is_array()).expect("a table");
    let rows = table["services"].as_array().expect("rows");
    let seen: Vec<(&str, &str)> =
        rows.iter().map(|row| (row["service"].as_str().expect("a name"), row["security"].as_str().expect("a word"))).collect();
    assert_eq!(rows.len(), 5, "{table}");
    assert!(seen.iter().all(|(_, security)| *security == "mTLS"), "{seen:?}");
    nothing_is_left(&mesh);
}

#[test]
fn a_second_one_runs_beside_the_first_and_an_edit_of_a_weight_loses_nothing() {
    let mesh = mesh();
    let mut first = Process::start(mesh.organza(&["demo"]));
    first.wait_for("meanwhile, in another terminal", SOON);
    // Wider than anybody's terminal where there is none.
    eventually("tables are whole through a pipe", SOON, || {
        let tables = [&["top", "--once", "--mesh", "demo"][..], &["graph", "--mesh", "demo"]].map(|words| mesh.run(words).1);
        tables.iter().all(|table| table.lines().any(|line| line.chars().count() > 80) && !table.contains('…'))
    });
    let (code, said, error) = mesh.run(&["demo", "--for", "3s"]);
    assert_eq!(code, 0, "{said}{error}");
    assert!(said.contains("mesh demo-2") && said.contains("organza get edges --mesh demo-2"), "{said}");
    let routes = mesh.home().join("state/organza/demo/config/routes.yaml");
    let text = std::fs::read_to_string(&routes).expect("the demo's routes");
    std::fs::write(&routes, text.replace("weight: 90", "weight: 50").replace("weight: 10", "weight: 50")).expect("edited");
    first.wait_for("90/10 → 50/50", Duration::from_secs(10));
    std::fs::write(&routes, text.replace("weight: 90", "weight: ninety")).expect("broken");
    first.wait_for("still serving generation", Duration::from_secs(10));
    first.signal("INT");
    let status = first.wait(SOON);
    assert!(status.success(), "{}", first.output());
    assert!(first.output().contains(" 0 failed at the first try"), "{}", first.output());
    nothing_is_left(&mesh);
}

#[test]
fn ctrl_c_drains_and_leaves_no_process() {
    let mesh = mesh();
    let mut demo = Process::start(mesh.organza(&["demo"]));
    demo.wait_for("meanwhile, in another terminal", SOON);
    assert!(processes(mesh.home()).len() >= 12, "supervisor, control plane, gateway, five services with their proxies");
    demo.signal("INT");
    let status = demo.wait(SOON);
    assert!(status.success(), "{}", demo.output());
    nothing_is_left(&mesh);
}

#[test]
fn kill_9_of_the_supervisor_leaves_no_process() {
    let mesh = mesh();
    let mut demo = Process::start(mesh.organza(&["demo"]));
    demo.wait_for("meanwhile, in another terminal", SOON);
    demo.signal("KILL");
    demo.wait(SOON);
    nothing_is_left(&mesh);
}

#[test]
fn kill_9_of_the_control_plane_fails_no_request() {
    let mesh = mesh();
    let mut demo = Process::start(mesh.organza(&["demo"]));
    demo.wait_for("meanwhile, in another terminal", SOON);
    // A service that was never called before cannot be found while nobody knows it.
    let edges = || mesh.run(&["get", "edges", "-A", "--mesh", "demo", "-o", "json"]);
    eventually("all services were called", SOON, || json(&edges().1)["items"].as_array().is_some_and(|edges| edges.len() >= 6));
    let (control, _) = processes(mesh.home()).into_iter().find(|(_, command)| command.contains(" control ")).expect("a control plane");
    std::process::Command::new("kill").args(["-s", "KILL", &control.to_string()]).status().expect("killed");
    eventually("there is another one", SOON, || {
        processes(mesh.home()).iter().any(|(pid, command)| command.contains(" control ") && *pid != control)
    });
    std::thread::sleep(Duration::from_secs(2));
    demo.signal("INT");
    let status = demo.wait(SOON);
    assert!(status.success(), "{}", demo.output());
    nothing_is_left(&mesh);
}

#[test]
fn a_port_that_was_named_and_is_taken_is_an_error_that_names_its_holder() {
    let mesh = mesh();
    let holder = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("bound");
    let port = holder.local_addr().expect("an address").port();
    let (code, _, error) = mesh.run(&["demo", "--port", &port.to_string(), "--for", "1s"]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    nothing_is_left(&mesh);
}

#[test]
fn the_commands_that_it_names_work() {
    let mesh = mesh();
    let mut demo = Process::start(mesh.organza(&["demo"]));
    demo.wait_for("meanwhile, in another terminal", SOON);
    let edges = || mesh.run(&["get", "edges", "-A", "--mesh", "demo", "-o", "json"]);
    eventually("all services were called", SOON, || json(&edges().1)["items"].as_array().is_some_and(|edges| edges.len() >= 6));
    for kind in ["proxies", "services", "routes", "edges", "certificates", "objects"] {
        let (code, table, error) = mesh.run(&["get", kind, "-A", "--mesh", "demo"]);
        assert_eq!(code, 0, "{kind}: {error}");
        assert!(table.lines().count() >= 3 && table.starts_with("NAMESPACE"), "{kind}:\n{table}");
    }
    let explain = |more: &[&str]| {
        let arguments = ["explain", "GET", "http://catalog/items", "--from", "web", "--mesh", "demo"];
        mesh.run(&[&arguments[..], more].concat())
    };
    let (code, story, error) = explain(&["-H", "x-canary:1", "--expect", "catalog-v2"]);
    assert_eq!(code, 0, "{story}{error}");
    let (code, story, _) = explain(&["--expect", "catalog-v2"]);
    assert_eq!(code, 1, "a split goes to another one too: {story}");
    let (code, story, error) = explain(&["--expect", "catalog-v1", "--expect", "catalog-v2", "-o", "json"]);
    assert_eq!(code, 0, "{story}{error}");
    assert_ne!(json(&story), json!(null));
    let (code, status, error) = mesh.run(&["status", "--mesh", "demo"]);
    assert_eq!(code, 0, "{status}{error}");
    demo.stop(SOON);
    nothing_is_left(&mesh);
}
