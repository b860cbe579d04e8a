//! What a control plane tells a scraper of itself: numbers, and names of kinds. Of what is in the mesh it tells nothing else, for anybody may ask.

use crate::core::Core;
use crate::serve::room::TurnedAway;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::get;
use model::Severity;
use std::collections::BTreeMap;
use std::sync::Arc;
use telemetry::{Exposition, Metrics};
use tokio::sync::watch;

/// `/metrics`, in words that Prometheus reads. `serving`: whether proxies are served, which the replica does that leads.
pub fn router(core: Arc<Core>, serving: watch::Receiver<bool>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state((core, serving))
}

async fn metrics(State((core, serving)): State<(Arc<Core>, watch::Receiver<bool>)>, asked: HeaderMap) -> impl IntoResponse {
    let accept = asked.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let exposition = Exposition::accepted(accept);
    let serving = *serving.borrow();
    ([(header::CONTENT_TYPE, exposition.content_type())], now(&core, serving).encode_as(exposition))
}

/// Made anew each time, so that what is no more is told no more.
fn now(core: &Core, serving: bool) -> Metrics {
    let metrics = Metrics::new();
    let set = |name, help, labels: &[(&'static str, &str)], value: f64| metrics.gauge(name, help, labels).set(value);
    let world = core.world();
    set("organza_control_generation", "Generation of the configuration in force", &[], world.generation as f64);
    let encoded = "Resources that were encoded for proxies, each once for all of them";
    metrics.counter("organza_control_encoded", encoded, &[]).add(world.encoded as f64);
    set("organza_control_serving", "Whether this replica serves proxies: 1, or 0", &[], f64::from(u8::from(serving)));
    let unnamed = "Reports of proxies that were refused, and told once more, for they told an edge by a number that was not named";
    let (connected, current) = {
        let inner = core.lock();
        metrics.counter("organza_control_reports_unnamed", unnamed, &[]).add(inner.graph.unnamed() as f64);
        let connected = || inner.sessions.values().filter(|session| session.connected);
        (connected().count(), connected().filter(|session| session.current >= world.generation).count())
    };
    let proxies = "Proxies that are connected, and of them those that have the generation in force";
    set("organza_control_proxies", proxies, &[("have", "connection")], connected as f64);
    set("organza_control_proxies", proxies, &[("have", "generation")], current as f64);
    let ended = "Connections of proxies that ended for want of room: the eldest of so many by one certificate, or of who shows none";
    let TurnedAway { members, strangers } = core.room.turned_away();
    for (of, count) in [("member", members), ("stranger", strangers)] {
        metrics.counter("organza_control_connections_crowded", ended, &[("of", of)]).add(count as f64);
    }
    for ((severity, kind), count) in problems(core) {
        let labels = [("severity", severity), ("kind", &*kind)];
        set("organza_control_problems", "What is wrong with objects, by their kind", &labels, count);
    }
    metrics
}

/// How many there are of each severity and kind; of each severity none, where there are none: an alert needs a line to look at.
fn problems(core: &Core) -> BTreeMap<(&'static str, String), f64> {
    let mut counts = BTreeMap::from(["error", "warning"].map(|severity| ((severity, String::new()), 0.0)));
    let world = core.world();
    let of_objects = world.problems().map(|report| (report.severity == Severity::Error, report.object.kind.to_string()));
    let inner = core.lock();
    // Theirs is a name for people, which begins with the kind.
    let others = inner.problems.iter().filter(|problem| problem.severity != wire::api::Severity::Note).map(|problem| {
        let kind = problem.object.split(' ').next().unwrap_or_default();
        (problem.severity == wire::api::Severity::Error, kind.to_owned())
    });
    for (is_error, kind) in of_objects.chain(others) {
        *counts.entry((if is_error { "error" } else { "warning" }, kind)).or_default() += 1.0;
    }
    counts
}

#[cfg(test)]
mod tests;
