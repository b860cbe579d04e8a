//! Answers the API server before it takes an object, where whoever installed Organza asked for that (`organza install --webhook`): HTTPS for the name of a Service
//! that leads to the leader, by a certificate of the mesh's own authority, whose roots the leader writes into the configuration. Who else comes to the port learns
//! what `organza validate` would say of an object of his. The judgement is `admission`'s.

use super::{Client, Cluster, admission, gateways, watch};
use crate::core::{Core, now};
use crate::limits;
use crate::shell::{Clock, monotone};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONNECTION;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use identity::{Csr, SignRequest, Signer, alpn};
use kube::Api;
use kube::api::{ApiResource, Patch, PatchParams};
use kube::core::DynamicObject;
use rustls::ServerConfig;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// The Service by which an API server finds the leader, and the port of its pod.
pub const SERVICE: &str = "organza-webhook";
pub const PORT: u16 = 15012;
/// What tells API servers to ask us, as `deploy/webhook.yaml` has it, and its webhooks.
const CONFIGURATION: &str = "organza";
const WEBHOOKS: [&str; 2] = ["own.organza.dev", "gateway.organza.dev"];
/// Who writes the roots there: what installs the rest is another.
const FIELD_MANAGER: &str = "organza.dev/webhook";

/// Answers until dropped; where nothing was asked for, nothing listens.
pub async fn run(cluster: &Cluster, core: &Arc<Core>) {
    let Some(address) = cluster.webhook else { return std::future::pending().await };
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(e) => tracing::warn!("the webhook at {address}: {e}"),
        }
        tokio::time::sleep(limits::WRITE_RETRY).await;
    };
    while let Err(e) = gateways::announce(cluster, SERVICE, "webhook", PORT).await {
        tracing::warn!("the Service {SERVICE}: {}", watch::told(&e));
        tokio::time::sleep(limits::WRITE_RETRY).await;
    }
    let name = format!("{SERVICE}.{}.svc", cluster.namespace);
    tokio::join!(vouch(&cluster.client, core), serve(listener, core, &name));
}

/// Keeps the roots in the configuration, by which the API server believes us.
async fn vouch(client: &Client, core: &Core) {
    let mut last: Option<(String, Instant)> = None;
    loop {
        let roots = identity::pem::encode_chain(core.lock().authority.roots().iter().map(Vec::as_slice));
        let is_due = last.as_ref().is_none_or(|(before, at)| *before != roots || monotone().duration_since(*at) > limits::APPLY_AGAIN);
        if is_due {
            if let Err(e) = write(client, &roots).await {
                tracing::warn!("the webhook's configuration {CONFIGURATION}: {}", watch::told(&e));
                // Until they are there, nothing of ours can be written.
                tokio::time::sleep(limits::WRITE_RETRY).await;
                continue;
            }
            last = Some((roots, monotone()));
        }
        tokio::time::sleep(limits::RENEW_LOOK).await;
    }
}

async fn write(client: &Client, roots: &str) -> Result<(), kube::Error> {
    let (group, version) = ("admissionregistration.k8s.io", "v1");
    let api_version = format!("{group}/{version}");
    let bundle = STANDARD.encode(roots);
    let webhooks = WEBHOOKS.map(|name| json!({ "name": name, "clientConfig": { "caBundle": bundle } }));
    let kind = "ValidatingWebhookConfiguration";
    let body = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": CONFIGURATION }, "webhooks": webhooks });
    let plural = "validatingwebhookconfigurations".to_owned();
    let resource = ApiResource { group: group.into(), version: version.into(), api_version, kind: kind.into(), plural };
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    api.patch(CONFIGURATION, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(&body)).await.map(drop)
}

/// What is shown to who connects.
struct Shown {
    config: Arc<ServerConfig>,
    /// By which root it is believed.
    root: Vec<u8>,
    renew: SystemTime,
}

