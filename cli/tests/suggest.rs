//! `organza access suggest` on the demo's own traffic: under what it writes, another run of the demo passes whole, and everything else is denied.

mod common;

use common::{SOON, json, mesh, nothing_is_left};
use testkit::process::eventually;
use testkit::{Mesh, Need, Process, require};

const SERVICES: &str = include_str!("../../examples/shop/services.yaml");

const HARSH: &str = "\
apiVersion: organza.dev/v1alpha1
kind: AccessPolicy
metadata: {name: harsh}
spec:
  targetRefs: [{kind: Service, name: ratings}]
  action: Deny
  rules:
  - name: no-reviews
    sources: [{type: ServiceAccount, serviceAccount: {name: reviews}}]
  - name: a-slip
    sources: [{type: ServiceAccount, serviceAccount: {name: nobody-here}}]
";

/// `organza demo`, on its own state.
fn demo(mesh: &Mesh) -> Process {
    let demo = Process::start(mesh.organza(&["demo"]));
    demo.wait_for("meanwhile, in another terminal", SOON);
    demo
}

fn ended(mut demo: Process) {
    demo.signal("INT");
    assert!(demo.wait(SOON).success(), "{}", demo.output());
    assert!(demo.output().contains(" 0 failed at the first try"), "{}", demo.output());
}

/// What curl is answered as this account of the demo's mesh.
fn status(mesh: &Mesh, account: &str, method: &str, url: &str) -> String {
    let curl = ["curl", "-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, url];
    let (_, said, _) = mesh.run(&[&["run", "--mesh", "demo", "--service-account", account, "--"][..], &curl].concat());
    said.trim().to_owned()
}

/// Who calls whom in the demo, beside the gateway.
const OWN: [(&str, &str); 5] =
    [("web", "catalog"), ("web", "catalog-v1"), ("web", "catalog-v2"), ("catalog", "reviews"), ("reviews", "ratings")];

/// What the demo asks a service for.
fn path_of(service: &str) -> &'static str {
    match service {
        "web" => "/",
        "reviews" => "/reviews",
        "ratings" => "/ratings",
        _ => "/items",
    }
}

/// Each service by the path that it is asked for and by another, read and written.
fn asked() -> Vec<(&'static str, &'static str, &'static str)> {
    let services = ["web", "catalog", "catalog-v1", "catalog-v2", "reviews", "ratings"];
    let ways = |service| [("GET", path_of(service)), ("POST", path_of(service)), ("GET", "/other"), ("DELETE", "/admin")];
    services.iter().flat_map(|service| ways(service).map(|(method, path)| (*service, method, path))).collect()
}

/// What curl is answered to each of these, as this account of the demo's mesh.
fn statuses(mesh: &Mesh, account: &str, asked: &[(&str, &str, &str)]) -> Vec<String> {
    let one = |(service, method, path): &(&str, &str, &str)| {
        format!("curl -sS -m 10 -o /dev/null -w '%{{http_code}} ' -X {method} http://{service}{path}")
    };
    let script = asked.iter().map(one).collect::<Vec<_>>().join("; ");
    let (_, said, error) = mesh.run(&["run", "--mesh", "demo", "--service-account", account, "--", "sh", "-c", &script]);
    let statuses: Vec<String> = said.split_whitespace().map(str::to_owned).collect();
    assert_eq!(statuses.len(), asked.len(), "{said}{error}");
    statuses
}

fn calls(mesh: &Mesh) -> Vec<serde_json::Value> {
    let (_, said, _) = mesh.run(&["get", "calls", "-A", "--mesh", "demo", "-o", "json"]);
    json(&said)["items"].as_array().cloned().unwrap_or_default()
}

#[test]
fn another_run_of_the_demo_passes_whole_and_everything_else_is_denied() {
    if !require(&[Need::Program("curl")]) {
        return;
    }
    let mesh = mesh();
    let first = demo(&mesh);
    // The gateway calls web, web each version of catalog, these reviews, and these ratings.
    let places = ["web", "catalog-v1", "catalog-v2", "reviews", "ratings"];
    eventually("every call was seen", SOON, || {
        let seen = calls(&mesh);
        places.iter().all(|place| seen.iter().any(|call| call["service"] == **place && call["allowed"].as_u64() > Some(0)))
    });
    let (code, policies, error) = mesh.run(&["access", "suggest", "--mesh", "demo"]);
    assert_eq!(code, 0, "{error}");
    ended(first);

    let config = mesh.home().join("state/organza/demo/config");
    std::fs::create_dir_all(&config).expect("a folder");
    let file = config.join("access.yaml");
    std::fs::write(&file, &policies).expect("written");
    let services = mesh.home().join("services.yaml");
    std::fs::write(&services, SERVICES).expect("written");
    let (code, said, _) = mesh.run(&["validate", "-f", &services.display().to_string(), "-f", &file.display().to_string()]);
    assert!(code == 0 && said.contains("0 errors, 0 warnings"), "{said}");

    let second = demo(&mesh);
    eventually("it is judged by what was written", SOON, || status(&mesh, "anyone", "GET", "http://ratings/ratings") == "403");
    // Everybody asks everybody for everything: what the demo does is let through, and nothing else is.
    let asked = asked();
    let mut let_through = 0;
    for who in ["web", "catalog", "reviews", "ratings", "anyone"] {
        let statuses = statuses(&mesh, who, &asked);
        for ((service, method, path), status) in asked.iter().zip(&statuses) {
            let may = OWN.contains(&(who, *service)) && *method == "GET" && *path == path_of(service);
            let_through += u32::from(may);
            assert_eq!(status, if may { "200" } else { "403" }, "{who} {method} {service}{path}\n{policies}");
        }
    }
    assert_eq!((let_through, asked.len()), (OWN.len() as u32, 6 * 4));
    // What would cut the demo's own calls is told before it is used; what was suggested cuts none.
    let live = |file: &std::path::Path| mesh.run(&["validate", "--mesh", "demo", "--live", "-f", &file.display().to_string()]);
    let (code, said, error) = live(&file);
    assert!(code == 0 && said.contains("0 errors, 0 warnings"), "{said}{error}");
    let harsh = mesh.home().join("harsh.yaml");
    std::fs::write(&harsh, HARSH).expect("written");
    let (code, said, error) = live(&harsh);
    assert!(code == 0 && said.contains("calls that are made now"), "{said}{error}");
    assert!(said.contains("/sa/reviews to default/ratings:80, GET /ratings") && said.contains("denied by rule no-reviews"), "{said}");
    assert!(said.contains("Nobody of the mesh is service account default/nobody-here"), "{said}");
    // Both ends of the story are kept: what passed, and what did not.
    eventually("denials are seen", SOON, || {
        calls(&mesh).iter().any(|call| call["service"] == "ratings" && call["allowed"] == 0 && call["denied"].as_u64() > Some(0))
    });
    // Not one request of the demo's own failed meanwhile.
    ended(second);
    nothing_is_left(&mesh);
}
