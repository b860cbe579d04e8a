//! Who may call whom, over real connections: denied and allowed pairs in every protocol, what each side is told, and what becomes of calls under
//! way when policies change.

mod evasions;

use super::grpc::{answer, client, post};
use super::resources::{self, GRPC, HTTP, TCP};
use super::{Shop, bounded, key};
use crate::doors::Door;
use model::access::*;
use model::route::{Filter, HeaderEdits, PathEdit, Rewrite};
use model::{HostPattern, Key, Kind, Method, ObjectRef, Origin, Resource, Target};
use std::net::SocketAddr;
use std::sync::Arc;
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use transport::body::Length;

pub fn policy(name: &str, action: Action, target: AccessTarget, clauses: Vec<Clause>) -> Resource {
    let rule = AccessRule { name: "the-rule".into(), clauses };
    Resource::Access(Arc::new(AccessPolicy {
        key: key(Kind::Access, &format!("accesspolicy.{name}")),
        origin: Origin::new(ObjectRef::new("organza.dev", "AccessPolicy", "shop", name), ""),
        tier: Tier::Namespace,
        action,
        enforcement: Enforcement::Enforce,
        targets: vec![target],
        rules: vec![rule],
    }))
}

pub fn any_of(matches: impl IntoIterator<Item = AccessMatch>) -> Clause {
    Clause(matches.into_iter().map(|one| Group(vec![Term::is(vec![one])])).collect())
}

fn account(name: &str) -> AccessMatch {
    AccessMatch::ServiceAccount { namespace: "shop".into(), name: name.into() }
}

pub fn path(text: &str) -> AccessMatch {
    AccessMatch::Path(AccessPath::segments(text))
}

pub fn settings(default_access: DefaultAccess, egress: Egress, explain_denials: ExplainDenials) -> Resource {
    let key = Key::new(model::Source::files(), Kind::AccessSettings, "", "default");
    let origin = Origin::new(ObjectRef::new("organza.dev", "MeshConfig", "organza-system", "default"), "");
    Resource::AccessSettings(Arc::new(AccessSettings {
        key,
        origin,
        default_access,
        egress,
        explain_denials,
        mtls: Mtls::Strict,
        mtls_of: vec![],
    }))
}

fn on_catalog() -> AccessTarget {
    AccessTarget::Service { service: key(Kind::Service, "catalog"), port: None }
}

/// Status, `Proxy-Status` and body.
async fn get(door: SocketAddr, host: &str, path: &str) -> (u16, String, String) {
    let (status, headers, body) = fetch(&Shot::get(door, host, path)).await.unwrap();
    let said = headers.get("proxy-status").map_or_else(String::new, |value| value.to_str().unwrap().to_owned());
    (status.as_u16(), said, String::from_utf8_lossy(&body).into_owned())
}

async fn grpc_status(door: SocketAddr) -> String {
    let client = client(door).await;
    let (_up, mut reply) = client.request(&post("catalog", "/books.Books/Get", true), Length::None).unwrap();
    let (head, _) = answer(&mut reply).await.unwrap();
    head.headers.text("grpc-status").unwrap_or("none").to_owned()
}

/// What an echo of bytes brings back, empty where the connection is closed.
pub async fn echo(door: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(door).await.unwrap();
    // Who is refused may be gone before it is written to.
    let _ = stream.write_all(b"ping").await;
    let _ = stream.shutdown().await;
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back).await;
    back
}

