//! How many requests may come. Rate policies are held here as the control plane told them; `policy` counts, at the one place of each request where
//! access is judged too, once it is allowed. Buckets are those of the snapshot before, so that all workers share them and a change forgets nothing.

use crate::access::{self, At, Called, Standing};
use crate::http::Stop;
use crate::map::{self, Map};
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use model::rate::RatePolicy;
use model::{Change, Fault, Key, Kind, RequestHead, Resource};
use policy::Moment;
use policy::rates::Exhausted;
use std::sync::Arc;
use std::time::Duration;
use transport::rt;

/// The rate policies of one snapshot, ready to count.
#[derive(Default)]
pub struct Rates {
    policies: Map<Key, Arc<RatePolicy>>,
    rates: policy::Rates,
}

impl Rates {
    /// As it is after these changes; `None` where none of them is its business.
    pub fn after(&self, changes: &[Change]) -> Option<Self> {
        let policies = map::after(&self.policies, Kind::RateLimit, changes, |put| match put {
            Resource::RateLimit(said) => Some(said.clone()),
            _ => None,
        })?;
        let rates = policy::Rates::compile(policies.values(), &self.rates);
        Some(Self { policies, rates })
    }
}

/// Counts a request that access allows.
///
/// # Errors
/// If a limit has no room for it.
pub fn take(worker: &Worker, snapshot: &Snapshot, standing: &Standing<'_>, head: &RequestHead) -> Result<(), Stop> {
    let rates = &snapshot.rates.rates;
    if rates.is_empty() {
        return Ok(());
    }
    let called = access::called(worker, snapshot, standing);
    let (place, ports) = access::place(snapshot, standing, &called)?;
    let mut buffer = [0; model::limits::HOSTNAME_BYTES];
    let moment = Moment::Request(access::of_head(head, standing, access::host(head, &mut buffer)));
    let of = access::attributes(standing, ports, moment);
    rates.take(&place, &of, rt::now()).map_err(|exhausted| refused(worker, &exhausted))
}

fn refused(worker: &Worker, exhausted: &Exhausted<'_>) -> Stop {
    let (policy, limit) = (exhausted.policy.origin.object.to_string(), &exhausted.limit.name);
    worker.shared.metrics.verdict(telemetry::Verdict::Limited, &policy, limit).add(1.0);
    let seconds = whole_seconds(exhausted.wait);
    let fields = vec![
        ("RateLimit-Policy", format!("\"{limit}\";q={};w={}", exhausted.limit.requests, whole_seconds(exhausted.limit.window)).into()),
        ("RateLimit", format!("\"{limit}\";r=0;t={seconds}").into()),
        ("Retry-After", seconds.to_string().into()),
    ];
    Stop { by: Some(policy.into()), rule: Some(limit.clone()), fields, ..Stop::new(Fault::RateLimited, exhausted.to_string()) }
}

/// Rounded up: who comes then is not refused again for having come too early.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// The limits that hold there, in words; for those who ask what would become of a request.
pub fn of(snapshot: &Snapshot, standing: &Standing<'_>) -> Vec<String> {
    let called = match standing.at {
        At::Workload { workload, port } => Called::of(snapshot, workload, port),
        At::Gateway { .. } => Called::default(),
    };
    // Where the workload is not known nothing is said of it.
    let Ok((place, _)) = access::place(snapshot, standing, &called) else { return Vec::new() };
    let limits = snapshot.rates.rates.of(&place);
    limits.into_iter().map(|(policy, limit)| format!("{} of {}: {limit}", limit.name, policy.origin.object)).collect()
}
