//! `organza get` on a running mesh: kubectl's forms, flags and outputs, and an answer for every name that is not there.

mod common;

use common::{SOON, json, mesh, nothing_is_left, up};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use testkit::process::eventually;
use testkit::{Mesh, Process, free_ports};

fn configuration(port: u16, weights: (u32, u32)) -> String {
    let service = |name: &str, tier: &str| {
        format!(
            "---
apiVersion: v1
kind: Service
metadata: {{name: {name}, labels: {{tier: {tier}}}}}
spec:
  selector: {{app: web, version: {name}}}
  ports: [{{name: http, port: 80, appProtocol: http}}]
"
        )
    };
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: door}}
spec:
  gatewayClassName: organza
  listeners: [{{name: http, port: {port}, protocol: HTTP}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web, labels: {{team: shop}}}}
spec:
  parentRefs: [{{name: door}}]
  rules:
  - backendRefs: [{{name: v1, port: 80, weight: {}}}, {{name: v2, port: 80, weight: {}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: lost}}
spec:
  parentRefs: [{{name: nowhere}}]
  rules: [{{backendRefs: [{{name: v1, port: 80}}]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: far, namespace: elsewhere}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: v1
kind: Secret
metadata: {{name: hidden}}
stringData: {{password: MARKER-OF-THE-SECRET}}
{}{}",
        weights.0,
        weights.1,
        service("v1", "front"),
        service("v2", "back")
    )
}

struct Running {
    mesh: Mesh,
    up: Process,
    member: Process,
    gateway: u16,
}

/// A gateway, two routes of which one hangs nowhere, three services, and a member `web`.
fn running() -> Running {
    let mesh = mesh();
    let [gateway, port] = free_ports(2)[..] else { panic!("two ports") };
    mesh.write("shop.yaml", &configuration(gateway, (1, 1)));
    let up = up(&mesh);
    let port = port.to_string();
    let organza = testkit::process::organza().display().to_string();
    let run = ["run", "--service", "web", "--version", "v1", "--port", &port, "--", &organza, "sample", "--name", "web", "--port", &port];
    let member = Process::start(mesh.organza(&run));
    eventually("web is in the mesh", SOON, || {
        let proxies = json(&mesh.run(&["get", "proxies", "-o", "json"]).1);
        proxies["items"].as_array().is_some_and(|all| all.len() == 2 && all.iter().all(|proxy| proxy["connected"] == true))
    });
    Running { mesh, up, member, gateway }
}

fn good(mesh: &Mesh, arguments: &[&str]) -> String {
    let (code, said, error) = mesh.run(&[&["get"], arguments].concat());
    assert_eq!(code, 0, "{arguments:?}: {said}{error}");
    said
}

#[test]
fn forms_flags_and_outputs_are_kubectls() {
    let Running { mesh, mut up, member, .. } = running();
    for (arguments, names) in [
        (&["services"][..], &["service/v1", "service/v2", "service/web"][..]),
        (&["svc", "-n", "elsewhere"], &["service/far"]),
        (&["services", "-A"], &["service/v1", "service/v2", "service/web", "service/far"]),
        (&["services", "v1", "v2"], &["service/v1", "service/v2"]),
        (&["service/v1", "route/web"], &["service/v1", "httproute.gateway.networking.k8s.io/web"]),
        (&["httproutes.gateway.networking.k8s.io", "web"], &["httproute.gateway.networking.k8s.io/web"]),
        (&["services", "-l", "tier=front"], &["service/v1"]),
        (&["services", "-l", "tier in (front, back)"], &["service/v1", "service/v2"]),
        (&["services", "-l", "!tier"], &["service/web"]),
        (&["routes", "-l", "team=shop"], &["httproute.gateway.networking.k8s.io/web"]),
        (&["proxies", "-l", "app=web,version=v1"], &["proxy/web"]),
        (&["gateways"], &["gateway.gateway.networking.k8s.io/door"]),
        (&["secrets"], &["secret/hidden"]),
    ] {
        let said = good(&mesh, &[arguments, &["-o", "name"]].concat());
        let mut said: Vec<&str> = said.lines().collect();
        let mut names = names.to_vec();
        said.sort_unstable();
        names.sort_unstable();
        assert_eq!(said, names, "{arguments:?}");
    }
    let table = good(&mesh, &["routes"]);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "KIND", "PARENTS", "SPLIT", "ACCEPTED", "APPLIED"]);
    assert_eq!(lines[1][..2], ["lost", "HTTPRoute"], "a route that hangs nowhere is shown too:\n{table}");
    assert!(lines[1].ends_with(&["no", "parent", "–"]) && table.contains("2 of 2"), "{table}");
    assert_eq!(good(&mesh, &["routes", "--no-headers"]).lines().count(), 2);
    assert!(good(&mesh, &["services", "-A"]).starts_with("NAMESPACE"));
    assert!(good(&mesh, &["services", "-o", "wide"]).contains("web.default.svc.cluster.local"));
    let all = good(&mesh, &["all"]);
    assert!(all.contains("gateway/door") && all.contains("service/web") && all.contains("proxy/web"), "{all}");
    let certificates = good(&mesh, &["certificates"]);
    assert!(certificates.contains("issuing") && certificates.contains("default/web"), "{certificates}");

    // Of several kinds what is there is shown, and what is not is told.
    let (code, said, error) = mesh.run(&["get", "service/v1", "route/nothing"]);
    assert!(code == 1 && said.contains("v1") && error.contains("there is no route \"nothing\""), "{said}{error}");
    let mut head = Command::new("sh");
    let line = format!("{} get services -A | head -n 1", testkit::process::organza().display());
    head.args(["-c", &line]).env("XDG_STATE_HOME", mesh.home().join("state"));
    let out = head.output().expect("sh");
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    drop(member);
    up.stop(SOON);
    nothing_is_left(&mesh);
}

