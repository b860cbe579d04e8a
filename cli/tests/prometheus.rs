//! Prometheus beside a mesh, as people have it: what is shipped for it holds, and the queries of Istio's dashboards, Flagger and Kiali are answered.

mod common;

use common::prometheus::Prometheus;
use common::{SOON, get, json, mesh, nothing_is_left, processes, python, up};
use serde_json::Value;
use std::process::Command;
use testkit::process::eventually;
use testkit::{Need, Process, free_port, require};

const SHIPPED: &str = "../deploy/prometheus";

fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool").args(arguments).output().expect("promtool runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn the_rules_that_are_shipped_hold() {
    if !require(&[Need::Program("promtool")]) {
        return;
    }
    promtool(&["check", "rules", &format!("{SHIPPED}/rules.yaml")]);
    promtool(&["test", "rules", &format!("{SHIPPED}/rules_test.yaml")]);
}

/// Every expression of Grafana's dashboard.
fn expressions(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            out.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|below| expressions(below, out));
        }
        Value::Array(items) => items.iter().for_each(|below| expressions(below, out)),
        _ => {}
    }
}

#[test]
fn the_dashboard_that_is_shipped_asks_what_prometheus_understands() {
    if !require(&[Need::Program("promtool")]) {
        return;
    }
    let text = std::fs::read_to_string("../deploy/grafana/organza.json").expect("the dashboard");
    let mut asked = Vec::new();
    expressions(&json(&text), &mut asked);
    assert!(asked.len() > 8, "{asked:?}");
    let rules: Vec<Value> = asked
        .iter()
        .map(|expr| expr.replace("$namespace", "shop").replace("$service", "catalog").replace("$__rate_interval", "1m"))
        .map(|expr| serde_json::json!({"record": "a:b", "expr": expr}))
        .collect();
    // JSON is YAML.
    let file = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string();
    let mesh = mesh();
    let path = mesh.home().join("dashboard.yaml");
    std::fs::write(&path, file).expect("written");
    // Rules of one name are no mistake here.
    promtool(&["check", "rules", "--lint=none", &path.display().to_string()]);
}

/// What Istio's dashboards, Flagger's built-in checks and Kiali's graph ask, with the names of this mesh put in. Each must find something.
const QUERIES: &[&str] = &[
    // Istio's mesh and service dashboards.
    r#"round(sum(irate(istio_requests_total{reporter="source"}[1m])), 0.001)"#,
    r#"sum(rate(istio_requests_total{reporter="source", response_code!~"5.*"}[1m])) / sum(rate(istio_requests_total{reporter="source"}[1m]))"#,
    r#"label_join(sum(rate(istio_requests_total{reporter="source", response_code="200"}[1m])) by (destination_workload, destination_workload_namespace, destination_service), "destination_workload_var", ".", "destination_workload", "destination_workload_namespace")"#,
    r#"label_join(histogram_quantile(0.50, sum(rate(istio_request_duration_milliseconds_bucket{reporter="source"}[1m])) by (le, destination_workload, destination_workload_namespace)), "destination_workload_var", ".", "destination_workload", "destination_workload_namespace")"#,
    r#"round(sum(irate(istio_requests_total{connection_security_policy="mutual_tls",destination_service=~"catalog.*",reporter="destination",source_workload=~".*",source_workload_namespace=~".*"}[5m])) by (source_workload, source_workload_namespace, response_code), 0.001)"#,
    r#"histogram_quantile(0.95, sum(irate(istio_response_bytes_bucket{reporter="source",destination_service=~"catalog.*"}[1m])) by (source_workload, le))"#,
    r#"histogram_quantile(0.95, sum(irate(istio_request_bytes_bucket{reporter="source",destination_service=~"catalog.*"}[1m])) by (source_workload, le))"#,
    // Flagger's request-success-rate and request-duration.
    r#"sum(rate(istio_requests_total{reporter="destination",destination_workload_namespace="default",destination_workload=~"catalog.*",response_code!~"5.*"}[1m])) / sum(rate(istio_requests_total{reporter="destination",destination_workload_namespace="default",destination_workload=~"catalog.*"}[1m])) * 100"#,
    r#"histogram_quantile(0.99, sum(irate(istio_request_duration_milliseconds_bucket{reporter="destination",destination_workload_namespace="default",destination_workload=~"catalog.*"}[1m])) by (le))"#,
    // Kiali's graph and its health.
    r#"sum(rate(istio_requests_total{reporter="source",source_workload_namespace!="istio-system",destination_service_namespace="default"}[60s])) by (source_cluster,source_workload_namespace,source_workload,source_canonical_service,source_canonical_revision,destination_cluster,destination_service_namespace,destination_service,destination_service_name,destination_workload_namespace,destination_workload,destination_canonical_service,destination_canonical_revision,request_protocol,response_code,grpc_response_status,response_flags) > 0"#,
    r#"sum(rate(istio_requests_total{reporter="destination",destination_service_namespace="default"}[60s])) by (destination_service_name,destination_workload,response_code,response_flags,connection_security_policy) > 0"#,
    // What is told of the mesh itself.
    "organza_config_generation > 0",
    "organza_certificate_expiry_timestamp_seconds - time() > 0",
];

