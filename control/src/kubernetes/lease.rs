//! Who of several control planes leads: one `Lease` (coordination.k8s.io/v1), held by who renews it. Times of other machines are not believed: a lease is
//! over when nobody has changed it for its whole length by our own clock. [`Election`] decides and knows no clock; [`run`] asks and writes.

use super::Cluster;
use crate::limits;
use crate::shell::{monotone, wall};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Name of the Lease, in the control plane's own namespace.
pub const NAME: &str = "organza-control";

/// Who leads, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    Nobody,
    Other,
    Us,
}

/// What tells one state of the lease from another.
type Record = (Option<String>, Option<MicroTime>, Option<i32>);

#[derive(Debug)]
pub struct Election {
    me: String,
    seen: Option<(Record, Instant)>,
    /// When the lease was looked at last.
    looked: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Another one leads.
    Wait,
    /// Nobody does (any more): write it as ours, the leader having changed so often before.
    Take { transitions: i32 },
    /// We do: write it anew.
    Renew,
}

impl Election {
    pub fn new(me: String) -> Self {
        Self { me, seen: None, looked: None }
    }

    pub fn decide(&mut self, there: Option<&LeaseSpec>, now: Instant) -> Step {
        // While nobody could look nobody could renew either: after an API server was away who led before has its time again, for proxies have their connections there.
        let before = self.looked.replace(now);
        if before.is_some_and(|before| now.duration_since(before) >= limits::LEASE_RENEW) {
            self.seen = None;
        }
        let Some(spec) = there else { return Step::Take { transitions: 0 } };
        let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty());
        let transitions = spec.lease_transitions.unwrap_or(0);
        let Some(holder) = holder else { return Step::Take { transitions: transitions.saturating_add(1) } };
        let record: Record = (Some(holder.clone()), spec.renew_time.clone(), spec.lease_transitions);
        let since = match &self.seen {
            Some((seen, since)) if *seen == record => *since,
            _ => {
                self.seen = Some((record, now));
                now
            }
        };
        if holder == self.me {
            return Step::Renew;
        }
        let length = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).map_or(limits::LEASE, Duration::from_secs);
        if now.duration_since(since) >= length { Step::Take { transitions: transitions.saturating_add(1) } } else { Step::Wait }
    }
}

/// Stands for election until dropped; `leads` tells whether we lead. Who cannot renew steps down before another may step up.
pub async fn run(cluster: &Cluster, leads: &watch::Sender<Lead>) {
    let api: Api<Lease> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let mut election = Election::new(cluster.replica.clone());
    let mut until: Option<Instant> = None;
    loop {
        let begun = monotone();
        // Who leads is done when the time is over, though the API server has not answered yet.
        let left = until.map(|until| until.saturating_duration_since(begun)).filter(|left| !left.is_zero());
        let patience = left.unwrap_or(limits::LEASE_RENEW);
        let stood: Result<Result<Lead, kube::Error>, _> = tokio::time::timeout(patience, stand(&api, &mut election, begun)).await;
        match &stood {
            Ok(Ok(Lead::Us)) => until = Some(begun + limits::LEASE_RENEW),
            Ok(Ok(_)) => until = None,
            Ok(Err(e)) => tracing::warn!("the lease {NAME}: {e}"),
            Err(_) => tracing::warn!("the lease {NAME}: the API server does not answer"),
        }
        let lead = match stood {
            Ok(Ok(Lead::Other)) => Lead::Other,
            _ if until.is_some_and(|until| monotone() < until) => Lead::Us,
            _ => Lead::Nobody,
        };
        if leads.send_if_modified(|before| std::mem::replace(before, lead) != lead) {
            tracing::info!("who leads: {lead:?}");
        }
        tokio::time::sleep(limits::LEASE_RETRY).await;
    }
}

/// One round; says who leads after it.
async fn stand(api: &Api<Lease>, election: &mut Election, now: Instant) -> Result<Lead, kube::Error> {
    let there = api.get_opt(NAME).await?;
    let spec = there.as_ref().map(|lease| lease.spec.clone().unwrap_or_default());
    let time = || Timestamp::try_from(wall()).ok().map(MicroTime);
    let (acquired, transitions) = match election.decide(spec.as_ref(), now) {
        Step::Wait => return Ok(Lead::Other),
        Step::Take { transitions } => (time(), Some(transitions)),
        Step::Renew => {
            let spec = spec.unwrap_or_default();
            (spec.acquire_time, spec.lease_transitions)
        }
    };
    let spec = LeaseSpec {
        holder_identity: Some(election.me.clone()),
        lease_duration_seconds: i32::try_from(limits::LEASE.as_secs()).ok(),
        acquire_time: acquired,
        renew_time: time(),
        lease_transitions: transitions,
        ..LeaseSpec::default()
    };
    let written = match there {
        // Carries the version that was read: of two that write at once one is refused.
        Some(lease) => api.replace(NAME, &PostParams::default(), &Lease { spec: Some(spec), ..lease }).await,
        None => {
            let metadata = ObjectMeta { name: Some(NAME.into()), ..ObjectMeta::default() };
            api.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await
        }
    };
    match written {
        Ok(_) => Ok(Lead::Us),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Lead::Nobody),
        Err(e) => Err(e),
    }
}

/// Gives the lease back, so that the next one need not wait. Nobody minds if that fails or takes too long.
pub async fn leave(cluster: &Cluster) {
    let _ = tokio::time::timeout(limits::LEASE_LEAVE, give_back(cluster)).await;
}

async fn give_back(cluster: &Cluster) {
    let api: Api<Lease> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let Ok(Some(mut lease)) = api.get_opt(NAME).await else { return };
    let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_ref() == Some(&cluster.replica)) else { return };
    spec.holder_identity = None;
    if let Err(e) = api.replace(NAME, &PostParams::default(), &lease).await {
        tracing::debug!("the lease {NAME} is not given back: {e}");
    }
}

#[cfg(test)]
mod tests;