#[test]
fn documents_are_what_was_written_with_its_status_and_without_secrets() {
    let Running { mesh, mut up, member, gateway } = running();
    let condition = |route: &Value, wanted: &str| {
        route["status"]["parents"][0]["conditions"].as_array().and_then(|all| all.iter().find(|c| c["type"] == wanted)).cloned()
    };
    let mut route = Value::Null;
    eventually("both proxies have said that they have it", SOON, || {
        route = json(&good(&mesh, &["route/web", "-o", "json"]));
        condition(&route, "organza.dev/Applied").is_some_and(|c| c["message"] == "applied by 2 of 2 proxies")
    });
    assert_eq!(route["metadata"], json!({"name": "web", "labels": {"team": "shop"}, "namespace": "default"}));
    assert_eq!(route["spec"]["rules"][0]["backendRefs"][1]["name"], "v2");
    assert_eq!(route["status"]["parents"][0]["parentRef"]["name"], "door");
    assert_eq!(condition(&route, "Accepted").map(|c| c["status"].clone()), Some(json!("True")));
    let yaml = good(&mesh, &["gateway", "door", "-o", "yaml"]);
    for line in ["kind: Gateway", "  name: door", &format!("    port: {gateway}"), "    attachedRoutes: 1", "status:"] {
        assert!(yaml.lines().any(|l| l == line), "no {line:?} in\n{yaml}");
    }
    let services = json(&good(&mesh, &["services", "-o", "json"]));
    assert_eq!((&services["kind"], services["items"].as_array().map(Vec::len)), (&json!("List"), Some(3)));
    let web = services["items"].as_array().and_then(|all| all.iter().find(|s| s["metadata"]["name"] == "web")).expect("web");
    assert_eq!(web["status"]["endpoints"][0]["tunnel"], "organza", "what a member declared by joining is shown as a Service: {web}");
    let everything = good(&mesh, &["objects", "-A", "-o", "yaml"]);
    assert!(everything.contains("name: hidden") && !everything.contains("MARKER"), "{everything}");
    // What is written back says the same.
    let copy = mesh.home().join("copy.yaml");
    std::fs::write(&copy, good(&mesh, &["httproutes", "-o", "yaml"])).expect("written");
    let (code, said, error) = mesh.run(&["validate", "-f", &copy.display().to_string()]);
    assert_eq!(code, 1, "its parents are in other files: {said}{error}");
    assert!(!format!("{said}{error}").contains("Unknown"), "{said}{error}");
    drop(member);
    up.stop(SOON);
    nothing_is_left(&mesh);
}