impl Shown {
    fn make(core: &Core, name: &str) -> Result<Self, identity::Error> {
        let now = now();
        // The names in a request are nobody's business: the key alone is taken.
        let csr = Csr::generate(&crate::control_identity(&core.trust_domain)?)?;
        let mut inner = core.lock();
        let issued = inner.authority.sign_server(&SignRequest::parse(&csr.der)?, &[name], now)?;
        let root = inner.authority.roots().into_iter().next().unwrap_or_default();
        drop(inner);
        let life = issued.not_after.duration_since(now).unwrap_or_default();
        let config = identity::named_server_config(issued.chain, csr.key(), &[alpn::HTTP1], Arc::new(Clock))?;
        Ok(Self { config, root, renew: now + life / 2 })
    }

    fn is_due(&self, core: &Core) -> bool {
        now() > self.renew || core.lock().authority.roots().first() != Some(&self.root)
    }
}

async fn serve(listener: TcpListener, core: &Arc<Core>, name: &str) {
    let places = Arc::new(Semaphore::new(limits::ADMISSION_CONNECTIONS));
    let router = router(core.clone());
    let mut shown: Option<Shown> = None;
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::warn!("webhook: {e}");
                tokio::time::sleep(limits::LOOK).await;
                continue;
            }
        };
        if shown.as_ref().is_none_or(|shown| shown.is_due(core)) {
            match Shown::make(core, name) {
                Ok(made) => shown = Some(made),
                Err(e) => tracing::error!("the webhook's certificate: {e}"),
            }
        }
        let Some(config) = shown.as_ref().map(|shown| shown.config.clone()) else { continue };
        let router = router.clone();
        tokio::spawn(async move {
            one(stream, config, router).await;
            drop(place);
        });
    }
}

async fn one(stream: TcpStream, config: Arc<ServerConfig>, router: Router) {
    match timeout(limits::HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => answer(stream, router).await,
        Ok(Err(e)) => tracing::debug!("webhook: a handshake failed: {e}"),
        Err(_) => tracing::debug!("webhook: a handshake took too long"),
    }
}

/// Answers on one connection until it ends, or has lasted long enough: anybody may come, and places are few.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits::API_HEAD);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let ended = match timeout(limits::ADMISSION_AGE, connection.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            connection.as_mut().graceful_shutdown();
            timeout(limits::ADMISSION_TIME, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(e) = ended {
        tracing::debug!("webhook: {e}");
    }
}

#[derive(Clone)]
struct Asked {
    core: Arc<Core>,
    /// Judgements at once.
    places: Arc<Semaphore>,
}

impl Asked {
    fn new(core: Arc<Core>) -> Self {
        Self { core, places: Arc::new(Semaphore::new(limits::ADMISSIONS)) }
    }
}

fn router(core: Arc<Core>) -> Router {
    Router::new().route("/admit", post(admit)).layer(DefaultBodyLimit::max(limits::ADMISSION_BODY)).with_state(Asked::new(core))
}

/// Reads a question and judges it, in time.
async fn admit(State(asked): State<Asked>, request: Request) -> Response {
    let answered = async {
        match <Bytes as FromRequest<()>>::from_request(request, &()).await {
            Ok(body) => judge(asked, body).await.into_response(),
            Err(refused) => refused.into_response(),
        }
    };
    match timeout(limits::ADMISSION_TIME, answered).await {
        Ok(response) => response,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, [(CONNECTION, "close")]).into_response(),
    }
}

async fn judge(asked: Asked, body: Bytes) -> Result<Json<Value>, StatusCode> {
    let Ok(Ok(place)) = timeout(limits::ADMISSION_WAIT, asked.places.acquire_owned()).await else {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    };
    let world = asked.core.world();
    // In a large cluster it takes a while, and goes on where who asked has gone away: its place is free when it has ended.
    let judged = tokio::task::spawn_blocking(move || {
        let _place = place;
        let question = admission::read(&mut serde_json::from_slice(&body).ok()?)?;
        Some(admission::answer(&question, &admission::judged(&question, &world)))
    });
    judged.await.ok().flatten().map(Json).ok_or(StatusCode::BAD_REQUEST)
}

#[cfg(test)]
mod tests;
