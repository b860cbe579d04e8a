//! An endpoint that fails under a policy which ejects: what `explain`, `get services`, the proxy's log and its metrics say of it, and that it is back once it
//! answers again.

mod common;

use common::{SOON, get, json, mesh, nothing_is_left};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::process::eventually;
use testkit::{Mesh, Process, free_ports};

fn configuration(port: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: shop}}
spec:
  gatewayClassName: organza
  listeners: [{{name: http, port: {port}, protocol: HTTP}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: items}}
spec:
  parentRefs: [{{name: shop}}]
  rules: [{{backendRefs: [{{name: items, port: 80}}]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: items}}
spec:
  selector: {{app: items}}
  ports: [{{name: http, port: 80, targetPort: http, appProtocol: http}}]
---
apiVersion: organza.dev/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: careful}}
spec:
  targetRefs: [{{group: '', kind: Service, name: items}}]
  # Any other would soon ask it so rarely that its failures are far apart.
  loadBalancer: {{type: RoundRobin}}
  healthCheck: {{passive: {{consecutive5XxErrors: 5, baseEjectionTime: 15s, maxEjectionPercent: 50}}}}
"
    )
}

/// A program that answers 200, or 503 for as long as it is told to.
fn program(fails: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let fails = fails.clone();
            std::thread::spawn(move || {
                let (mut lines, mut stream) = (BufReader::new(&stream).lines(), &stream);
                // One answer for the end of each head; who is gone needs none.
                while let Some(Ok(line)) = lines.next() {
                    let status = if fails.load(Ordering::Relaxed) { "503 Service Unavailable" } else { "200 OK" };
                    if line.is_empty() && write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn member(mesh: &Mesh, version: &str, program: SocketAddr) -> Process {
    let port = program.port().to_string();
    let process = Process::start(mesh.organza(&["run", "--service", "items", "--version", version, "--port", &port]));
    process.wait_for("is in the mesh", SOON);
    process
}

/// Ids of the endpoints that some proxy leaves out.
fn left_out(mesh: &Mesh) -> Vec<String> {
    let service = json(&mesh.run(&["get", "services", "items", "-o", "json"]).1);
    let endpoints = service["status"]["endpoints"].as_array().cloned().unwrap_or_default();
    let out = endpoints.iter().filter(|endpoint| endpoint["ejected"].as_array().is_some_and(|all| !all.is_empty()));
    out.map(|endpoint| endpoint["id"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn who_is_ejected_is_told_with_the_cause_everywhere() {
    let mesh = mesh();
    let [port, metrics] = free_ports(2)[..] else { panic!("two ports") };
    mesh.write("shop.yaml", &configuration(port));
    let mut up = Process::start(mesh.organza(&["up", "-f", &mesh.config().display().to_string(), "--metrics", &metrics.to_string()]));
    up.wait_for("mesh default is up", SOON);
    let (broken, gateway) = (Arc::new(AtomicBool::new(false)), format!("127.0.0.1:{port}"));
    let mut members = [member(&mesh, "good", program(Arc::default())), member(&mesh, "bad", program(broken.clone()))];
    let ask = || get(&gateway, "/ HTTP/1.1\r\nhost: shop").0;
    eventually("the gateway serves", SOON, || ask() == 200);

    broken.store(true, Ordering::Relaxed);
    // What is left out is told each second.
    eventually("one is ejected", SOON, || {
        ask();
        left_out(&mesh).len() == 1
    });
    for _ in 0..10 {
        assert_eq!(ask(), 200, "who is ejected is asked no more");
    }
    let out = left_out(&mesh).remove(0);
    let (_, explained, error) = mesh.run(&["explain", "GET", &format!("http://shop:{port}/"), "--from", "gateway/shop"]);
    let line = explained.lines().find(|line| line.contains("left out")).unwrap_or_else(|| panic!("{explained}{error}"));
    assert!(line.contains(&format!("default/items {out}: ejected ")) && line.contains(" s ago after 5 × 503; "), "{explained}");
    let (_, table, _) = mesh.run(&["get", "services", "items"]);
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let line = |id: &str| words.iter().find(|words| words[0] == id).unwrap_or_else(|| panic!("no line of {id}:\n{table}"));
    assert_eq!(line("items")[2], "1/2", "who is left out is not counted:\n{table}");
    assert!(line(&out)[2] == "no" && line(&out).join(" ").contains(" s ago after 5 × 503 by gateway-shop"), "{table}");
    let other = words.iter().skip(1).find(|words| words[2] == "yes").unwrap_or_else(|| panic!("no line of who is well:\n{table}"));
    assert!(other[0] != out && other.join(" ").ends_with("healthy: no proxy leaves it out"), "{table}");
    let (_, log, _) = mesh.run(&["logs", "gateway-shop", "--tail", "1000"]);
    assert!(log.contains(&format!("default/items: endpoint {out} is left out for 15 s after 5 × 503")), "{log}");
    let (_, counted) = get(&format!("127.0.0.1:{metrics}"), "/metrics HTTP/1.1\r\nhost: a");
    let counted = counted.lines().find(|line| line.starts_with("organza_outlier_detection_ejections_enforced_total")).map(str::to_owned);
    assert!(
        counted.as_ref().is_some_and(|line| line.contains("destination_service_name=\"items\"") && line.contains("cause=\"")),
        "{counted:?}"
    );

    broken.store(false, Ordering::Relaxed);
    eventually("it is back", SOON, || {
        ask();
        left_out(&mesh).is_empty()
    });
    let (_, log, _) = mesh.run(&["logs", "gateway-shop", "--tail", "1000"]);
    assert!(log.contains(&format!("default/items: endpoint {out} answers again and is back")), "{log}");

    members.iter_mut().for_each(|member| _ = member.stop(SOON));
    up.stop(SOON);
    nothing_is_left(&mesh);
}
