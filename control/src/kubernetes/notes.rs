//! Problems of objects as Kubernetes Events, so that `kubectl describe` shows them, and in the log: each once, for objects of kinds that are ours to judge.

use super::{Cluster, FIELD_MANAGER, Shared, lock, watch};
use crate::limits;
use crate::world::World;
use futures_util::stream::{self, StreamExt};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use model::{Report, Severity};
use std::collections::HashSet;

/// Longest note of an Event, in bytes.
const NOTE: usize = 1024;

pub struct Notes {
    recorder: Recorder,
    /// Objects (by uid) and what was told of them.
    told: HashSet<(String, String)>,
}

impl Notes {
    pub fn new(cluster: &Cluster) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(cluster.replica.clone()) };
        Self { recorder: Recorder::new(cluster.client.clone(), reporter), told: HashSet::new() }
    }

    /// Tells what is new, but no more than so much at once: statuses wait for it. Says whether all of it was taken.
    pub async fn tell(&mut self, world: &World, shared: &Shared) -> bool {
        let news = self.news(world, shared);
        let mut done = news.len() <= limits::EVENTS_AT_ONCE;
        let recorder = &self.recorder;
        let under_way = news.into_iter().take(limits::EVENTS_AT_ONCE).map(async |(report, reference)| {
            let note = text(&report);
            let event = Event {
                type_: EventType::Warning,
                reason: report.reason.to_string(),
                note: Some(note.clone()),
                action: "Translate".into(),
                secondary: None,
            };
            let published = recorder.publish(&event, &reference).await;
            (published, report.object, reference.uid.unwrap_or_default(), note)
        });
        let mut under_way = std::pin::pin!(stream::iter(under_way).buffer_unordered(limits::WRITES));
        while let Some((published, object, uid, note)) = under_way.next().await {
            match published {
                Ok(()) => {
                    tracing::warn!("{object}: {note}");
                    remember(&mut self.told, uid, note);
                }
                Err(e) => {
                    tracing::warn!("an event about {object}: {}", watch::told(&e));
                    done = false;
                }
            }
        }
        done
    }

    fn news(&self, world: &World, shared: &Shared) -> Vec<(Report, ObjectReference)> {
        let cache = lock(&shared.cache);
        let ours = |report: &&Report| report.severity == Severity::Error && !matches!(&*report.object.group, "" | "discovery.k8s.io");
        let about = |report: &Report| {
            let kept = cache.get(&report.object)?;
            let reference = ObjectReference {
                api_version: Some(kept.object.api_version.clone()),
                kind: Some(report.object.kind.to_string()),
                name: Some(report.object.name.to_string()),
                namespace: Some(report.object.namespace.to_string()).filter(|namespace| !namespace.is_empty()),
                uid: Some(kept.uid.clone()),
                ..ObjectReference::default()
            };
            let known = self.told.contains(&(kept.uid.clone(), text(report)));
            (!known && !kept.ending).then(|| (report.clone(), reference))
        };
        world.reports.iter().filter(ours).filter_map(about).collect()
    }
}

fn remember(told: &mut HashSet<(String, String)>, uid: String, note: String) {
    if told.len() >= limits::TOLD_EVENTS {
        told.clear();
    }
    told.insert((uid, note));
}

fn text(report: &Report) -> String {
    let path = report.path_text();
    let fix = report.fix.as_ref().map_or_else(String::new, |fix| format!(" {fix}"));
    let mut text = if path.is_empty() { format!("{}{fix}", report.message) } else { format!("{path}: {}{fix}", report.message) };
    if text.len() > NOTE {
        let end = (0..=NOTE - 3).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
