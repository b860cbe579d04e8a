//! The balancers of one worker, by service and subset. What was measured of an endpoint outlives every table and every other endpoint.

use crate::limits;
use crate::map::Map;
use crate::snapshot::Snapshot;
use model::{Endpoint, Labels, Service, ServiceRef};
use routing::balance::{Balancer, EndpointId, Outcome};
use std::time::{Duration, Instant};

type Place = (model::Key, Option<Labels>);

#[derive(Default)]
pub struct Balancers(Map<Place, Balancer>);

/// An endpoint that was picked, and how to report back of it.
#[derive(Debug, Clone)]
pub struct Picked<'t> {
    pub endpoint: &'t Endpoint,
    place: Place,
    pub id: EndpointId,
}

impl Balancers {
    /// An endpoint for a request; those in `tried` come last.
    #[allow(clippy::too_many_arguments)]
    pub fn pick<'t>(
        &mut self,
        snapshot: &'t Snapshot,
        service: &Service,
        to: &ServiceRef,
        tried: &[EndpointId],
        hash: Option<u64>,
        draw: u64,
        now: Instant,
    ) -> Option<Picked<'t>> {
        let endpoints = snapshot.endpoints_of(&to.service)?;
        let place = (to.service.clone(), to.subset.clone());
        if self.0.len() >= limits::LABELS && !self.0.contains_key(&place) {
            self.0.clear();
        }
        let balancer = self.0.entry(place.clone()).or_insert_with(|| Balancer::new(service.balancer.clone(), to.subset.clone()));
        balancer.update(endpoints);
        let id = balancer.pick(draw, now, hash, tried).or_else(|| balancer.pick(draw, now, hash, &[]))?;
        let name = &balancer.endpoint(id)?.id;
        let endpoint = endpoints.endpoints.iter().find(|e| e.id == *name)?;
        balancer.started(id);
        Some(Picked { endpoint, place, id })
    }

    pub fn ended(&mut self, picked: &Picked<'_>, outcome: Outcome, latency: Duration, now: Instant) {
        if let Some(balancer) = self.0.get_mut(&picked.place) {
            balancer.ended(picked.id, outcome, latency, now);
        }
    }
}
