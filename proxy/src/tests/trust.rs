//! Whom a connection is shared with, and whose word is believed.

use super::resources::{self, HTTP, Place, TCP};
use super::{Shop, bounded, id, key};
use crate::upstream::{self, UpstreamKey, Via};
use model::{Fault, Kind, Resource};
use std::sync::Arc;
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use transport::preface::Framing;

#[tokio::test]
async fn connections_are_shared_only_where_the_same_identity_is_expected() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        for _ in 0..2 {
            assert_eq!(fetch(&Shot::get(door, "catalog", "/")).await.unwrap().0.as_u16(), 200);
        }
        // The service moves to another identity; who is at the old address has not moved, and a connection to it lies in the pool.
        let place = Place { identity: Some(id("moved")), ..Place::organza("catalog-1", shop.tunnel, backend.address.port()) };
        let moved = resources::catalog(&[place]).into_iter().map(|resource| match resource {
            Resource::Service(service) => {
                Resource::Service(Arc::new(model::Service { identities: vec![id("moved")], ..(*service).clone() }))
            }
            other => other,
        });
        shop.mesh.put(moved.collect());
        assert_eq!(fetch(&Shot::get(door, "catalog", "/")).await.unwrap().0.as_u16(), 503);
        assert_eq!(backend.requests(), 2, "the old connection is not for those who expect somebody else");
        let faults: Vec<_> = [shop.web.record().await, shop.web.record().await, shop.web.record().await].map(|r| r["fault"].clone()).into();
        assert_eq!(faults[2], "identity_mismatch");
    })
    .await;
}

#[tokio::test]
async fn a_service_that_this_workload_does_not_back_is_not_believed() {
    bounded(async {
        let backend = Backend::tcp("hello\n").await;
        let mut shop = Shop::new(backend.address);
        // Another service of the mesh, which another workload backs at the very port where catalog's application listens.
        shop.mesh.put(resources::service("reviews", &[Place::organza("reviews-1", shop.tunnel, backend.address.port())]));
        let dial = async |service: &str| {
            let via = Via::Organza { expected: [id("catalog")].into(), service: key(Kind::Service, service), port: TCP };
            let mut up =
                shop.web.worker.connect(UpstreamKey { address: shop.tunnel, via, framing: Framing::Tcp, counted: None }, true).await?;
            up.pooled.connection.writer.flush().await.unwrap();
            upstream::welcome(&mut up.pooled.connection.reader).await
        };
        assert!(dial("catalog").await.is_ok());
        for forged in ["reviews", "nobody"] {
            assert_eq!(dial(forged).await.unwrap_err().fault, Fault::MisdirectedRequest, "{forged}");
        }
        assert_eq!(backend.requests(), 1);
    })
    .await;
}
