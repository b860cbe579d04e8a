//! What one proxy has, with what it would be told if it called a host for the first time: proxies ask for a service when it is called.

use super::told::{held, told_generation};
use super::{Api, Asked, Refuse, keyless};
use crate::core::Core;
use crate::stand_in::stands_in;
use crate::{sessions, view};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Kind;
use std::collections::BTreeSet;
use wire::api;
use wire::delta::{Encoded, Set};

/// `?host=paths.shop`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfHost {
    #[serde(default)]
    host: Option<String>,
}

pub async fn answer(
    State(api): State<Api>,
    Path(proxy): Path<String>,
    Asked(query): Asked<OfHost>,
) -> Result<Json<api::ProxyResources>, Refuse> {
    let unknown =
        || Refuse::new(StatusCode::NOT_FOUND, format!("no proxy is called {proxy:?}"), Some("organza get proxies lists them".into()));
    resources(&api.core, &proxy, query.host.as_deref()).map(Json).ok_or_else(unknown)
}

pub fn resources(core: &Core, proxy: &str, host: Option<&str>) -> Option<api::ProxyResources> {
    let world = core.world();
    let inner = core.lock();
    let entry = inner.registry.get(proxy)?;
    let session = inner.sessions.get(proxy).cloned().unwrap_or_default();
    let asks = host.filter(|_| entry.gateway().is_none()).map(|host| wire::host_subscription(&entry.request.namespace, host));
    let would = match &asks {
        Some(name) if !session.subscriptions.contains(name) => view::set(&world, None, entry, [name.as_str()]).0,
        _ => Set::default(),
    };
    let known: BTreeSet<&str> = held(&session).map(|item| &*item.name).collect();
    let more: Vec<&Encoded> = would.items().iter().map(|item| &**item).filter(|item| !known.contains(&*item.name)).collect();
    let items = held(&session).chain(more.iter().copied()).map(|Encoded { name, version, bytes }| {
        let instead = model::Key::parse(name).filter(stands_in).map(|_| bytes);
        let item = model::Key::parse(name).and_then(|key| world.get(&key).filter(|_| key.kind != Kind::Certificate));
        let current = item.filter(|item| *item.encoded.version == **version);
        api::Resource {
            key: name.to_string(),
            version: version.to_string(),
            encoded: current
                .map(|item| {
                    let shown = sessions::shown(&item.resource).map(|shown| wire::encode(&shown));
                    STANDARD.encode(shown.as_ref().unwrap_or(&item.encoded.bytes))
                })
                .or_else(|| instead.map(|bytes| STANDARD.encode(bytes))),
        }
    });
    Some(api::ProxyResources {
        proxy: proxy.to_owned(),
        generation: told_generation(&session, world.generation).unwrap_or(0),
        items: items.collect(),
        keyless: keyless::of_proxy(&world, &inner, proxy),
        first_call: !more.is_empty(),
        subscriptions: session.subscriptions.clone(),
    })
}
