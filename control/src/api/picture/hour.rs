//! The last hour of a node, an edge, a workload or a route, by ten seconds, added up as the graph adds it up.

use super::{Place, Places, Routed, edge_id, figures, strangers};
use crate::core::{Core, now, seconds};
use crate::limits;
use telemetry::{EdgeId, EdgeTotals};
use wire::api::{self, NodeKind};

/// Whose hour is told; nodes and edges by their ids, a workload as `NAMESPACE/NAME`.
#[derive(Debug, Clone, Copy)]
pub enum Of<'o> {
    Node(&'o str),
    Edge(&'o str),
    Workload(&'o str),
    Route(&'o Routed),
}

impl Of<'_> {
    /// Whether a call is of it, as its figures are told: what it was asked, of whom nobody calls what it sent.
    fn has(self, id: &EdgeId, (source, destination): &(Place, Option<Place>)) -> bool {
        let protocol = id.protocol.as_str();
        let from_outside = (source.kind == NodeKind::Gateway).then(|| (strangers(), source.clone(), protocol));
        match self {
            Self::Node(node) => {
                let sends = source.kind != NodeKind::Service && source.id() == node || node == strangers().id() && from_outside.is_some();
                sends || destination.as_ref().is_some_and(|place| place.id() == node)
            }
            Self::Edge(edge) => {
                let is_edge = |destination: &Place| edge_id(&(source.clone(), destination.clone(), protocol)) == edge;
                let inner = destination.as_ref().is_some_and(is_edge);
                inner || from_outside.is_some_and(|key| edge_id(&key) == edge)
            }
            Self::Route(route) => route.has(id, source),
            Self::Workload(workload) => {
                let is = |namespace: &str, name: &str| workload.split_once('/') == Some((namespace, name));
                let sends = source.kind != NodeKind::Service && is(&id.source_namespace, &id.source_workload);
                sends || is(&id.destination_namespace, &id.destination_workload)
            }
        }
    }
}

/// The last hour of one of them; nothing where nobody is called so.
pub fn history(core: &Core, of: Of<'_>) -> api::History {
    let world = core.world();
    let inner = core.lock();
    let time = seconds(now());
    let hour = limits::SLOT_SECONDS * limits::SLOTS as u64;
    let places = Places::of(&world, &inner.registry);
    // Mapping an edge to its nodes costs more than adding it up does, but is asked once for each, not for each slot.
    let pair = |id: &EdgeId| {
        let ends = places.ends(id);
        of.has(id, &ends).then(|| (ends, id.protocol.as_str()))
    };
    let slots = inner.graph.history(time.saturating_sub(hour), pair);
    let point = |(start, counts): (u64, EdgeTotals)| api::Point { time: start, figures: figures(&counts, limits::SLOT_SECONDS as f64) };
    api::History { time, slot_seconds: limits::SLOT_SECONDS, points: slots.into_iter().map(point).collect() }
}
