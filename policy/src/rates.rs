//! How many requests may come: the limits of all rate policies by target, and the buckets that they count in. Buckets are shared by all who hold the
//! same limits, whatever thread asks, and go over to the next limits where policy, target and name are the same. Taking reads no clock. It never knows
//! who is told of a refusal, or how.

mod bucket;

use crate::attributes::{Attributes, Moment, Place, Request};
use crate::bucket::Map;
use crate::limits;
use crate::targets::Targets;
use bucket::{Buckets, Price};
use model::access::AccessTarget;
use model::rate::{CountBy, RateLimit, RatePolicy};
use model::{Key, SpiffeId};
use smallvec::SmallVec;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub struct Rates {
    targets: Targets<Vec<Limit>>,
    buckets: Map<(Key, AccessTarget, Arc<str>), Arc<Buckets>>,
}

#[derive(Debug)]
struct Limit {
    policy: Arc<RatePolicy>,
    at: usize,
    price: Price,
    buckets: Arc<Buckets>,
}

impl Limit {
    fn said(&self) -> &RateLimit {
        &self.policy.limits[self.at]
    }
}

/// A limit that has no room for the request.
#[derive(Debug, Clone, Copy)]
pub struct Exhausted<'r> {
    pub policy: &'r Arc<RatePolicy>,
    pub limit: &'r RateLimit,
    /// Until it has room for one.
    pub wait: Duration,
}

/// Names the limit, never who is counted.
impl fmt::Display for Exhausted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit {} of {} is reached: {}", self.limit.name, self.policy.origin.object, self.limit)
    }
}

/// Who is counted, as bytes.
type Who = SmallVec<[u8; limits::RATE_KEY_BYTES]>;

impl Rates {
    /// Goes on counting where `before` is.
    pub fn compile<'p>(policies: impl IntoIterator<Item = &'p Arc<RatePolicy>>, before: &Self) -> Self {
        let mut policies: Vec<_> = policies.into_iter().collect();
        policies.sort_by(|a, b| a.key.cmp(&b.key));
        let mut rates = Self::default();
        for policy in policies {
            for target in &policy.targets {
                for (at, limit) in policy.limits.iter().enumerate() {
                    let place = (policy.key.clone(), target.clone(), limit.name.clone());
                    if rates.buckets.contains_key(&place) {
                        continue;
                    }
                    let buckets = before.buckets.get(&place).cloned().unwrap_or_default();
                    rates.buckets.insert(place, buckets.clone());
                    rates.targets.set(target).push(Limit { policy: policy.clone(), at, price: Price::of(limit), buckets });
                }
            }
        }
        rates
    }

    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The limits that hold there, each with its policy.
    pub fn of(&self, place: &Place<'_>) -> Vec<(&Arc<RatePolicy>, &RateLimit)> {
        self.targets.sets(place).into_iter().flatten().map(|limit| (&limit.policy, limit.said())).collect()
    }

    /// Counts a request against every limit that holds there; what is not a request is not counted.
    ///
    /// # Errors
    /// The first limit that has no room for it. Then no limit has counted it.
    pub fn take(&self, place: &Place<'_>, of: &Attributes<'_>, now: Instant) -> Result<(), Exhausted<'_>> {
        let Moment::Request(request) = &of.moment else { return Ok(()) };
        if self.is_empty() {
            return Ok(());
        }
        let sets = self.targets.sets(place);
        let mut taken: SmallVec<[&Limit; limits::SETS]> = SmallVec::new();
        for limit in sets.iter().flat_map(|set| set.iter()) {
            if let Err(wait) = limit.buckets.take(&who(&limit.said().by, place, of.peer, request), limit.price, now) {
                for limit in taken {
                    limit.buckets.give_back(&who(&limit.said().by, place, of.peer, request), limit.price);
                }
                return Err(Exhausted { policy: &limit.policy, limit: limit.said(), wait });
            }
            taken.push(limit);
        }
        Ok(())
    }
}

/// Each part with its length before it, so that no two callers look alike; nothing where nobody is told apart.
fn who(by: &[CountBy], place: &Place<'_>, peer: Option<&SpiffeId>, request: &Request<'_>) -> Who {
    let mut who = Who::new();
    for one in by {
        match one {
            CountBy::Identity => match peer {
                Some(id) => {
                    [id.trust_domain().as_str(), id.namespace(), id.service_account()].iter().for_each(|p| part(&mut who, p.as_bytes()))
                }
                None => part(&mut who, b""),
            },
            CountBy::ClientAddress => match request.client.map(|client| client.to_canonical()) {
                Some(IpAddr::V4(v4)) => part(&mut who, &v4.octets()),
                Some(IpAddr::V6(v6)) => part(&mut who, &v6.octets()[..8]),
                None => who.push(0xff),
            },
            CountBy::Header(name) => match request.headers.get(name) {
                Some(value) => part(&mut who, value),
                None => who.push(0xff),
            },
            CountBy::Claim(path) => match request.token.and_then(|token| token.claims.iter().find(|claim| claim.path == *path)) {
                Some(claim) => {
                    who.push(claim.texts.len().min(0x7f) as u8);
                    claim.texts.iter().for_each(|text| part(&mut who, text.as_bytes()));
                }
                None => who.push(0xff),
            },
            CountBy::Consumer => match request.consumer {
                Some(consumer) => part(&mut who, consumer.name.as_bytes()),
                None => who.push(0xff),
            },
            CountBy::Route => match place {
                Place::Gateway { route: Some(route), .. } => {
                    [&*route.namespace, &*route.name].iter().for_each(|p| part(&mut who, p.as_bytes()));
                }
                Place::Gateway { route: None, .. } | Place::Workload { .. } => who.push(0xff),
            },
        }
        if who.len() > limits::RATE_KEY_BYTES {
            // Alike whatever it is: a caller must not make room by writing more.
            who.clear();
            who.push(0xfe);
            return who;
        }
    }
    who
}

/// What is longer than may be kept is cut, for it is too long all the same.
fn part(who: &mut Who, bytes: &[u8]) {
    let kept = &bytes[..bytes.len().min(limits::RATE_KEY_BYTES)];
    who.push((kept.len() >> 7) as u8 & 0x7f);
    who.push((kept.len() & 0x7f) as u8);
    who.extend_from_slice(kept);
}
