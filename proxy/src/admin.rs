//! The proxy's admin socket: `/ready /process /metrics /config /log-level /leave /drain`, on a Unix socket that only its owner can open, and `/metrics` alone on
//! a port where the configuration names one. Shows no secrets; carries no request of the mesh.

use crate::config::Config;
use crate::rim::Leaver;
use crate::snapshot::Shared;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use telemetry::{Exposition, Metrics};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};

/// Changes what is logged, or says why the words mean nothing.
pub type SetLevel = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

#[derive(Clone)]
pub struct Admin {
    pub config: Arc<Config>,
    pub shared: Shared,
    pub metrics: Metrics,
    /// True once all listeners are open.
    pub serving: watch::Receiver<bool>,
    /// Set to true to begin the drain.
    pub drain: watch::Sender<bool>,
    /// Whether a successor serves under this proxy's name.
    pub succeeded: Arc<AtomicBool>,
    /// What was taken over from a predecessor, in words.
    pub took_over: Arc<OnceLock<String>>,
    pub set_level: SetLevel,
    /// Takes the registration back.
    pub leaver: Leaver,
}

impl Admin {
    /// Everything, for the owner's socket.
    pub fn router(self) -> Router {
        Router::new()
            .route("/ready", get(ready))
            .route("/process", get(process))
            .route("/metrics", get(metrics))
            .route("/config", get(config))
            .route("/log-level", post(log_level))
            .route("/leave", post(leave))
            .route("/drain", post(drain))
            .with_state(self)
    }

    /// What a scraper may read.
    pub fn metrics_router(self) -> Router {
        Router::new().route("/metrics", get(metrics)).with_state(self)
    }
}

/// Opens the socket for its owner alone. A socket that nobody answers on is left over and replaced; one that answers is an error.
///
/// # Errors
/// `AddrInUse` where another process answers there; else what the file system says.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("{} is another proxy's", path.display())));
    }
    replace(path)
}

/// Opens a socket for its owner alone in the place of whatever is there.
///
/// # Errors
/// What the file system says.
pub fn replace(path: &Path) -> io::Result<UnixListener> {
    // Bound under a name that nobody looks for and renamed when only its owner may open it: never open to others in between.
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    _ = fs::remove_file(beside);
    let listener = UnixListener::bind(beside)?;
    fs::set_permissions(beside, fs::Permissions::from_mode(0o600))?;
    fs::rename(beside, path)?;
    Ok(listener)
}

/// Serves until dropped.
pub async fn serve(listener: UnixListener, router: Router) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => answer(stream, router.clone(), ()),
            Err(error) => pause(&error).await,
        }
    }
}

/// Serves scrapers until dropped. In a pod anybody may be one: so many at once.
pub async fn serve_metrics(listener: Arc<TcpListener>, router: Router) {
    let places = Arc::new(Semaphore::new(crate::limits::METRICS_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => answer(stream, router.clone(), place),
            Err(error) => pause(&error).await,
        }
    }
}

/// `place` is given back with the connection's end.
fn answer(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static, router: Router, place: impl Send + 'static) {
    tokio::spawn(async move {
        let service = hyper_util::service::TowerToHyperService::new(router);
        // One version alone: to wait for which it is would have no end.
        let mut served = hyper::server::conn::http1::Builder::new();
        served.timer(TokioTimer::new()).header_read_timeout(crate::limits::ADMIN_HEAD);
        if let Err(error) = served.serve_connection(TokioIo::new(stream), service).await {
            tracing::debug!(%error, "admin connection broke off");
        }
        drop(place);
    });
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "admin socket cannot accept");
    transport::rt::sleep(crate::limits::RECONNECT_MIN).await;
}

/// 200 where it serves; 503 with the reason before that and while it drains.
async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.succeeded.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "succeeded\n");
    }
    match (*admin.serving.borrow(), *admin.drain.borrow()) {
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        (true, false) => (StatusCode::OK, "ready\n"),
    }
}

/// Which process answers: while a proxy has two, only the younger serves.
async fn process(State(admin): State<Admin>) -> Json<serde_json::Value> {
    Json(serde_json::json!({
        "pid": std::process::id(),
        "release": admin.config.release,
        "took_over": admin.took_over.get(),
        "serving": *admin.serving.borrow() && !*admin.drain.borrow() && !admin.succeeded.load(Ordering::Relaxed),
    }))
}

/// OpenMetrics with exemplars for those who accept it, Prometheus' older text for all others.
async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let exposition = Exposition::accepted(accept);
    ([(header::CONTENT_TYPE, exposition.content_type())], admin.metrics.encode_as(exposition))
}

/// The process configuration and what is in force, by key; private keys and the outbound secret stay out.
async fn config(State(admin): State<Admin>) -> Json<serde_json::Value> {
    let snapshot = admin.shared.load();
    let table = &snapshot.table;
    let of_table = table.services().map(|s| &s.key).chain(table.listeners().map(|l| &l.key)).chain(table.routes().map(|r| r.key()));
    let mut keys: Vec<String> = of_table.chain(snapshot.keys()).map(ToString::to_string).collect();
    keys.sort();
    Json(serde_json::json!({
        "config": admin.config.without_secrets(),
        "generation": snapshot.generation,
        "resources": keys,
    }))
}

async fn log_level(State(admin): State<Admin>, level: String) -> (StatusCode, String) {
    match (admin.set_level)(level.trim()) {
        Ok(()) => (StatusCode::OK, format!("{}\n", level.trim())),
        Err(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")),
    }
}

/// 204 once nobody is sent here any more; 503 with the reason where the registration stays.
async fn leave(State(admin): State<Admin>) -> Result<StatusCode, (StatusCode, String)> {
    let left = admin.leaver.leave().await;
    left.map(|()| StatusCode::NO_CONTENT).map_err(|why| (StatusCode::SERVICE_UNAVAILABLE, why + "\n"))
}

async fn drain(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    admin.drain.send_replace(true);
    (StatusCode::ACCEPTED, "draining\n")
}

#[cfg(test)]
mod tests;