#[tokio::test]
async fn denied_and_allowed_callers_in_every_protocol() {
    bounded(async {
        let (http, bytes) = (Backend::http("catalog").await, Backend::tcp("").await);
        for (backend, is_http) in [(&http, true), (&bytes, false)] {
            let mut shop = Shop::new(backend.address);
            let mut dev = shop.mesh.proxy("dev");
            shop.mesh.put(vec![policy("web-only", Action::Allow, on_catalog(), vec![any_of([account("web")])])]);
            for (proxy, allowed) in [(&mut shop.web, true), (&mut dev, false)] {
                if is_http {
                    assert_eq!(get(proxy.named("catalog", HTTP), "catalog", "/").await.0, if allowed { 200 } else { 403 });
                    assert_eq!(grpc_status(proxy.named("catalog", GRPC)).await, if allowed { "none" } else { "7" });
                } else {
                    assert_eq!(echo(proxy.named("catalog", TCP)).await, if allowed { &b"ping"[..] } else { b"" });
                }
            }
            let record = shop.catalog.failed("access_denied").await;
            assert_eq!(record["verdict_by"], "AccessPolicy shop/web-only");
            assert_eq!(record["source_principal"], "spiffe://organza.local/ns/shop/sa/dev");
            assert_eq!(record["response_flags"], "UAEX");
        }
        assert_eq!((http.requests(), bytes.requests()), (2, 1), "nothing that was denied came to the application");
    })
    .await;
}

#[tokio::test]
async fn every_refusal_says_why_to_whom_may_know() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        let deny = policy("no-admin", Action::Deny, on_catalog(), vec![any_of([account("web")]), any_of([path("/admin")])]);
        shop.mesh.put(vec![deny]);
        let (status, said, body) = get(door, "catalog", "/admin/users").await;
        let why = "denied by rule the-rule of AccessPolicy shop/no-admin";
        assert_eq!((status, body.as_str()), (403, format!("access_denied: {why}\n").as_str()));
        assert!(said.starts_with("catalog; error=http_request_denied;") && said.contains(why), "{said}");
        let record = shop.catalog.failed("access_denied").await;
        assert_eq!((&record["reason"], &record["verdict_rule"]), (&why.into(), &"the-rule".into()));
        assert_eq!((&record["path"], &record["method"]), (&"/admin/users".into(), &"GET".into()));
        let metrics = shop.catalog.worker.shared.metrics.encode();
        let line = "organza_access_denied_total{policy=\"AccessPolicy shop/no-admin\",rule=\"the-rule\"} 1";
        assert!(metrics.contains(line), "{metrics}");
        shop.mesh.put(vec![settings(DefaultAccess::AllowMeshed, Egress::Any, ExplainDenials::Never)]);
        let (status, said, body) = get(door, "catalog", "/admin/users").await;
        assert_eq!((status, body.as_str()), (403, "access_denied\n"));
        assert!(!said.contains("no-admin"), "{said}");
        assert_eq!(shop.catalog.failed("access_denied").await["reason"], why, "operators are told all the same");
    })
    .await;
}

#[tokio::test]
async fn a_path_that_can_be_read_in_two_ways_is_refused_in_the_name_of_who_reads_it() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        let other = policy("a-web", Action::Deny, on_catalog(), vec![any_of([account("dev")])]);
        shop.mesh.put(vec![other, policy("no-admin", Action::Deny, on_catalog(), vec![any_of([path("/admin")])])]);
        let (status, _, body) = get(door, "catalog", "/a%2f..%2fadmin").await;
        let why = "the path can be read in two ways, and access depends on it: AccessPolicy shop/no-admin reads paths";
        assert_eq!((status, body), (400, format!("malformed_request: {why}\n")));
        let record = shop.catalog.failed("malformed_request").await;
        assert_eq!((&record["verdict_by"], &record["reason"]), (&"AccessPolicy shop/no-admin".into(), &why.into()));
        assert_eq!((&record["attempt"], &shop.web.record().await["attempt"]), (&0.into(), &1.into()), "tried by the caller's proxy alone");
        let metrics = shop.catalog.worker.shared.metrics.encode();
        let line = "organza_access_ambiguous_path_total{policy=\"AccessPolicy shop/no-admin\"} 1";
        assert!(metrics.contains(line), "{metrics}");
        shop.mesh.put(vec![settings(DefaultAccess::AllowMeshed, Egress::Any, ExplainDenials::Never)]);
        assert_eq!(get(door, "catalog", "/a%2f..%2fadmin").await.2, "malformed_request\n");
        assert_eq!(backend.requests(), 0);
    })
    .await;
}

