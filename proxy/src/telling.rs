//! What is told of requests here, as policies of telemetry have it: compiled when one changes, looked up by route and service. A proxy is sent the
//! policies that concern it alone, so that those of the mesh, its namespace and its gateway are one value.

use crate::map::{self, Map};
use model::telemetry::{Lines, TelemetryPolicy, TelemetrySettings, TelemetryTarget};
use model::{Change, Key, Kind, RequestHead, Resource};
use routing::{header_holds, match_holds};
use std::sync::Arc;
use telemetry::headers::Wanted;
use telemetry::{Sampling, Tell};

#[derive(Debug, Default)]
pub struct Telling {
    policies: Map<Key, Arc<TelemetryPolicy>>,
    /// Of the mesh, the namespace and the gateway.
    base: TelemetrySettings,
    at_first: Tell,
    services: Map<Key, TelemetrySettings>,
    routes: Map<Key, TelemetrySettings>,
}

impl Telling {
    /// As it is after these changes; `None` where none of them is its business.
    pub fn after(&self, changes: &[Change]) -> Option<Self> {
        let policies = map::after(&self.policies, Kind::Telemetry, changes, |put| match put {
            Resource::Telemetry(said) => Some(said.clone()),
            _ => None,
        })?;
        Some(Self::compile(policies))
    }

    fn compile(policies: Map<Key, Arc<TelemetryPolicy>>) -> Self {
        let mut wide: Vec<&Arc<TelemetryPolicy>> = policies.values().collect();
        // The nearest last; the order of targets is that of their width.
        wide.sort_by(|a, b| (&a.target, &a.key.name).cmp(&(&b.target, &b.key.name)));
        let mut telling = Self::default();
        for policy in wide {
            let says = policy.says.clone();
            match &policy.target {
                TelemetryTarget::Mesh | TelemetryTarget::Namespace(_) | TelemetryTarget::Gateway(_) => {
                    telling.base = says.over(&telling.base)
                }
                TelemetryTarget::Service(key) => _ = telling.services.insert(key.clone(), says),
                TelemetryTarget::Route(key) => _ = telling.routes.insert(key.clone(), says),
            }
        }
        telling.at_first = tell([None, None, Some(&telling.base)]);
        if telling.base.matches.is_some() {
            // What was never a request is matched by nothing.
            telling.at_first.lines = Lines::Nothing;
        }
        telling.policies = policies;
        telling
    }

    /// What holds for all that this proxy carries.
    pub fn base(&self) -> &TelemetrySettings {
        &self.base
    }

    /// What holds of whatever no route was decided for.
    pub fn at_first(&self) -> &Tell {
        &self.at_first
    }

    /// Label sets that there may be.
    pub fn series(&self) -> usize {
        self.base.series.map_or(telemetry::limits::SERIES, |most| most as usize)
    }

    /// What holds of a request, once it is known what it calls, and whether a trace that begins with it is recorded. `None`: what holds for all.
    pub fn of(&self, route: Option<&Key>, service: Option<&Key>, head: &RequestHead) -> (Option<Tell>, Sampling) {
        if self.policies.is_empty() {
            return (None, Sampling::default());
        }
        let nearest = [route.and_then(|key| self.routes.get(key)), service.and_then(|key| self.services.get(key)), Some(&self.base)];
        let always = nearest.into_iter().flatten().find_map(|says| says.always.as_deref());
        let sampling = match always.is_some_and(|any| any.iter().any(|wanted| header_holds(wanted, head))) {
            true => Sampling::Share(telemetry::trace::WHOLE),
            false => find(nearest, |says| says.share).map_or(Sampling::Adaptive, Sampling::Share),
        };
        let mut tell = tell(nearest);
        let matches = nearest.into_iter().flatten().find_map(|says| says.matches.as_deref());
        if matches.is_some_and(|any| !any.iter().any(|wanted| match_holds(wanted, head))) {
            tell.lines = Lines::Nothing;
        }
        (Some(tell), sampling)
    }
}

fn tell(nearest: [Option<&TelemetrySettings>; 3]) -> Tell {
    Tell {
        slow: find(nearest, |says| says.slower).unwrap_or(telemetry::limits::SLOW),
        lines: find(nearest, |says| says.lines).unwrap_or(Lines::All),
        headers: Wanted {
            request: find(nearest, |says| says.request_headers.clone()),
            response: find(nearest, |says| says.response_headers.clone()),
        },
        redactions: find(nearest, |says| says.redactions.clone()),
        parents: find(nearest, |says| says.parents),
        traced: find(nearest, |says| says.traced).unwrap_or(true),
        format: find(nearest, |says| says.format),
        file: find(nearest, |says| says.file.clone()),
    }
}

fn find<T>(nearest: [Option<&TelemetrySettings>; 3], what: impl Fn(&TelemetrySettings) -> Option<T>) -> Option<T> {
    nearest.into_iter().flatten().find_map(what)
}

#[cfg(test)]
mod tests;
