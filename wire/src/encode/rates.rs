//! How much may be asked of whom, as bytes.

use super::access::target;
use super::route::nanos;
use super::{origin, text, texts};
use crate::v1;
use model::rate::{CountBy, RateLimit, RatePolicy};

pub(super) fn policy(r: &RatePolicy) -> v1::RatePolicy {
    v1::RatePolicy {
        key: text(&r.key),
        origin: Some(origin(&r.origin)),
        targets: r.targets.iter().map(target).collect(),
        limits: r.limits.iter().map(limit).collect(),
    }
}

fn limit(limit: &RateLimit) -> v1::RateLimit {
    v1::RateLimit {
        name: text(&limit.name),
        requests: limit.requests,
        window_nanos: nanos(limit.window),
        burst: limit.burst,
        by: limit.by.iter().map(by).collect(),
    }
}

fn by(by: &CountBy) -> v1::CountBy {
    use v1::count_by::{By, Claim, ClientAddress, Consumer, Identity, Route};
    let by = match by {
        CountBy::Identity => By::Identity(Identity {}),
        CountBy::ClientAddress => By::ClientAddress(ClientAddress {}),
        CountBy::Header(name) => By::Header(text(name)),
        CountBy::Route => By::Route(Route {}),
        CountBy::Claim(path) => By::Claim(Claim { path: texts(path) }),
        CountBy::Consumer => By::Consumer(Consumer {}),
    };
    v1::CountBy { by: Some(by) }
}