#[test]
fn a_watch_tells_each_change_in_a_line_and_ends_with_ctrl_c() {
    let Running { mesh, mut up, member, gateway } = running();
    let mut watch = Process::start(mesh.organza(&["get", "routes", "-w"]));
    watch.wait_for("1/1", SOON);
    mesh.write("shop.yaml", &configuration(gateway, (9, 1)));
    watch.wait_for("9/1", SOON);
    mesh.write("shop.yaml", &configuration(gateway, (9, 1)).replace("name: lost", "name: found"));
    watch.wait_for("(gone)", SOON);
    watch.signal("INT");
    assert!(watch.wait(SOON).success(), "{}", watch.output());
    let said = watch.output();
    assert_eq!(said.matches("NAME").count(), 1, "one line of heads: {said}");
    let gone: Vec<&str> = said.lines().filter(|line| line.ends_with("(gone)")).collect();
    assert!(gone.len() == 1 && gone[0].starts_with("lost"), "{said}");

    let mut documents = Process::start(mesh.organza(&["get", "route/web", "-w", "-o", "json"]));
    documents.wait_for("\"weight\": 9", SOON);
    mesh.write("shop.yaml", &configuration(gateway, (8, 1)));
    documents.wait_for("\"weight\": 8", SOON);
    documents.signal("INT");
    assert!(documents.wait(SOON).success());

    // With the mesh it ends, and says so.
    let mut last = Process::start(mesh.organza(&["get", "services", "-w"]));
    last.wait_for("web", SOON);
    drop(member);
    up.stop(SOON);
    assert_eq!(last.wait(SOON).code(), Some(3), "{}", last.output());
    nothing_is_left(&mesh);
}

#[test]
fn a_name_that_is_not_there_is_answered_with_those_that_are() {
    let Running { mesh, mut up, member, .. } = running();
    let fails = |arguments: &[&str]| {
        let (code, said, error) = mesh.run(&[&["get"], arguments].concat());
        assert!(said.is_empty(), "{arguments:?}: {said}");
        (code, error)
    };
    let (code, error) = fails(&["services", "wbe"]);
    assert!(code == 1 && error.contains("there are: v1, v2, web"), "{error}");
    let (code, error) = fails(&["svc/far"]);
    assert!(code == 1 && error.contains("in namespace elsewhere") && error.contains("-n elsewhere"), "{error}");
    let (code, error) = fails(&["pods"]);
    assert!(code == 2 && error.contains("proxies, services, routes, edges, calls, consumers, certificates, objects"), "{error}");
    for wrong in [&[][..], &["services", "service/web"], &["services", "-l", "=x"], &["services", "web", "-l", "a=b"]] {
        assert_eq!(fails(wrong).0, 2, "{wrong:?}");
    }
    let (code, said, error) = mesh.run(&["get", "services", "-n", "nobody"]);
    assert_eq!((code, &*said), (0, ""), "{error}");
    assert!(error.contains("no services in namespace nobody; -A shows 4"), "{error}");
    let (code, said, _) = mesh.run(&["get", "services", "-n", "nobody", "-o", "json"]);
    assert_eq!((code, json(&said)["items"].clone()), (0, json!([])));
    drop(member);
    up.stop(SOON);
    nothing_is_left(&mesh);
    assert_eq!(mesh.run(&["get", "services"]).0, 3);
}

#[test]
fn on_a_terminal_no_line_is_longer_than_it_and_there_is_no_colour_without_one() {
    let Running { mesh, mut up, member, .. } = running();
    if testkit::require(&[testkit::Need::Program("script")]) {
        for kind in ["proxies", "services", "routes", "edges", "certificates", "objects"] {
            let mut terminal = Command::new("script");
            let line = format!("{} get {kind} -A", testkit::process::organza().display());
            terminal.args(["-qec", &line, "/dev/null"]).env("XDG_STATE_HOME", mesh.home().join("state")).env("COLUMNS", "80");
            let out = terminal.output().expect("script");
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            assert!(text.lines().all(|line| line.trim_end().chars().count() <= 80), "{kind}:\n{text}");
        }
    }
    let table = good(&mesh, &["objects", "-A"]);
    assert!(!table.contains('\u{1b}') && !table.contains('…'), "{table}");
    drop(member);
    up.stop(Duration::from_secs(20));
    nothing_is_left(&mesh);
}
