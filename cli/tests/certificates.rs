//! A gateway with certificates on both sides, from files to foreign TLS stacks: curl must show one, and so must the gateway to `openssl s_server`.

mod common;

use common::{SOON, mesh, nothing_is_left};
use std::path::PathBuf;
use std::process::Command;
use testkit::outsider::{Issued, Outsider};
use testkit::process::eventually;
use testkit::{Mesh, Need, Process, free_port, require};

/// `clients` vouches for those who knock; the backend believes `servers`, and shows a certificate of it.
fn files(port: u16, backend: u16, clients: &str, servers: &Outsider) -> String {
    let text = |pem: &str| serde_json::to_string(pem).expect("text is JSON");
    let secret = |name: &str, Issued { chain, key }: Issued| {
        format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: {}\n  tls.key: {}\n",
            text(&chain),
            text(&key)
        )
    };
    let roots = |name: &str, pem: &str| {
        format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  ca.crt: {}\n", text(pem))
    };
    format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: door}}
spec:
  gatewayClassName: organza
  tls:
    frontend: {{default: {{validation: {{caCertificateRefs: [{{group: \"\", kind: ConfigMap, name: clients}}]}}}}}}
    backend: {{clientCertificateRef: {{name: own}}}}
  listeners:
  - {{name: https, port: {port}, protocol: HTTPS, tls: {{certificateRefs: [{{name: edge}}]}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: all}}
spec:
  parentRefs: [{{name: door}}]
  rules: [{{backendRefs: [{{name: api, port: 443}}]}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{name: api}}
spec:
  targetRefs: [{{group: \"\", kind: Service, name: api}}]
  validation: {{hostname: api.example, caCertificateRefs: [{{group: \"\", kind: ConfigMap, name: servers}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: api}}
spec: {{ports: [{{name: https, port: 443, appProtocol: https}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: api-1, labels: {{kubernetes.io/service-name: api}}}}
addressType: IPv4
ports: [{{name: https, port: {backend}, protocol: TCP}}]
endpoints: [{{addresses: [\"127.0.0.1\"]}}]
{}{}{}{}",
        secret("edge", servers.issue(&["shop.example"])),
        secret("own", servers.issue(&["gateway.example"])),
        roots("clients", clients),
        roots("servers", &servers.root),
    )
}

fn write(mesh: &Mesh, name: &str, text: &str) -> String {
    let path: PathBuf = mesh.home().join(name);
    std::fs::write(&path, text).expect("a file is written");
    path.display().to_string()
}

/// A certificate as files that curl and openssl read.
fn shown(mesh: &Mesh, name: &str, issued: &Issued) -> [String; 2] {
    [write(mesh, &format!("{name}.crt"), &issued.chain), write(mesh, &format!("{name}.key"), &issued.key)]
}

/// What `openssl s_server` says of the connection by which it was asked, or why nobody was.
fn curl(port: u16, roots: &str, shown: Option<&[String; 2]>, version: &str) -> Result<String, String> {
    let mut curl = Command::new("curl");
    curl.args(["-sSf", "-m", "10", "--tls-max", version, "--cacert", roots, "--resolve", &format!("shop.example:{port}:127.0.0.1")]);
    curl.args(shown.iter().flat_map(|[crt, key]| ["--cert", crt, "--key", key]));
    let output = curl.arg(format!("https://shop.example:{port}/")).output().expect("curl runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn curl_and_openssl_are_asked_and_shown() {
    if !require(&[Need::Program("curl"), Need::Program("openssl")]) {
        return;
    }
    let (mesh, servers, old, new) = (mesh(), Outsider::new("servers"), Outsider::new("old"), Outsider::new("new"));
    let (port, backend) = (free_port(), free_port());
    let roots = write(&mesh, "servers.pem", &servers.root);
    let [crt, key] = shown(&mesh, "api", &servers.issue(&["api.example"]));
    let mut server = Command::new("openssl");
    server.args(["s_server", "-www", "-accept", &backend.to_string(), "-cert", &crt, "-key", &key, "-Verify", "2", "-CAfile", &roots]);
    let _server = Process::start(server);
    mesh.write("gateway.yaml", &files(port, backend, &old.root, &servers));
    let mut up = Process::start(mesh.organza(&["up", "-f", &mesh.config().display().to_string()]));
    up.wait_for("mesh default is up", SOON);
    let (member, stranger) = (old.issue(&["member.example"]), new.issue(&["stranger.example"]));
    let (member, stranger) = (shown(&mesh, "member", &member), shown(&mesh, "stranger", &stranger));
    eventually("the member is let in", SOON, || curl(port, &roots, Some(&member), "1.3").is_ok());
    for version in ["1.2", "1.3"] {
        let told = curl(port, &roots, Some(&member), version).unwrap_or_else(|why| panic!("TLS {version}: {why}"));
        assert!(told.contains("gateway.example"), "the backend saw the gateway's certificate: {told}");
        for shown in [None, Some(&stranger)] {
            assert!(curl(port, &roots, shown, version).is_err(), "TLS {version}, {shown:?}");
        }
    }
    // Other authorities take the place of the old ones while everything runs.
    mesh.write("gateway.yaml", &files(port, backend, &new.root, &servers));
    eventually("the stranger is let in", SOON, || curl(port, &roots, Some(&stranger), "1.3").is_ok());
    assert!(curl(port, &roots, Some(&member), "1.3").is_err());
    up.signal("INT");
    assert!(up.wait(SOON).success(), "{}", up.output());
    nothing_is_left(&mesh);
}

#[test]
fn certificates_of_a_developers_own_authority_are_shown_and_believed() {
    if !require(&[Need::Program("curl")]) {
        return;
    }
    let (mesh, port) = (mesh(), free_port());
    let trust = |words: &[&str]| {
        let (code, said, error) = mesh.run(&[&["trust"][..], words].concat());
        assert_eq!(code, 0, "{said}{error}");
        said
    };
    mesh.write("tls.yaml", &trust(&["certificate", "shop.localhost", "127.0.0.1"]));
    let gateway = format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: door}}
spec:
  gatewayClassName: organza
  listeners:
  - {{name: https, port: {port}, protocol: HTTPS, tls: {{certificateRefs: [{{name: shop-localhost-tls}}]}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: all}}
spec:
  parentRefs: [{{name: door}}]
  rules: [{{filters: [{{type: RequestRedirect, requestRedirect: {{hostname: elsewhere.localhost}}}}]}}]
"
    );
    mesh.write("gateway.yaml", &gateway);
    let mut up = Process::start(mesh.organza(&["up", "-f", &mesh.config().display().to_string()]));
    up.wait_for("mesh default is up", SOON);
    let roots = write(&mesh, "dev.pem", &trust(&["show"]));
    let status = |host: &str| {
        let (url, resolve) = (format!("https://{host}:{port}/"), format!("shop.localhost:{port}:127.0.0.1"));
        let asked = ["-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", &roots, "--resolve", &resolve, &url];
        let output = Command::new("curl").args(asked).output().expect("curl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    eventually("it is believed for its name", SOON, || status("shop.localhost") == "302");
    assert_eq!(status("127.0.0.1"), "302", "and for its address");
    let (code, _, error) = mesh.run(&["trust", "certificate", "bank.com"]);
    assert!(code == 2 && error.contains("on the internet"), "{code}: {error}");
    // Another certificate takes its place while everything runs.
    mesh.write("tls.yaml", &trust(&["certificate", "other.localhost", "--name", "shop-localhost-tls"]));
    eventually("the name is no longer the certificate's", SOON, || status("shop.localhost") == "000");
    up.signal("INT");
    assert!(up.wait(SOON).success(), "{}", up.output());
    nothing_is_left(&mesh);
}
