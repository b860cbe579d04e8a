//! Ways to slip past a policy, by the bytes that a stranger writes: whatever an application could read as what is denied does not come to it.

mod frames;

use super::{any_of, path, policy};
use crate::tests::resources::{self, HTTP};
use crate::tests::{Proxy, Shop, bounded, key};
use model::access::*;
use model::{HostPattern, Hostname, Kind, Method, Normalisation, Resource, Target};
use std::net::SocketAddr;
use std::sync::Arc;
use testkit::backend::Backend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Refused by the policy.
const DENIED: u16 = 403;
/// Refused since it can be read in two ways, or is no request at all.
const UNCLEAR: u16 = 400;

/// `/admin` is denied to strangers; so is the host `admin.example`, whatever the path, and whoever says that it is internal.
const PATHS: [(&str, u16); 28] = [
    ("/", 200),
    ("/administrator", 200),
    ("/Admin", 200),
    ("/a%20b", 200),
    ("/caf%C3%A9", 200),
    ("/admin", DENIED),
    ("/admin/", DENIED),
    ("/admin?x=/public", DENIED),
    ("/%61dmin", DENIED),
    ("/%61%64%6d%69%6E", DENIED),
    ("/public/../admin", DENIED),
    ("/public/%2e%2e/admin", DENIED),
    ("/./admin", DENIED),
    ("/../admin", DENIED),
    ("//admin", UNCLEAR),
    // Sent on as `/public/admin`.
    ("/public//../admin", 200),
    ("/public%2f..%2fadmin", UNCLEAR),
    ("/public/..%2Fadmin", UNCLEAR),
    ("/admin%2f", UNCLEAR),
    ("/public\\..\\admin", UNCLEAR),
    ("/%5cadmin", UNCLEAR),
    ("/public/..;/admin", UNCLEAR),
    ("/admin;x=1", UNCLEAR),
    ("/admin%3bx", UNCLEAR),
    ("/%2561dmin", UNCLEAR),
    ("/admin%00", UNCLEAR),
    ("/admin%", UNCLEAR),
    ("/%zzadmin", UNCLEAR),
];

const HOSTS: [(&str, u16); 12] = [
    ("shop.example", 200),
    ("admin.example.com", 200),
    ("admin.example", DENIED),
    ("ADMIN.Example", DENIED),
    ("admin.example.", DENIED),
    ("admin.example:80", DENIED),
    ("admin.example:8443", DENIED),
    ("admin.example.:80", DENIED),
    ("admin.example:", DENIED),
    ("admin.example:080", DENIED),
    ("admin.example..", UNCLEAR),
    ("admin.example..:80", UNCLEAR),
];

const FIELDS: [(&str, u16); 9] = [
    ("", 200),
    ("X-Internal: no\r\n", 200),
    ("X-Internal: yes\r\n", DENIED),
    ("x-INTERNAL:yes\r\n", DENIED),
    ("X-Internal: no\r\nX-Internal: yes\r\n", DENIED),
    ("X-Internal: yes\r\nx-internal: no\r\n", DENIED),
    ("X-Internal: no, yes\r\n", DENIED),
    ("X-Internal: yes\r\nConnection: x-internal\r\n", 200),
    ("X-Internal : yes\r\n", UNCLEAR),
];

fn policies() -> Vec<Resource> {
    let gateway = || AccessTarget::Gateway(key(Kind::Gateway, "edge"));
    let host = AccessMatch::Host(HostPattern::Exact(Hostname::parse("admin.example").unwrap()));
    let field = AccessMatch::Header { name: "x-internal".into(), value: TextMatch::Exact("yes".into()) };
    vec![
        policy("no-admin", Action::Deny, gateway(), vec![any_of([path("/admin")])]),
        policy("no-admin-host", Action::Deny, gateway(), vec![any_of([host])]),
        policy("no-internal", Action::Deny, gateway(), vec![any_of([field])]),
        policy("no-delete", Action::Deny, gateway(), vec![any_of([AccessMatch::Method(Method::Delete)])]),
    ]
}

struct Edge {
    _shop: Shop,
    _gateway: Proxy,
    backend: Backend,
    door: SocketAddr,
}

async fn edge(normalisation: Normalisation) -> Edge {
    let backend = Backend::http("catalog").await;
    let mut shop = Shop::new(backend.address);
    let target = Target::Listener(key(Kind::Listener, "edge.web"));
    let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
    let Resource::Listener(listener) = resources::listener(80, None) else { panic!("a listener") };
    let listener = Arc::new(model::Listener { normalisation, ..(*listener).clone() });
    shop.mesh.put(vec![Resource::Listener(listener), resources::route(target, rule)]);
    shop.mesh.put(policies());
    let mut gateway = shop.mesh.proxy("gateway");
    let door = gateway.gateway(80);
    Edge { _shop: shop, _gateway: gateway, backend, door }
}

/// The status of what is answered to these bytes.
async fn status(door: SocketAddr, bytes: &str) -> u16 {
    let mut stream = TcpStream::connect(door).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

fn request(target: &str, host: &str, fields: &str) -> String {
    // What `fields` says of the connection goes before our own wish to close it.
    format!("GET {target} HTTP/1.0\r\nHost: {host}\r\n{fields}\r\n")
}

#[tokio::test]
async fn by_http1() {
    bounded(async {
        let edge = edge(Normalisation::Base).await;
        let mut allowed = 0;
        let mut cases: Vec<(String, u16)> = PATHS.iter().map(|(target, want)| (request(target, "shop.example", ""), *want)).collect();
        cases.extend(HOSTS.iter().map(|(host, want)| (request("/", host, ""), *want)));
        cases.extend(FIELDS.iter().map(|(fields, want)| (request("/", "shop.example", fields), *want)));
        // The absolute form's host counts, not the field's (RFC 9112, section 3.2.2).
        cases.push((request("http://admin.example/", "admin.example", ""), DENIED));
        cases.push((request("http://shop.example/%61dmin", "shop.example", ""), DENIED));
        cases.push((request("http://admin.example/", "shop.example", ""), UNCLEAR));
        cases.push(("DELETE / HTTP/1.0\r\nHost: shop.example\r\n\r\n".into(), DENIED));
        cases.push(("GET /admin HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n".into(), DENIED));
        cases.push(("GET /admin HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n".into(), DENIED));
        for (bytes, want) in cases {
            assert_eq!(status(edge.door, &bytes).await, want, "{bytes:?}");
            allowed += u64::from(want == 200);
        }
        assert_eq!(edge.backend.requests(), allowed);
    })
    .await;
}

#[tokio::test]
async fn a_slow_first_byte_and_a_second_request_are_judged_like_any() {
    bounded(async {
        let edge = edge(Normalisation::Base).await;
        let mut stream = TcpStream::connect(edge.door).await.unwrap();
        for byte in b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\nGET /admin HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n" {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let statuses: Vec<_> = answer.split("HTTP/1.1 ").skip(1).map(|part| &part[..3]).collect();
        assert_eq!(statuses, ["200", "403"]);
    })
    .await;
}

/// Where nobody makes paths regular, what is not regular is not read at all.
#[tokio::test]
async fn unnormalised_paths_are_refused_where_policies_read_them() {
    bounded(async {
        let edge = edge(Normalisation::None).await;
        for (target, _) in PATHS.iter().filter(|(_, want)| *want != 200) {
            let got = status(edge.door, &request(target, "shop.example", "")).await;
            assert!(matches!(got, DENIED | UNCLEAR), "{target}: {got}");
        }
        assert_eq!(edge.backend.requests(), 0);
    })
    .await;
}