#[test]
fn prometheus_scrapes_a_mesh_and_answers_what_others_ask_of_istio() {
    if !require(&[Need::Program("prometheus"), Need::Program("python3")]) {
        return;
    }
    let mesh = mesh();
    let mut control = up(&mesh);
    let (service, client, door) = (free_port(), free_port(), free_port());
    let mut catalog = python(&mesh, "catalog", &["--metrics", &service.to_string()]);
    let upstream = format!("catalog={door}");
    let mut caller = Process::start(mesh.organza(&["run", "--upstream", &upstream, "--metrics", &client.to_string()]));
    let door = format!("127.0.0.1:{door}");
    let call = |times: usize| (0..times).for_each(|_| assert_eq!(get(&door, "/name HTTP/1.1\r\nhost: catalog").0, 200));
    eventually("the service answers", SOON, || get(&door, "/name HTTP/1.1\r\nhost: catalog").0 == 200);
    let prometheus = Prometheus::start(mesh.home(), &[service, client]);
    let counted = r#"sum(istio_requests_total{reporter="source",response_code="200"})"#;
    let total = || prometheus.ask(counted).first().copied().unwrap_or(0.0);
    // Both sides: what is first seen when all calls were made has no rate.
    let seen = || prometheus.ask(r#"sum(istio_requests_total{reporter="destination"})"#).first().copied().unwrap_or(0.0);
    eventually("both are scraped", SOON, || total() > 0.0 && seen() > 0.0);
    let before = total();
    call(100);
    eventually("every call is counted", SOON, || total() == before + 100.0);
    for query in QUERIES {
        eventually(&format!("{query} finds something"), SOON, || {
            let found = prometheus.ask(query);
            // Who was called before the first scrape alone has no quantile.
            found.iter().any(|value| value.is_finite())
        });
    }
    // A proxy that dies begins to count anew, on the same port; rates go on.
    let (proxy, _) = processes(mesh.home())
        .into_iter()
        .find(|(_, command)| command.contains(" proxy ") && !command.contains("catalog"))
        .expect("the caller's proxy");
    Command::new("kill").args(["-s", "KILL", &proxy.to_string()]).status().expect("killed");
    eventually("there is another one", SOON, || get(&door, "/name HTTP/1.1\r\nhost: catalog").0 == 200);
    call(49);
    eventually("the new process is scraped", SOON, || total() == 50.0);
    let rate = r#"sum(increase(istio_requests_total{reporter="source",response_code="200"}[5m]))"#;
    let increased = prometheus.ask(rate)[0];
    assert!((increased - 150.0).abs() <= 15.0, "150 calls were made since the first scrape, and it says {increased}");
    drop(prometheus);
    for process in [&mut caller, &mut catalog, &mut control] {
        process.stop(SOON);
    }
    nothing_is_left(&mesh);
}
