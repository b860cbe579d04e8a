//! Endpoints near and far: who is called while all are well, and who when the near ones die and come back.

use super::checks::{check, checking, http, left_out};
use super::guard::{Moody, catalog};
use super::resources::{HTTP, Place};
use super::{Mesh, Proxy, bounded};
use model::traffic::TrafficPolicy;
use model::{Endpoint, Locality, Nearest, Resource};
use std::net::SocketAddr;
use std::sync::Arc;
use testkit::client::{Shot, fetch};

/// Catalog at these places (`region/zone`), for a caller in eu/eu-1.
fn scene(places: &[(&'static str, &Moody, &str)], nearest: Option<Nearest>) -> (Proxy, SocketAddr) {
    set_up(places, nearest, |endpoint, place| endpoint.locality = Locality::parse(place).unwrap())
}

/// Catalog at endpoints of which each is made what the third says.
fn set_up<T>(all: &[(&'static str, &Moody, T)], nearest: Option<Nearest>, make: impl Fn(&mut Endpoint, &T)) -> (Proxy, SocketAddr) {
    let mut mesh = Mesh::new();
    let mut web = mesh.proxy("web");
    let door = web.named("catalog", HTTP);
    let at: Vec<Place> = all.iter().map(|(name, moody, _)| Place::plain(name, moody.address.port())).collect();
    let policy = TrafficPolicy { health: Some(checking(http())), ..TrafficPolicy::default() };
    let mut resources = catalog(&at, Some(policy));
    for resource in &mut resources {
        match resource {
            Resource::Service(service) => Arc::make_mut(service).nearest = nearest,
            Resource::Endpoints(set) => {
                for (endpoint, (.., what)) in Arc::make_mut(set).endpoints.iter_mut().zip(all) {
                    make(endpoint, what);
                }
            }
            _ => {}
        }
    }
    mesh.put(resources);
    (web, door)
}

async fn calls(door: SocketAddr, count: usize) {
    for _ in 0..count {
        assert_eq!(fetch(&Shot::get(door, "catalog", "/")).await.unwrap().0, 200);
    }
}

#[tokio::test]
async fn the_own_zone_first_then_the_region_then_everywhere_and_back() {
    bounded(async {
        let (near, region, far) = (Moody::new("a").await, Moody::new("b").await, Moody::new("c").await);
        let requests = || (near.requests(), region.requests(), far.requests());
        let places = [("a", &near, "eu/eu-1"), ("b", &region, "eu/eu-2"), ("c", &far, "us/us-1")];
        let (_all, door) = scene(&places, None);
        calls(door, 9).await;
        assert_eq!(requests(), (3, 3, 3), "nobody asked for near ones");
        let (web, door) = scene(&places, Some(Nearest::Zone));
        check(&web);
        calls(door, 10).await;
        assert_eq!(requests(), (13, 3, 3));
        near.health(503);
        left_out(&web, &["a"]).await;
        calls(door, 10).await;
        assert_eq!(requests(), (13, 13, 3));
        region.health(503);
        left_out(&web, &["a", "b"]).await;
        calls(door, 10).await;
        assert_eq!(requests(), (13, 13, 13));
        near.health(200);
        left_out(&web, &["b"]).await;
        calls(door, 10).await;
        assert_eq!(requests(), (23, 13, 13));
    })
    .await;
}

#[tokio::test]
async fn a_zone_that_is_too_small_gives_away_what_it_cannot_carry() {
    bounded(async {
        let near = [Moody::new("a").await, Moody::new("b").await];
        let far = Moody::new("c").await;
        let (web, door) = scene(&[("a", &near[0], "eu/eu-1"), ("b", &near[1], "eu/eu-1"), ("c", &far, "us/us-1")], Some(Nearest::Zone));
        check(&web);
        calls(door, 20).await;
        assert_eq!((near[0].requests(), near[1].requests(), far.requests()), (10, 10, 0));
        near[1].health(503);
        left_out(&web, &["b"]).await;
        calls(door, 200).await;
        // One of two carries 70 % of what both do.
        assert!((35..=85).contains(&far.requests()), "{} of 200 went far", far.requests());
        assert_eq!(near[0].requests() + far.requests(), 210);
    })
    .await;
}

#[tokio::test]
async fn a_lower_priority_takes_over_what_is_missing_and_gives_it_back() {
    bounded(async {
        let (first, second) = (Moody::new("a").await, Moody::new("b").await);
        let (web, door) = set_up(&[("a", &first, 0), ("b", &second, 1)], None, |endpoint, priority| endpoint.priority = *priority);
        check(&web);
        calls(door, 10).await;
        assert_eq!((first.requests(), second.requests()), (10, 0));
        first.health(503);
        left_out(&web, &["a"]).await;
        calls(door, 10).await;
        assert_eq!((first.requests(), second.requests()), (10, 10));
        first.health(200);
        left_out(&web, &[]).await;
        calls(door, 10).await;
        assert_eq!((first.requests(), second.requests()), (20, 10));
    })
    .await;
}
