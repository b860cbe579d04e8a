//! One watch for each kind: what it says goes into the cache, slender. Resuming, bookmarks and new lists after an expired version (410) are kube's
//! `watcher`; pauses after errors (429, a server that is gone) grow to a limit, and the last state stays meanwhile.

use super::cache::{Kept, KindName, News};
use super::discover::Served;
use super::{Shared, classes};
use crate::limits;
use crate::shell::monotone;
use frontends::{Object, kubernetes::slim};
use futures_util::StreamExt;
use kube::core::DynamicObject;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use model::ObjectRef;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Ends with its handle.
pub struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub fn start(client: &Client, served: &Served, shared: &Arc<Shared>) -> Task {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &served.resource);
    let (name, api_version, shared) = (served.name.clone(), served.resource.api_version.clone(), shared.clone());
    Task(tokio::spawn(async move {
        let pauses = Pauses::default();
        let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).backoff(pauses));
        while let Some(event) = events.next().await {
            if let Some(news) = news(event, &name, &api_version) {
                shared.hear(&name, news);
            }
        }
    }))
}

/// Pauses after errors, each twice as long as the one before. A watch says that it begins before it knows whether it can: only what comes after that makes
/// them short again.
#[derive(Debug, Default)]
struct Pauses {
    errors: u32,
    good: u32,
}

impl Iterator for Pauses {
    type Item = Duration;
    fn next(&mut self) -> Option<Duration> {
        let (shortest, longest) = limits::API_PAUSE;
        let pause = shortest.saturating_mul(1 << self.errors.min(16)).min(longest);
        (self.errors, self.good) = (self.errors.saturating_add(1), 0);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.good = self.good.saturating_add(1);
        if self.good > 1 {
            self.errors = 0;
        }
    }
}

fn news(event: Result<Event<DynamicObject>, watcher::Error>, name: &KindName, api_version: &str) -> Option<News> {
    let keep = |object| kept(object, name, api_version).map(Box::new);
    match event {
        Ok(Event::Init) => Some(News::Begin),
        Ok(Event::InitApply(object)) => keep(object).map(News::Listed),
        Ok(Event::InitDone) => Some(News::Whole),
        Ok(Event::Apply(object)) => keep(object).map(News::Is),
        Ok(Event::Delete(object)) => reference(&object, name).map(News::Gone),
        Err(e) => {
            let why = match &e {
                watcher::Error::InitialListFailed(e) | watcher::Error::WatchStartFailed(e) | watcher::Error::WatchFailed(e) => told(e),
                watcher::Error::WatchError(status) if status.code == 410 => return None,
                other => other.to_string(),
            };
            tracing::warn!("watch of {}: {why}", name.kind);
            Some(News::Trouble(why, monotone()))
        }
    }
}

/// In words for people.
pub fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => format!("{} ({})", status.message, status.code),
        other => chain(other),
    }
}

/// An error with what is behind it, each said once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

fn reference(object: &DynamicObject, name: &KindName) -> Option<ObjectRef> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or("");
    Some(ObjectRef::new(&name.group, &name.kind, namespace, object.metadata.name.as_deref()?))
}

fn kept(mut object: DynamicObject, name: &KindName, api_version: &str) -> Option<Kept> {
    object.metadata.managed_fields = None;
    let reference = reference(&object, name)?;
    let uid = object.metadata.uid.clone().unwrap_or_default();
    let version = object.metadata.resource_version.clone().unwrap_or_default();
    let ending = object.metadata.deletion_timestamp.is_some();
    let held = object.metadata.finalizers.iter().flatten().any(|one| one == classes::FINALIZER);
    let mut value = serde_json::to_value(object).ok()?;
    let status = match slim::slim(&name.group, &name.kind, &mut value) {
        Value::Null => Box::default(),
        status => status.to_string().into(),
    };
    // Items of a list name neither.
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".into(), api_version.into());
        fields.insert("kind".into(), Value::from(name.kind.as_str()));
    }
    Some(Kept { object: Object::new(reference, api_version, value), status, uid, version, ending, held })
}

#[cfg(test)]
mod tests;
