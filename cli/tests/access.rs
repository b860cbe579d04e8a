//! `examples/shop-secure` end to end: real proxies, real certificates, real programs; who may and who may not, by HTTP and by bytes, and a policy that
//! is changed while the mesh runs.

mod common;

use common::{SOON, json, mesh, nothing_is_left, up};
use std::io::{Read, Write};
use std::net::TcpStream;
use testkit::process::{eventually, organza};
use testkit::{Mesh, Need, Process, free_port, require};

const SERVICES: &str = include_str!("../../examples/shop-secure/services.yaml");
const ACCESS: &str = include_str!("../../examples/shop-secure/access.yaml");

const RATES: &str = "\
apiVersion: organza.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: orders, namespace: prod}
spec:
  targetRefs: [{kind: Service, name: orders}]
  limits: [{name: hourly, requests: 1, window: 1h, by: [{type: Identity}]}]
";

const TOKENS: &str = "\
apiVersion: organza.dev/v1alpha1
kind: TokenIssuer
metadata: {name: away, namespace: prod}
spec:
  targetRefs: [{kind: Service, name: orders}]
  issuer: https://issuer.example
  jwks: {uri: 'http://127.0.0.1:PORT/jwks.json'}
";

fn sample(mesh: &Mesh, namespace: &str, name: &str, service_port: &str, more: &[&str]) -> Process {
    let (port, program) = (free_port().to_string(), organza().display().to_string());
    let join = ["run", "-n", namespace, "--service", name, "--port", &port, "--service-port", service_port, "--"];
    let serve = [&*program, "sample", "--name", name, "--port", &port];
    Process::start(mesh.organza(&[&join[..], &serve, more].concat()))
}