/// What is counted of what was allowed at the called side, ascending.
fn allowed(shop: &Shop) -> Vec<String> {
    let metrics = shop.catalog.worker.shared.metrics.encode();
    let mut lines: Vec<_> =
        metrics.lines().filter_map(|line| Some(line.strip_prefix("organza_access_allowed_total")?.to_owned())).collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn what_is_allowed_counts_once_by_its_rule_and_not_at_all_where_there_is_no_policy() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        assert_eq!(get(door, "catalog", "/").await.0, 200);
        assert!(allowed(&shop).is_empty());
        shop.mesh.put(vec![policy("no-admin", Action::Deny, on_catalog(), vec![any_of([path("/admin")])])]);
        let mut open = Open::web_socket(door, "/feed").await;
        assert_eq!(get(door, "catalog", "/admin").await.0, 403);
        let by_default = r#"{policy="default",rule=""} 1.0"#;
        assert_eq!(allowed(&shop), [by_default]);
        // What is open is judged again, and is no other request for that.
        shop.mesh.put(vec![policy("web-only", Action::Allow, on_catalog(), vec![any_of([account("web")])])]);
        assert!(open.lives().await);
        assert_eq!(allowed(&shop), [by_default]);
        for _ in 0..2 {
            assert_eq!(get(door, "catalog", "/").await.0, 200);
        }
        assert_eq!(allowed(&shop), [r#"{policy="AccessPolicy shop/web-only",rule="the-rule"} 2.0"#, by_default]);
    })
    .await;
}

#[tokio::test]
async fn a_connection_of_bytes_that_is_allowed_counts_once_though_it_is_judged_again() {
    bounded(async {
        let backend = Backend::tcp("").await;
        let mut shop = Shop::new(backend.address);
        shop.mesh.put(vec![policy("web-only", Action::Allow, on_catalog(), vec![any_of([account("web")])])]);
        let mut open = Open::bytes(shop.web.named("catalog", TCP)).await;
        shop.mesh.put(vec![policy("no-dev", Action::Deny, on_catalog(), vec![any_of([account("dev")])])]);
        assert!(open.lives().await);
        assert_eq!(allowed(&shop), [r#"{policy="AccessPolicy shop/web-only",rule="the-rule"} 1.0"#]);
    })
    .await;
}

#[tokio::test]
async fn what_is_tried_out_is_told_and_decides_nothing() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let Resource::Access(deny) = policy("no-admin", Action::Deny, on_catalog(), vec![any_of([path("/admin")])]) else { panic!() };
        shop.mesh.put(vec![Resource::Access(Arc::new(AccessPolicy { enforcement: Enforcement::DryRun, ..(*deny).clone() }))]);
        let door = shop.web.named("catalog", HTTP);
        assert_eq!(get(door, "catalog", "/admin").await.0, 200);
        let record = shop.catalog.record().await;
        assert_eq!(record["dry_run"], "denied by rule the-rule of AccessPolicy shop/no-admin");
        assert_eq!(get(door, "catalog", "/").await.0, 200);
        assert!(shop.catalog.record().await["dry_run"].is_null());
        let metrics = shop.catalog.worker.shared.metrics.encode();
        assert!(metrics.contains("organza_access_dry_run_total{policy=\"AccessPolicy shop/no-admin\""), "{metrics}");
    })
    .await;
}

