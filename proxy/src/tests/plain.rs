//! What comes to a workload in plaintext: refused where only mutual TLS is let in, judged and counted by address where it is let in beside.

use super::access::{any_of, echo, policy};
use super::resources::{self, DETECT, HTTP, Place, TCP};
use super::{Shop, bounded, key};
use model::access::*;
use model::{Cidr, Endpoints, Kind, ObjectRef, Origin, Resource};
use std::net::SocketAddr;
use std::sync::Arc;
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn settings(default_access: DefaultAccess, mtls: Mtls, mtls_of: Vec<MtlsOf>) -> Resource {
    let key = model::Key::new(model::Source::files(), Kind::AccessSettings, "shop", "default");
    let origin = Origin::new(ObjectRef::new("organza.dev", "MeshConfig", "shop", "default"), "");
    let (egress, explain_denials) = (Egress::Any, ExplainDenials::Meshed);
    Resource::AccessSettings(Arc::new(AccessSettings { key, origin, default_access, egress, explain_denials, mtls, mtls_of }))
}

pub fn permissive() -> Resource {
    settings(DefaultAccess::AllowMeshed, Mtls::Permissive, vec![])
}

/// The catalog's endpoint with one port alone.
pub fn only(shop: &mut Shop, port: u16, to: u16) {
    let mut all = resources::catalog(&[Place::organza("catalog-1", shop.tunnel, to)]);
    for resource in &mut all {
        if let Resource::Endpoints(endpoints) = resource {
            let mut one = Endpoints::clone(endpoints);
            one.endpoints.iter_mut().for_each(|endpoint| endpoint.ports.retain(|(number, _)| *number == port));
            *endpoints = Arc::new(one);
        }
    }
    shop.mesh.put(all);
}

fn on_catalog() -> AccessTarget {
    AccessTarget::Service { service: key(Kind::Service, "catalog"), port: None }
}

/// The status of a request in plaintext; nothing where the connection is closed.
async fn get(tunnel: SocketAddr, path: &str) -> Option<u16> {
    fetch(&Shot::get(tunnel, "catalog", path)).await.ok().map(|(status, ..)| status.as_u16())
}

#[tokio::test]
async fn strict_closes_plaintext_and_permissive_lets_it_in_beside_mutual_tls() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        only(&mut shop, HTTP, backend.address.port());
        let meshed = shop.web.named("catalog", HTTP);
        assert_eq!((get(shop.tunnel, "/").await, get(meshed, "/").await), (None, Some(200)));
        let record = shop.catalog.failed("unauthenticated").await;
        assert_eq!(record["reason"], "the caller speaks no TLS, and mtls: Strict holds here");
        let metrics = shop.catalog.worker.shared.metrics.encode();
        assert!(metrics.contains("organza_downstream_cx_ended_total{cause=\"tls_plaintext\"} 1"), "{metrics}");
        shop.mesh.put(vec![permissive()]);
        assert_eq!((get(shop.tunnel, "/").await, get(meshed, "/").await), (Some(200), Some(200)));
        shop.catalog.counted(4).await;
        let records: Vec<_> = shop.catalog.records().collect();
        let plain = records.iter().find(|record| record["security"] == "none" && record["fault"].is_null()).unwrap();
        assert_eq!((&plain["source_workload"], &plain["source_principal"]), (&"127.0.0.1".into(), &"unknown".into()));
        assert_eq!((&plain["destination_service"], &plain["response_code"]), (&"catalog.shop".into(), &200.into()));
        let metrics = shop.catalog.worker.shared.metrics.encode();
        assert!(metrics.contains("source_workload=\"127.0.0.1\""), "{metrics}");
        let sources: Vec<String> = shop.catalog.worker.shared.metrics.calls().keys().map(|call| call.source.to_string()).collect();
        assert!(sources.contains(&"127.0.0.1".to_owned()) && sources.iter().any(|source| source.ends_with("/sa/web")), "{sources:?}");
        // The port is Permissive, but not by every name.
        let strict = MtlsOf { service: key(Kind::Service, "catalog"), port: Some(HTTP), mtls: Mtls::Strict };
        shop.mesh.put(vec![settings(DefaultAccess::Allow, Mtls::Permissive, vec![strict])]);
        assert_eq!(get(shop.tunnel, "/").await, None);
        let record = shop.catalog.failed("access_denied").await;
        assert_eq!(record["reason"], "denied by mtls: Strict of MeshConfig shop/default, for the caller proved no identity");
        assert_eq!(record["verdict_by"], "MeshConfig shop/default");
        shop.mesh.put(vec![settings(DefaultAccess::Deny, Mtls::Permissive, vec![])]);
        assert_eq!(get(shop.tunnel, "/").await, Some(403));
    })
    .await;
}

