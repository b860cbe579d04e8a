//! Consumers in the API's own words: who they are, and what they used of which API in the last month. Keys stay where they are needed.

use super::having::{Had, Having};
use super::told::{by_name, by_parents, labels};
use crate::consumption::{self, DAY};
use crate::core::Core;
use crate::limits;
use model::Resource;
use std::collections::HashMap;
use telemetry::ConsumedCounts;
use wire::api::{ConsumedApi, ConsumedDay, Consumer, ConsumerList, Used};

/// `days`: with what they used on each of them.
pub fn consumers(core: &Core, days: bool) -> ConsumerList {
    let world = core.world();
    let (objects, having) = (by_name(&world), Having::look(core));
    let statuses: HashMap<_, _> = world.statuses.iter().map(|status| (&status.object, &**status)).collect();
    let items = world.items.values().filter_map(|item| {
        let Resource::Consumer(said) = &item.resource else { return None };
        let (applied, concerned) = having.applied(&world, &[item]);
        let apis: Vec<_> = core.lock().consumption.of(&said.name()).map(|of| api(of, days)).collect();
        let mut sum = ConsumedCounts::default();
        apis.iter().for_each(|api| sum.add(&counts(api.used)));
        Some(Consumer {
            namespace: said.origin.object.namespace.to_string(),
            name: said.origin.object.name.to_string(),
            labels: objects.get(&said.origin.object).map(|object| labels(object)).unwrap_or_default(),
            groups: said.groups.iter().map(ToString::to_string).collect(),
            keys: u32::try_from(said.keys.len()).unwrap_or(u32::MAX),
            used: used(sum),
            first_seen: apis.iter().map(|api| api.first_seen).min(),
            last_seen: apis.iter().map(|api| api.last_seen).max(),
            apis,
            conditions: by_parents(statuses.get(&said.origin.object).copied(), Had::By(applied, concerned), false),
            applied,
            concerned,
        })
    });
    let items = items.collect();
    ConsumerList { generation: world.generation, items, days: limits::CONSUMED_DAYS }
}

fn api((api, known): (&str, &consumption::Used), days: bool) -> ConsumedApi {
    let told = known.days.iter().filter(|_| days);
    let by_day = told.map(|day| ConsumedDay { day: day.day.saturating_mul(DAY), used: used(day.counts()) });
    ConsumedApi {
        api: api.to_owned(),
        used: used(known.counts()),
        first_seen: known.first,
        last_seen: known.last,
        by_day: by_day.collect(),
    }
}

fn used(counts: ConsumedCounts) -> Used {
    let ConsumedCounts { requests, refused, client_errors, failures } = counts;
    Used { requests, refused, client_errors, failures }
}

fn counts(used: Used) -> ConsumedCounts {
    let Used { requests, refused, client_errors, failures } = used;
    ConsumedCounts { requests, refused, client_errors, failures }
}