#[tokio::test]
async fn defaults_hold_where_no_policy_decides_and_egress_is_kept_in() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        shop.mesh.put(vec![settings(DefaultAccess::Deny, Egress::Registered, ExplainDenials::Meshed)]);
        let (status, _, body) = get(door, "catalog", "/").await;
        assert_eq!(status, 403);
        assert!(body.contains("the default Deny of MeshConfig organza-system/default"), "{body}");
        let outside = Backend::http("outside").await;
        let url = format!("http://{}/", outside.address);
        let proxy = shop.web.open(Door::ExplicitProxy { authorization: "Basic secret".into() });
        let mut shot = Shot::get(proxy, &outside.address.to_string(), &url);
        shot.headers.push(("proxy-authorization".into(), "Basic secret".into()));
        let (status, _, body) = fetch(&shot).await.unwrap();
        assert_eq!(status.as_u16(), 403, "{body:?}");
        // The first is what the proxy beside catalog said.
        let told =
            [shop.web.failed("access_denied").await, shop.web.failed("access_denied").await].map(|record| record["verdict_by"].clone());
        assert_eq!(told, [serde_json::Value::Null, "MeshConfig organza-system/default".into()]);
        shop.mesh.put(vec![settings(DefaultAccess::Allow, Egress::Any, ExplainDenials::Meshed)]);
        assert_eq!((fetch(&shot).await.unwrap().0.as_u16(), get(door, "catalog", "/").await.0), (200, 200));
        assert_eq!(outside.requests(), 1);
    })
    .await;
}

#[tokio::test]
async fn gateways_judge_strangers_by_gateway_listener_and_route() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        let listener = key(Kind::Listener, "edge.web");
        shop.mesh.put(vec![resources::listener(80, None), resources::route(Target::Listener(listener.clone()), rule)]);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        assert_eq!(get(door, "shop.example", "/admin").await.0, 200);
        let targets = [
            AccessTarget::Gateway(key(Kind::Gateway, "edge")),
            AccessTarget::Listener(listener),
            AccessTarget::Route(key(Kind::Route, "httproute.test")),
        ];
        for target in targets {
            shop.mesh.put(vec![policy("edge", Action::Deny, target.clone(), vec![any_of([path("/admin")])])]);
            let (status, said, body) = get(door, "shop.example", "/admin/x").await;
            assert_eq!((status, body.as_str()), (403, "access_denied\n"), "{target:?}");
            assert!(!said.contains("AccessPolicy"), "strangers are not told: {said}");
            assert_eq!(gateway.failed("access_denied").await["verdict_by"], "AccessPolicy shop/edge");
            assert_eq!(get(door, "shop.example", "/").await.0, 200);
        }
        let other = AccessTarget::Listener(key(Kind::Listener, "edge.other"));
        shop.mesh.put(vec![policy("edge", Action::Deny, other, vec![any_of([path("/admin")])])]);
        assert_eq!(get(door, "shop.example", "/admin").await.0, 200);
    })
    .await;
}

/// A call that stays open, and whether it still answers.
struct Open(TcpStream);

impl Open {
    async fn bytes(door: SocketAddr) -> Self {
        let mut open = Self(TcpStream::connect(door).await.unwrap());
        assert!(open.lives().await);
        open
    }

    async fn web_socket(door: SocketAddr, path: &str) -> Self {
        let mut open = Self(TcpStream::connect(door).await.unwrap());
        let head = format!("GET {path} HTTP/1.1\r\nHost: catalog\r\nX-Role: guest\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
        open.0.write_all(head.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            seen.push(open.0.read_u8().await.unwrap());
        }
        assert!(seen.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&seen));
        assert!(open.lives().await);
        open
    }

    async fn lives(&mut self) -> bool {
        let mut back = [0; 4];
        self.0.write_all(b"ping").await.is_ok() && self.0.read_exact(&mut back).await.is_ok() && back == *b"ping"
    }

    /// Whether it ends without a word of ours.
    async fn ends(&mut self) -> bool {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(std::time::Duration::from_secs(10), self.0.read_to_end(&mut rest)).await;
        ended.is_ok() && rest.is_empty()
    }
}