#[tokio::test]
async fn rules_about_who_calls_never_let_plaintext_in_and_always_keep_it_out() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        only(&mut shop, HTTP, backend.address.port());
        shop.mesh.put(vec![permissive()]);
        let dev = || AccessMatch::Namespace(TextMatch::Exact("dev".into()));
        let but_dev = Clause(vec![Group(vec![Term::is_not(vec![dev()])])]);
        let here = AccessMatch::PeerAddress(Cidr::parse("127.0.0.0/8").unwrap());
        let cases = [
            (Action::Allow, any_of([AccessMatch::Identity(IdentityMatch::Any)]), 403),
            (Action::Allow, but_dev, 403),
            (Action::Deny, any_of([dev()]), 403),
            (Action::Deny, any_of([AccessMatch::ServiceAccount { namespace: "shop".into(), name: "web".into() }]), 403),
            (Action::Allow, any_of([here]), 200),
            (Action::Deny, any_of([super::access::path("/admin")]), 200),
        ];
        for (action, clause, status) in cases {
            shop.mesh.put(vec![policy("p", action, on_catalog(), vec![clause.clone()])]);
            assert_eq!(get(shop.tunnel, "/").await, Some(status), "{action:?} {clause:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn bytes_come_in_plaintext_too_and_end_when_strict_comes_back() {
    bounded(async {
        let backend = Backend::tcp("").await;
        for port in [TCP, DETECT] {
            let mut shop = Shop::new(backend.address);
            only(&mut shop, port, backend.address.port());
            shop.mesh.put(vec![permissive()]);
            assert_eq!(echo(shop.tunnel).await, b"ping", "{port}");
            let mut open = TcpStream::connect(shop.tunnel).await.unwrap();
            open.write_all(b"ping").await.unwrap();
            let mut back = [0; 4];
            open.read_exact(&mut back).await.unwrap();
            shop.mesh.put(vec![settings(DefaultAccess::AllowMeshed, Mtls::Strict, vec![])]);
            let mut rest = Vec::new();
            let _ = open.read_to_end(&mut rest).await;
            assert!(rest.is_empty());
            assert_eq!(shop.catalog.failed("access_denied").await["verdict_by"], "MeshConfig shop/default");
            assert_ne!(echo(shop.tunnel).await, b"ping");
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_waits_for_its_next_request_ends_when_strict_comes_back() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        only(&mut shop, HTTP, backend.address.port());
        shop.mesh.put(vec![permissive()]);
        let mut idle = TcpStream::connect(shop.tunnel).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nhost: catalog\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        idle.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        assert_eq!(shop.catalog.record().await["response_code"], 200);
        shop.mesh.put(vec![settings(DefaultAccess::AllowMeshed, Mtls::Strict, vec![])]);
        // It ends, long before an idle connection would.
        let _ = idle.read_to_end(&mut Vec::new()).await;
        assert_eq!(shop.catalog.failed("access_denied").await["verdict_by"], "MeshConfig shop/default");
    })
    .await;
}

#[tokio::test]
async fn where_several_ports_are_called_plaintext_says_none_of_them() {
    bounded(async {
        let (backend, other) = (Backend::http("catalog").await, Backend::http("admin").await);
        let mut shop = Shop::new(backend.address);
        let mut all = resources::catalog(&[Place::organza("catalog-1", shop.tunnel, backend.address.port())]);
        for resource in &mut all {
            if let Resource::Endpoints(endpoints) = resource {
                let mut one = Endpoints::clone(endpoints);
                one.endpoints[0].ports[1].1 = other.address.port();
                *endpoints = Arc::new(one);
            }
        }
        all.push(permissive());
        shop.mesh.put(all);
        assert_eq!(get(shop.tunnel, "/").await, None);
        assert_eq!(shop.catalog.failed("misdirected_request").await["security"], "none");
        assert_eq!((backend.requests(), other.requests()), (0, 0));
    })
    .await;
}