/// The status of a request by curl, as this account.
fn status(mesh: &Mesh, (namespace, account): (&str, &str), method: &str, url: &str) -> String {
    let curl = ["curl", "-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, url];
    let join = ["run", "-n", namespace, "--service-account", account, "--"];
    let (_, said, error) = mesh.run(&[&join[..], &curl].concat());
    let status = said.trim().to_owned();
    if status.is_empty() { error } else { status }
}

/// Rules of a policy with how often each allowed and denied, as the control plane has it.
fn decided(mesh: &Mesh, policy: &str) -> Vec<(String, u64, u64)> {
    let socket = mesh.home().join("state/organza/default/control.sock").display().to_string();
    let query = format!("policy={policy}");
    let ask = ["-sS", "-m", "10", "-G", "--unix-socket", &socket, "--data-urlencode", &query, "http://organza/v1/verdicts"];
    let output = std::process::Command::new("curl").args(ask).output().expect("curl");
    let told = json(&String::from_utf8_lossy(&output.stdout));
    let count = |rule: &serde_json::Value, verdict: &str| rule["counts"][verdict].as_u64().expect("a number");
    let rules = told["items"][0]["rules"].as_array().cloned().unwrap_or_default();
    rules.iter().map(|rule| (rule["rule"].as_str().expect("a name").to_owned(), count(rule, "allowed"), count(rule, "denied"))).collect()
}

/// What comes back of bytes to the ledger, as this account.
fn echo(mesh: &Mesh, account: &str) -> String {
    let port = free_port();
    let upstream = format!("ledger:7000={port}");
    let join = ["run", "-n", "prod", "--service-account", account, "--upstream", &upstream, "--", "sh", "-c", "echo ready; exec sleep 60"];
    let mut client = Process::start(mesh.organza(&join));
    client.wait_for("ready", SOON);
    let mut back = String::new();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a listener");
    stream.set_read_timeout(Some(SOON)).expect("a time");
    // Who is refused may be gone before it is written to.
    let _ = stream.write_all(b"ping");
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_string(&mut back);
    client.stop(SOON);
    back
}

#[test]
fn the_secure_shop_lets_in_whom_its_policies_name_and_nobody_else() {
    if !require(&[Need::Program("curl")]) {
        return;
    }
    let mesh = mesh();
    mesh.write("services.yaml", SERVICES);
    mesh.write("access.yaml", ACCESS);
    let mut up = up(&mesh);
    let mut orders = sample(&mesh, "prod", "orders", "80", &[]);
    let mut ledger = sample(&mesh, "prod", "ledger", "7000", &["--tcp"]);
    let web = ("prod", "web");
    eventually("orders answers", SOON, || status(&mesh, web, "GET", "http://orders/orders") == "200");
    let cases = [
        (web, "POST", "http://orders/orders", "200"),
        (web, "POST", "http://orders/orders/7", "200"),
        (web, "POST", "http://orders/admin", "403"),
        (web, "DELETE", "http://orders/orders", "403"),
        (("prod", "jobs"), "GET", "http://orders/orders", "200"),
        (("prod", "jobs"), "POST", "http://orders/orders", "403"),
        (("dev", "web"), "GET", "http://orders.prod/orders", "403"),
        (("dev", "web"), "POST", "http://orders.prod/orders", "403"),
    ];
    for (who, method, url, want) in cases {
        assert_eq!(status(&mesh, who, method, url), want, "{who:?} {method} {url}");
    }
    // What the proxies told of it, by policy and rule: each request once. How often it was read before it answered nobody knows.
    let told = |policy: &str, rule: &str| {
        decided(&mesh, policy).into_iter().find(|(name, ..)| name == rule).map(|(_, allowed, denied)| (allowed, denied))
    };
    let (shop, own) = ("ClusterAccessPolicy no-dev-in-prod", "AccessPolicy prod/orders");
    let by_rule = || [told(shop, "dev"), told(own, ""), told(own, "web-writes")].map(Option::unwrap_or_default);
    eventually("each verdict is told once", SOON, || by_rule() == [(0, 2), (0, 3), (2, 0)]);
    assert!(matches!(told(own, "prod-reads"), Some((2.., 0))), "{:?}", decided(&mesh, own));
    eventually("the ledger answers", SOON, || echo(&mesh, "orders") == "ping");
    assert_eq!(echo(&mesh, "web"), "");

    let check = |more: &[&str]| mesh.run(&[&["access", "check"], more].concat());
    let (code, said, error) = check(&["prod/web", "prod/orders", "--method", "POST", "--path", "/orders", "--expect", "Allow"]);
    assert!(code == 0 && said.contains("rule web-writes of AccessPolicy prod/orders"), "{said}{error}");
    let (code, said, error) = check(&["dev/web", "prod/orders", "--expect", "Deny"]);
    assert!(code == 0 && said.contains("rule dev of ClusterAccessPolicy no-dev-in-prod (Admin)"), "{said}{error}");
    assert_eq!(check(&["dev/web", "prod/orders", "--expect", "Allow"]).0, 1);
    let (_, said, _) = mesh.run(&["access", "matrix"]);
    assert!(said.contains("prod/ledger") && said.lines().any(|line| line.starts_with("prod/orders") && line.contains("yes")), "{said}");

    let explain = |from: &str, method: &str, more: &[&str]| {
        mesh.run(&[&["explain", method, "http://orders.prod/orders", "--from", from], more].concat())
    };
    let (code, said, error) = explain("prod/orders", "GET", &["--expect", "Allow"]);
    assert!(code == 0 && said.contains("access     prod/orders: allowed by rule prod-reads of AccessPolicy prod/orders"), "{said}{error}");
    assert_eq!(explain("prod/orders", "DELETE", &["--expect", "Allow"]).0, 1);
    let files = mesh.config().display().to_string();
    let (code, said, error) = explain("dev/web", "GET", &["--expect", "Deny", "-f", &files]);
    assert!(code == 0 && said.contains("denied by rule dev of ClusterAccessPolicy no-dev-in-prod (Admin)"), "{said}{error}");

    // The ledger has called nobody: its proxy is asked as it would be at its first call.
    let (code, said, error) = explain("prod/ledger", "DELETE", &["--expect", "Deny"]);
    assert!(code == 0 && said.contains("  would go to 100 % prod/orders:80") && said.contains("at its first call there"), "{said}{error}");
    let (code, _, error) = mesh.run(&["explain", "GET", "http://nobody.example/", "--from", "prod/ledger", "--expect", "Deny"]);
    assert!(code == 1 && error.contains("expected Deny, got no verdict, for nobody of the mesh is asked: nobody.example:80"), "{error}");

    // Nobody reads any more; nothing is restarted.
    let (before, after) = ACCESS.split_once("  - name: prod-reads").expect("the rule");
    let (_, rest) = after.split_once("---").expect("the next policy");
    mesh.write("access.yaml", &format!("{before}---{rest}"));
    eventually("the change is in force", SOON, || status(&mesh, ("prod", "jobs"), "GET", "http://orders/orders") == "403");
    assert_eq!(status(&mesh, web, "POST", "http://orders/orders"), "200");

    // One request in an hour for each caller.
    mesh.write("rates.yaml", RATES);
    eventually("the limit is in force", SOON, || {
        mesh.run(&["explain", "GET", "http://orders.prod/orders", "--from", "prod/orders"]).1.contains("1 request in 3600s")
    });
    assert_eq!(status(&mesh, web, "POST", "http://orders/orders"), "200");
    assert_eq!(status(&mesh, web, "POST", "http://orders/orders"), "429");
    assert_eq!(status(&mesh, web, "DELETE", "http://orders/orders"), "403");

    // Keys that cannot be had: the issuer's status says so, and so does whoever is asked what would become of a token.
    mesh.write("tokens.yaml", &TOKENS.replace("PORT", &free_port().to_string()));
    eventually("it is told", SOON, || mesh.run(&["status"]).1.contains("cannot fetch its keys"));
    let (_, said, error) = mesh.run(&["get", "tokenissuers", "-n", "prod", "-o", "yaml"]);
    assert!(said.contains("reason: KeysNotFetched") && said.contains("it has none and believes no token"), "{said}{error}");
    let (_, said, error) = mesh.run(&["validate", "-f", &mesh.config().join("tokens.yaml").display().to_string(), "--live"]);
    assert!(said.contains("cannot fetch its keys"), "{said}{error}");
    let claims = mesh.home().join("claims.json").display().to_string();
    std::fs::write(&claims, r#"{"iss": "https://issuer.example", "sub": "ann"}"#).expect("a file");
    let (code, said, error) = explain("prod/ledger", "GET", &["--claims", &claims, "--expect", "Allow"]);
    assert!(code == 1 && said.contains("401, for the proxy has no keys of TokenIssuer prod/away"), "{said}{error}");

    orders.stop(SOON);
    ledger.stop(SOON);
    up.stop(SOON);
    nothing_is_left(&mesh);
}