#[tokio::test]
async fn open_connections_of_bytes_end_when_they_are_no_longer_allowed_and_others_go_on() {
    bounded(async {
        let backend = Backend::tcp("").await;
        let mut shop = Shop::new(backend.address);
        let mut dev = shop.mesh.proxy("dev");
        let mut ours = Open::bytes(shop.web.named("catalog", TCP)).await;
        let mut theirs = Open::bytes(dev.named("catalog", TCP)).await;
        shop.mesh.put(vec![policy("no-dev", Action::Deny, on_catalog(), vec![any_of([account("dev")])])]);
        assert!(theirs.ends().await);
        assert!(ours.lives().await);
        let record = shop.catalog.failed("access_denied").await;
        assert_eq!(record["verdict_by"], "AccessPolicy shop/no-dev");
        assert_eq!(told(&record), (0, 4, 4, 2), "what went is told, by the generation that judged");
        drop(ours);
        assert_eq!(told(&shop.catalog.record().await), (0, 8, 8, 1));
    })
    .await;
}

#[tokio::test]
async fn requests_under_way_end_by_what_they_asked_for() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        let mut kept = Open::web_socket(door, "/feed").await;
        let mut ended = Open::web_socket(door, "/admin/feed").await;
        // A request whose body is still coming, on a connection of its own.
        let mut upload = TcpStream::connect(door).await.unwrap();
        upload.write_all(b"POST /admin HTTP/1.1\r\nHost: catalog\r\nContent-Length: 100\r\n\r\nbegun").await.unwrap();
        // The connection between the proxies, and three requests on it.
        while shop.catalog.worker.shared.busy.load(std::sync::atomic::Ordering::Relaxed) < 4 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        shop.mesh.put(vec![policy("no-admin", Action::Deny, on_catalog(), vec![any_of([path("/admin")])])]);
        assert!(ended.ends().await);
        assert!(kept.lives().await);
        // However it is told, it is no answer of the application's.
        let mut said = Vec::new();
        let _ = upload.read_to_end(&mut said).await;
        assert!(!String::from_utf8_lossy(&said).contains("200 OK"), "{}", String::from_utf8_lossy(&said));
        for _ in 0..2 {
            let record = shop.catalog.failed("access_denied").await;
            assert_eq!(record["verdict_by"], "AccessPolicy shop/no-admin");
            let went = if record["path"] == "/admin" { (0, 5, 0, 2) } else { (101, 4, 4, 2) };
            assert_eq!(told(&record), went, "{record}");
        }
        assert_eq!(get(door, "catalog", "/").await.0, 200);
    })
    .await;
}

#[tokio::test]
async fn what_a_gateway_refuses_is_no_call_of_anybody_and_what_it_sends_is() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        let listener = key(Kind::Listener, "edge.web");
        shop.mesh.put(vec![
            resources::listener(80, None),
            resources::route(Target::Listener(listener.clone()), rule),
            policy("edge", Action::Deny, AccessTarget::Listener(listener), vec![any_of([path("/admin")])]),
        ]);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        for (path, status) in [("/admin", 403), ("/a%2fadmin", 400)] {
            assert_eq!(get(door, "shop.example", path).await.0, status);
        }
        gateway.counted(2).await;
        let edges = gateway.worker.shared.metrics.edges();
        let told: Vec<_> = edges.iter().map(|(id, totals)| (&*id.destination_workload, &*id.service, totals.failures)).collect();
        assert_eq!(told, [("", "", 2)]);
        assert!(gateway.worker.shared.metrics.encode().contains("destination_workload=\"unknown\""), "labels are Istio's");
        assert_eq!(get(door, "shop.example", "/").await.0, 200);
        gateway.counted(3).await;
        let edges = gateway.worker.shared.metrics.edges();
        let told: Vec<_> = edges.iter().map(|(id, totals)| (&*id.destination_workload, &*id.service, totals.failures)).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(edges.keys().all(|id| id.destination_workload.is_empty() || id.security == telemetry::Security::MutualTls), "{edges:?}");
    })
    .await;
}

/// Code, bytes received and sent, and the generation that decided.
fn told(record: &serde_json::Value) -> (u64, u64, u64, u64) {
    let number = |name: &str| record[name].as_u64().unwrap_or(0);
    (number("response_code"), number("bytes_received"), number("bytes_sent"), number("generation"))
}

