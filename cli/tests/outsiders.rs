//! Callers whom the mesh does not know by an identity of their own, with real processes: in plaintext while they move in, and consumers by their keys.

mod common;

use common::{SOON, get, json, mesh, nothing_is_left, up};
use testkit::process::{eventually, organza};
use testkit::{Mesh, Need, Process, free_port, require};

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\nspec: {ports: [{name: http, port: 80}]}\n";

const PERMISSIVE: &str = "\
apiVersion: organza.dev/v1alpha1
kind: MeshConfig
metadata: {name: default, namespace: default}
spec: {mtlsOverrides: [{service: web, mtls: Permissive}]}
";

fn web(mesh: &Mesh, more: &[&str]) -> Process {
    let (port, program) = (free_port().to_string(), organza().display().to_string());
    let join = ["run", "--service", "web", "--port", &port];
    let serve = ["--", &*program, "sample", "--name", "web", "--port", &port];
    Process::start(mesh.organza(&[&join[..], more, &serve].concat()))
}

#[test]
fn programs_outside_call_in_plaintext_for_as_long_as_that_is_let_in() {
    let mesh = mesh();
    mesh.write("web.yaml", SERVICE);
    let mut up = up(&mesh);
    let port = free_port().to_string();
    let mut web = web(&mesh, &["--listen", &port]);
    let (address, head) = (format!("127.0.0.1:{port}"), "/ HTTP/1.1\r\nhost: web");
    eventually("its proxy is there", SOON, || std::net::TcpStream::connect(&address).is_ok());
    assert_eq!(get(&address, head).0, 0, "Strict closes it");
    let (code, said, _) = mesh.run(&["check"]);
    assert!(code == 0 && said.contains("nothing but mutual TLS is let in"), "{said}");

    mesh.write("mtls.yaml", PERMISSIVE);
    eventually("plaintext is let in", SOON, || get(&address, head).0 == 200);
    let (_, said, _) = mesh.run(&["check"]);
    assert!(said.contains("plaintext is let in to workloads (mtls: Permissive) by MeshConfig default/default"), "{said}");
    eventually("its caller is counted by address", SOON, || {
        let (_, said, _) = mesh.run(&["get", "calls", "-o", "json"]);
        let all = json(&said);
        all["items"]
            .as_array()
            .is_some_and(|all| all.iter().any(|call| call["source"] == "127.0.0.1" && call["allowed"].as_u64() > Some(0)))
    });
    let (code, said, error) = mesh.run(&["access", "suggest", "--mtls"]);
    assert!(code == 0 && said.contains("mtls: Strict would cut:") && said.contains("127.0.0.1 to default/web"), "{said}{error}");

    mesh.write("mtls.yaml", &PERMISSIVE.replace("Permissive", "Strict"));
    eventually("it is closed again", SOON, || get(&address, head).0 == 0);
    web.stop(SOON);
    up.stop(SOON);
    nothing_is_left(&mesh);
}

#[test]
fn consumers_are_known_by_keys_of_which_files_hold_the_hash_alone() {
    if !require(&[Need::Program("curl")]) {
        return;
    }
    let mesh = mesh();
    let (_, said, _) = mesh.run(&["access", "key"]);
    let word = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default().to_owned();
    let (key, hash) = (word("key"), word("sha256"));
    assert!(key.len() == 64 && hash.len() == 64 && key != hash, "{said}");
    mesh.write("web.yaml", SERVICE);
    mesh.write(
        "acme.yaml",
        &format!(
            "apiVersion: organza.dev/v1alpha1\nkind: Consumer\nmetadata: {{name: acme, namespace: default}}\nspec:\n  targetRefs: [{{kind: Service, name: web}}]\n  keys: [{{sha256: {hash}}}]\n"
        ),
    );
    let mut up = up(&mesh);
    let mut web = web(&mesh, &[]);
    let status = |more: &[&str]| {
        let curl = ["run", "--", "curl", "-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "http://web/"];
        mesh.run(&[&curl[..], more].concat()).1.trim().to_owned()
    };
    let header = format!("X-Api-Key: {key}");
    eventually("the consumer is let in", SOON, || status(&["-H", &header]) == "200");
    assert_eq!((status(&[]), status(&["-H", &format!("X-Api-Key: {hash}")])), ("401".into(), "401".into()));
    let (code, said, error) = mesh.run(&["access", "check", "web", "web", "--consumer", "acme", "--path", "/", "--expect", "Allow"]);
    assert_eq!(code, 0, "{said}{error}");
    let (code, said, error) = mesh.run(&["explain", "GET", "http://web/", "--from", "web", "--expect", "Deny"]);
    assert!(code == 0 && said.contains("401, for Consumer default/acme demands a key"), "{said}{error}");
    let (code, said, error) = mesh.run(&["explain", "GET", "http://web/", "--from", "web", "--consumer", "acme", "--expect", "Allow"]);
    assert!(code == 0 && said.contains("proof      default/web: a key of Consumer default/acme"), "{said}{error}");
    assert_eq!(mesh.run(&["access", "check", "web", "web", "--consumer", "nobody", "--path", "/"]).0, 2);
    // What it used is told, by whoever read its key.
    let document = || mesh.run(&["get", "consumers", "-o", "json"]).1;
    eventually("its requests are told", SOON, || json(&document())["items"][0]["status"]["used"]["requests"].as_u64() > Some(0));
    let used = json(&document())["items"][0]["status"]["used"].clone();
    assert!(used["apis"][0]["by_day"][0]["requests"].as_u64() > Some(0), "day by day: {used}");
    let (_, table, error) = mesh.run(&["get", "consumers", "-o", "wide"]);
    assert!(table.contains("acme") && table.contains("Service default/web: ") && table.contains("True"), "{table}{error}");
    assert!(!document().contains(&key) && !table.contains(&key) && !table.contains(&hash));
    web.stop(SOON);
    up.stop(SOON);
    nothing_is_left(&mesh);
}
