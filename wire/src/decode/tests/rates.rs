//! A rate policy, every word said; and what is no limit.

use super::{key, origin};
use crate::{DecodeError, decode, encode};
use model::access::AccessTarget;
use model::rate::{CountBy, RateLimit, RatePolicy};
use model::{Kind, Resource};
use std::sync::Arc;
use std::time::Duration;

pub fn policy() -> RatePolicy {
    let by = vec![
        CountBy::Identity,
        CountBy::ClientAddress,
        CountBy::Header("x-user".into()),
        CountBy::Route,
        CountBy::Consumer,
        CountBy::Claim(vec!["a".into(), "b".into()]),
    ];
    let limit = RateLimit { name: "per-caller".into(), requests: 100, window: Duration::from_secs(60), burst: 200, by };
    RatePolicy {
        key: key(Kind::RateLimit, "ratelimitpolicy.orders"),
        origin: origin("RateLimitPolicy"),
        targets: vec![AccessTarget::Gateway(key(Kind::Gateway, "edge"))],
        limits: vec![limit.clone(), RateLimit { name: "all".into(), by: vec![], ..limit }],
    }
}

#[test]
fn what_is_no_limit_is_refused_by_its_field() {
    type Spoil = fn(&mut RateLimit);
    let cases: [(Spoil, &str); 4] = [
        (|limit| limit.requests = 0, "limits[0].requests"),
        (|limit| limit.burst = 0, "limits[0].burst"),
        (|limit| limit.name = "a\"b".into(), "limits[0].name"),
        (|limit| limit.by = vec![CountBy::Header("x y".into())], "limits[0].by[0].header"),
    ];
    for (spoil, path) in cases {
        let mut policy = policy();
        spoil(&mut policy.limits[0]);
        let refused = decode(&encode(&Resource::RateLimit(Arc::new(policy))));
        assert!(matches!(&refused, Err(DecodeError::Field { field, .. }) if field == path), "{path}: {refused:?}");
    }
}
