//! How many requests may come, over real connections: what callers and operators are told, that workers count together, and that what is denied
//! counts nothing.

use super::access::{any_of, path, policy as access};
use super::grpc::{answer, client, post};
use super::resources::{self, GRPC, HTTP};
use super::{Shop, bounded, key};
use model::access::{AccessTarget, Action};
use model::rate::{CountBy, RateLimit, RatePolicy};
use model::{Kind, ObjectRef, Origin, Resource, Target};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use transport::body::Length;

/// So long that nothing comes back while a test runs.
const WINDOW: Duration = Duration::from_secs(100_000);

fn policy(target: AccessTarget, burst: u32, by: &[CountBy]) -> Resource {
    let limit = RateLimit { name: "few".into(), requests: 10, window: WINDOW, burst, by: by.to_vec() };
    Resource::RateLimit(Arc::new(RatePolicy {
        key: key(Kind::RateLimit, "ratelimitpolicy.p"),
        origin: Origin::new(ObjectRef::new("organza.dev", "RateLimitPolicy", "shop", "p"), ""),
        targets: vec![target],
        limits: vec![limit],
    }))
}

fn on_catalog() -> AccessTarget {
    AccessTarget::Service { service: key(Kind::Service, "catalog"), port: None }
}

/// A token comes back each 10,000 s, of which a test is a small part.
fn is_one_token(wait: &str) -> bool {
    wait.parse::<u64>().is_ok_and(|seconds| (9_900..=10_000).contains(&seconds))
}

async fn get(door: SocketAddr, path: &str) -> (u16, http::HeaderMap, String) {
    let (status, headers, body) = fetch(&Shot::get(door, "catalog", path)).await.unwrap();
    (status.as_u16(), headers, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn what_is_over_the_limit_is_told_in_every_protocol() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        shop.mesh.put(vec![policy(on_catalog(), 2, &[])]);
        let door = shop.web.named("catalog", HTTP);
        assert_eq!((get(door, "/").await.0, get(door, "/").await.0), (200, 200));
        let (status, headers, body) = get(door, "/").await;
        assert_eq!(status, 429);
        assert_eq!(headers["ratelimit-policy"], "\"few\";q=10;w=100000");
        let wait = headers["retry-after"].to_str().unwrap();
        assert!(is_one_token(wait), "{wait}");
        assert_eq!(headers["ratelimit"], format!("\"few\";r=0;t={wait}"));
        assert!(headers["proxy-status"].to_str().unwrap().starts_with("catalog; error=http_request_denied"), "{headers:?}");
        assert_eq!(body, "rate_limited: limit few of RateLimitPolicy shop/p is reached: 10 requests in 100000s, 2 at once\n");
        let grpc = client(shop.web.named("catalog", GRPC)).await;
        let (_up, mut reply) = grpc.request(&post("catalog", "/books.Books/Get", true), Length::None).unwrap();
        let (head, _) = answer(&mut reply).await.unwrap();
        assert_eq!(head.headers.text("grpc-status"), Some("8"));
        assert!(head.headers.text("retry-after").is_some_and(is_one_token));
        let refused = shop.catalog.failed("rate_limited").await;
        assert_eq!((&refused["fault"], &refused["response_flags"]), (&"rate_limited".into(), &"RL".into()));
        assert_eq!((&refused["verdict_by"], &refused["verdict_rule"]), (&"RateLimitPolicy shop/p".into(), &"few".into()));
        let metrics = shop.catalog.worker.shared.metrics.encode();
        assert!(metrics.contains("organza_rate_limited_total{policy=\"RateLimitPolicy shop/p\",limit=\"few\"} 2"), "{metrics}");
        assert_eq!(backend.requests(), 2);
    })
    .await;
}

#[tokio::test]
async fn callers_are_counted_apart_and_what_is_denied_is_not_counted() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let mut dev = shop.mesh.proxy("dev");
        let deny = access("no-admin", Action::Deny, on_catalog(), vec![any_of([path("/admin")])]);
        shop.mesh.put(vec![policy(on_catalog(), 1, &[CountBy::Identity]), deny]);
        let (ours, theirs) = (shop.web.named("catalog", HTTP), dev.named("catalog", HTTP));
        for _ in 0..3 {
            assert_eq!(get(ours, "/admin").await.0, 403);
        }
        assert_eq!((get(ours, "/").await.0, get(theirs, "/").await.0), (200, 200));
        assert_eq!((get(ours, "/").await.0, get(theirs, "/").await.0), (429, 429));
        // A change of anything else forgets nothing; one of the limit counts on.
        shop.mesh.put(vec![access("no-admin", Action::Deny, on_catalog(), vec![any_of([path("/other")])])]);
        assert_eq!(get(ours, "/").await.0, 429);
        shop.mesh.put(vec![policy(on_catalog(), 2, &[CountBy::Identity])]);
        assert_eq!((get(ours, "/").await.0, get(ours, "/").await.0), (200, 429));
    })
    .await;
}

#[tokio::test]
async fn workers_of_a_gateway_count_together_and_strangers_are_told_the_fields_alone() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        let listener = key(Kind::Listener, "edge.web");
        shop.mesh.put(vec![resources::listener(80, None), resources::route(Target::Listener(listener.clone()), rule)]);
        shop.mesh.put(vec![policy(AccessTarget::Listener(listener), 5, &[CountBy::ClientAddress, CountBy::Route])]);
        // Workers of one proxy have its snapshot in common, as these do.
        let mut workers = [shop.mesh.proxy("gateway"), shop.mesh.proxy("gateway")];
        let doors = workers.each_mut().map(|worker| worker.gateway(80));
        let mut statuses = Vec::new();
        for i in 0..8 {
            statuses.push(get(doors[i % 2], "/").await.0);
        }
        assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
        let (_, headers, body) = get(doors[0], "/").await;
        assert_eq!(body, "rate_limited\n");
        assert!(headers["ratelimit"].to_str().unwrap().strip_prefix("\"few\";r=0;t=").is_some_and(is_one_token), "{headers:?}");
    })
    .await;
}
