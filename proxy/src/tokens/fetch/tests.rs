use super::Course;
use crate::limits;
use crate::tests::Mesh;
use crate::tests::quiet::{Network, on, took};
use model::backend::ExternalName;
use model::token::KeysUrl;
use std::time::{Duration, Instant};

#[test]
fn keys_are_fetched_at_once_then_seldom_and_after_failures_ever_more_seldom() {
    let url = KeysUrl { host: ExternalName::Address([127, 0, 0, 1].into()), port: 80, path: "/".into(), tls: None };
    let now = Instant::now();
    let course = |last, failures| Course { url: url.clone(), last, failures };
    let pause = |failures, wanted| course(Some(now), failures).due(wanted, now).saturating_duration_since(now);
    assert_eq!(course(None, 0).due(false, now), now);
    assert_eq!((pause(0, false), pause(0, true)), (limits::KEYS_REFRESH, limits::KEYS_AGAIN));
    assert_eq!((pause(1, true), pause(2, false), pause(3, true)), (Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)));
    assert_eq!(pause(u32::MAX, true), limits::KEYS_RETRY_MAX);
}

#[test]
fn an_issuer_has_so_long_to_tell_its_keys() {
    let url = KeysUrl { host: ExternalName::Address([10, 0, 0, 1].into()), port: 80, path: "/".into(), tls: None };
    on(Network::Silent, async {
        let web = Mesh::new().proxy("web");
        let (fetched, time) = took(super::fetch(&web.worker, &url)).await;
        assert!(fetched.is_err_and(|why| why.starts_with("no answer")));
        assert_eq!(time, limits::KEYS_TIME);
    });
}
