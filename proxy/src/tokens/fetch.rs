//! Fetches the keys of issuers, on the rim's thread: at once where there are none, again now and then, and soon where a token came of a key that is not
//! known, but never so often as strangers would like. What cannot be fetched leaves the keys as they were. Never carries a request.

use super::store::Store;
use crate::http::exchange;
use crate::limits;
use crate::upstream::Way;
use crate::worker::Worker;
use futures_util::future::join_all;
use identity::jwt::{Keys, KeysError};
use model::backend::ExternalName;
use model::token::{KeySource, KeysUrl, TokenIssuer};
use model::{AppProtocol, ExternalHost, Key, Kind, Method, RequestHead, Scheme, Source};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use transport::body::Incoming;
use transport::preface::Framing;
use transport::rt;

/// What is known of fetching one issuer's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Course {
    url: KeysUrl,
    last: Option<Instant>,
    /// In a row.
    failures: u32,
}

impl Course {
    /// When they are fetched next.
    fn due(&self, wanted: bool, now: Instant) -> Instant {
        let Some(last) = self.last else { return now };
        let pause = match (self.failures, wanted) {
            (0, false) => limits::KEYS_REFRESH,
            (0, true) => limits::KEYS_AGAIN,
            (failures, _) => limits::KEYS_RETRY.saturating_mul(1 << failures.min(16)).min(limits::KEYS_RETRY_MAX),
        };
        last + pause
    }
}

/// Fetches until it is dropped. `worker` is one of the rim's thread, for its connections alone.
pub async fn run(worker: Rc<Worker>) {
    let mut courses: HashMap<Key, Course> = HashMap::new();
    let store = &worker.shared.keys;
    let mut asked = store.asked();
    loop {
        asked.mark_unchanged();
        let issuers: Vec<Arc<TokenIssuer>> = worker.snapshot().tokens.fetched().cloned().collect();
        let keys: Vec<Key> = issuers.iter().map(|issuer| issuer.key.clone()).collect();
        store.keep(&keys);
        courses.retain(|key, _| keys.contains(key));
        let now = rt::now();
        let mut due = Vec::new();
        for issuer in &issuers {
            let KeySource::Url(url) = &issuer.keys else { continue };
            let fresh = || Course { url: url.clone(), last: None, failures: 0 };
            let course = courses.entry(issuer.key.clone()).or_insert_with(fresh);
            if course.url != *url {
                *course = fresh();
            }
            if course.due(store.is_wanted(&issuer.key), now) <= now {
                due.push((issuer, url));
            }
        }
        let fetched = join_all(due.iter().map(|(_, url)| fetch(&worker, url))).await;
        for ((issuer, url), got) in due.into_iter().zip(fetched) {
            if let Some(course) = courses.get_mut(&issuer.key) {
                course.last = Some(rt::now());
                course.failures = if got.is_ok() { 0 } else { course.failures.saturating_add(1) };
            }
            report(&worker, store, issuer, url, got);
        }
        let next = courses.iter().map(|(key, course)| course.due(store.is_wanted(key), rt::now())).min();
        let pause = next.map_or(limits::KEYS_LOOK, |next| next.saturating_duration_since(rt::now()).min(limits::KEYS_LOOK));
        // Whoever asks is heard soon, new configuration within a moment, and however many ask it is no more often.
        let _ = rt::timeout(pause, asked.changed()).await;
        rt::sleep(limits::KEYS_PAUSE).await;
    }
}

fn report(worker: &Worker, store: &Store, issuer: &TokenIssuer, url: &KeysUrl, got: Result<Keys, String>) {
    let by = issuer.origin.object.to_string();
    let result = if got.is_ok() { "fetched" } else { "failed" };
    let help = "Times that the keys of an issuer were fetched, and how that ended";
    worker.shared.metrics.counter("organza_token_keys_fetched", help, &[("issuer", &by), ("result", result)]).add(1.0);
    match got {
        Ok(keys) => store.fetched(&issuer.key, url, Ok(Arc::new(keys))),
        Err(why) => {
            let means = if store.keys(issuer).is_some() { "those that are known hold" } else { "none are known, and no token is believed" };
            tracing::warn!("keys of {by} cannot be fetched: {why}; {means}");
            store.fetched(&issuer.key, url, Err(why));
        }
    }
}

async fn fetch(worker: &Rc<Worker>, url: &KeysUrl) -> Result<Keys, String> {
    let asked = async {
        // A name of its own, for nothing is counted or routed by it.
        let key = Key::new(Source::organza(), Kind::External, "", "keys");
        let protocol = AppProtocol::Http;
        let host = ExternalHost { key, host: url.host.clone(), port: url.port, protocol, tls: url.tls.clone() };
        let to = worker.external(&worker.snapshot(), &host, Framing::Http1).await?;
        let mut way: Way = worker.reach(&to, true).await?;
        let answer = exchange::ask(&mut way, &mut request(url), Incoming::Empty, Some(identity::limits::JWKS_BYTES), false).await?;
        Ok::<_, transport::Error>(answer)
    };
    match rt::timeout(limits::KEYS_TIME, asked).await {
        None => Err(format!("no answer within {:?}", limits::KEYS_TIME)),
        Some(Err(error)) => Err(format!("{}, {}", error.fault.label(), error.why)),
        Some(Ok(answer)) if answer.status != 200 => Err(format!("the answer is {}", answer.status)),
        // What is too long is left unread.
        Some(Ok(answer)) if answer.cut => Err(format!("the answer {}", KeysError::TooLarge)),
        Some(Ok(answer)) => Keys::parse(&answer.body).map_err(|error| format!("the answer {error}")),
    }
}

fn request(url: &KeysUrl) -> RequestHead {
    let mut head = RequestHead::default();
    (head.method, head.scheme) = (Method::Get, if url.tls.is_some() { Scheme::Https } else { Scheme::Http });
    head.set_target(&url.path);
    let default = if url.tls.is_some() { 443 } else { 80 };
    let name = match &url.host {
        ExternalName::Dns(name) => name.to_string(),
        ExternalName::Address(std::net::IpAddr::V6(v6)) => format!("[{v6}]"),
        ExternalName::Address(address) => address.to_string(),
    };
    head.set_authority(&if url.port == default { name } else { format!("{name}:{}", url.port) });
    head.headers.push("Accept", b"application/jwk-set+json, application/json");
    head.headers.push("User-Agent", concat!("organza/", env!("CARGO_PKG_VERSION")).as_bytes());
    head
}

#[cfg(test)]
mod tests;