#[tokio::test]
async fn the_record_of_an_answer_that_is_cut_tells_what_the_caller_was_given() {
    bounded(async {
        let mut shop = Shop::new(lines().await);
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        let listener = key(Kind::Listener, "edge.web");
        shop.mesh.put(vec![resources::listener(80, None), resources::route(Target::Listener(listener.clone()), rule)]);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        let mut one = TcpStream::connect(door).await.unwrap();
        one.write_all(b"GET /admin HTTP/1.1\r\nHost: shop.example\r\n\r\n").await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"line\n\r\n") {
            seen.push(one.read_u8().await.unwrap());
        }
        let two = client(door).await;
        let (_up, mut reply) = two.request(&post("shop.example", "/admin", false), Length::None).unwrap();
        let (head, mut body) = answer(&mut reply).await.unwrap();
        assert_eq!((head.status, body.chunk().await.unwrap().unwrap().len()), (200, 5));
        shop.mesh.put(vec![policy("no-admin", Action::Deny, AccessTarget::Listener(listener), vec![any_of([path("/admin")])])]);
        for _ in 0..2 {
            assert_eq!(told(&gateway.failed("access_denied").await), (200, 0, 5, 3));
        }
    })
    .await;
}

/// Begins each answer with a line, and never ends it.
async fn lines() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::task::spawn_local(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nline\n\r\n").await?;
                stream.read_u8().await.map(drop)
            });
        }
    });
    address
}

#[tokio::test]
async fn requests_under_way_are_judged_by_what_came_and_not_by_what_a_route_made_of_it() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let mut rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        let rewrite = Rewrite { host: Some("inside.example".into()), path: Some(PathEdit::Full("/inside".into())) };
        let edits = HeaderEdits { set: vec![("x-role".into(), "trusted".into())], ..HeaderEdits::default() };
        rule.filters = vec![Filter::Rewrite(rewrite), Filter::RequestHeaders(edits)];
        let listener = key(Kind::Listener, "edge.web");
        shop.mesh.put(vec![resources::listener(80, None), resources::route(Target::Listener(listener.clone()), rule)]);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        let mut kept = Open::web_socket(door, "/feed").await;
        let mut ended = Open::web_socket(door, "/admin/feed").await;
        let role = |role: &str| AccessMatch::Header { name: "x-role".into(), value: TextMatch::Exact(role.into()) };
        let host = AccessMatch::Host(HostPattern::parse("inside.example").unwrap());
        let at_edge = AccessTarget::Listener(listener);
        let clause = any_of([path("/inside"), role("trusted"), host, path("/admin")]);
        shop.mesh.put(vec![policy("edge", Action::Deny, at_edge.clone(), vec![clause])]);
        assert!(ended.ends().await);
        assert!(kept.lives().await);
        shop.mesh.put(vec![policy("edge", Action::Deny, at_edge, vec![any_of([role("guest")])])]);
        assert!(kept.ends().await);
    })
    .await;
}

#[tokio::test]
async fn bytes_by_hbone_are_judged_as_bytes() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        shop.mesh.put(resources::catalog(&[resources::Place::hbone("catalog-1", shop.tunnel, backend.address.port())]));
        let door = shop.web.named("catalog", HTTP);
        assert_eq!(get(door, "catalog", "/").await.0, 200);
        shop.mesh.put(vec![policy("posts", Action::Allow, on_catalog(), vec![any_of([AccessMatch::Method(Method::Get)])])]);
        assert_ne!(get(door, "catalog", "/").await.0, 200, "an allow that needs HTTP does not hold of what is not read");
        assert_eq!(shop.catalog.failed("access_denied").await["verdict_by"], "AccessPolicy shop/posts");
        shop.mesh.put(vec![policy("posts", Action::Allow, on_catalog(), vec![any_of([account("web")])])]);
        assert_eq!(get(door, "catalog", "/").await.0, 200);
    })
    .await;
}
