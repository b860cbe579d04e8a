//! The dashboard's door: the page and the answers that it reads, over HTTP on loopback, for whoever the owner of the mesh let in. A single-use code,
//! asked for over the control socket, is traded for a cookie, which carries a role; what each role may is in [`roles`].
//!
//! Browsers send a cookie to every port of a host: all paths lie below a name that only who was let in knows, and the cookie is for that alone.
//! Whoever is let in stays so over a restart: cookie and name are made from the secret of the mesh.

mod page;
pub mod roles;

use crate::core::{now, seconds};
use crate::limits;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper_util::rt::{TokioIo, TokioTimer};
use identity::seal;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use wire::api::{DashboardLink, DashboardRole as Role};

const COOKIE: &str = "organza";
/// What the cookie says.
const CONTEXT: &str = "organza dashboard session";

/// Who may come in.
pub struct Desk {
    key: [u8; 32],
    mount: String,
    address: SocketAddr,
    /// Codes that nobody has used yet, with when they end.
    codes: Mutex<HashMap<String, (u64, Role)>>,
}

impl Desk {
    /// `secret` is the mesh's; without one who is let in is so until this process ends.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn new(secret: Option<[u8; 32]>, address: SocketAddr) -> Result<Self, identity::Error> {
        let secret = secret.map_or_else(seal::secret, Ok)?;
        let name = seal::derive(&secret, "dashboard path");
        Ok(Self {
            key: seal::derive(&secret, "dashboard cookies"),
            mount: URL_SAFE_NO_PAD.encode(&name[..12]),
            address,
            codes: Mutex::default(),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A link that lets one browser in, once, as this. `now` in seconds.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn link(&self, role: Role, now: u64) -> Result<DashboardLink, identity::Error> {
        let code = URL_SAFE_NO_PAD.encode(seal::secret()?);
        let expires = now + limits::DASHBOARD_CODE;
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|_, (until, _)| *until > now);
        while codes.len() >= limits::DASHBOARD_CODES {
            let eldest = codes.iter().min_by_key(|(_, (until, _))| *until).map(|(code, _)| code.clone());
            eldest.and_then(|code| codes.remove(&code));
        }
        codes.insert(code.clone(), (expires, role));
        Ok(DashboardLink { url: format!("http://{}/{}/enter?code={code}", self.address, self.mount), expires })
    }

    /// The cookie for a code, which is used up by it.
    fn redeem(&self, code: &str, now: u64) -> Option<String> {
        let (until, role) = self.codes.lock().unwrap_or_else(PoisonError::into_inner).remove(code)?;
        let ends = now + limits::DASHBOARD_SESSION;
        // Who it is, for the lines of the audit: a number that nobody else has.
        let session = seal::secret().ok()?;
        let said = [&ends.to_be_bytes()[..], &[role as u8], &session[..4]].concat();
        let value = (until > now).then(|| seal::seal(&self.key, CONTEXT, &said).ok())??;
        let (path, life) = (&self.mount, limits::DASHBOARD_SESSION);
        Some(format!("{COOKIE}={value}; Path=/{path}/; Max-Age={life}; HttpOnly; SameSite=Strict"))
    }

    fn admits(&self, headers: &HeaderMap, now: u64) -> Option<Session> {
        let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut ours = cookies.flat_map(|all| all.split("; ")).filter_map(|one| one.strip_prefix(COOKIE)?.strip_prefix('='));
        ours.find_map(|value| Session::read(&seal::open(&self.key, CONTEXT, value.as_bytes())?).filter(|session| session.ends > now))
    }

    /// What somebody asks who was let in, and who that is.
    fn asked(&self, request: &Request, now: u64) -> Option<(String, roles::Question)> {
        let session = self.admits(request.headers(), now)?;
        Some((session.who(), roles::Question::below(&self.mount, request)?))
    }

    /// Whether a page of ours asks for it, and not just no other: what changes something needs its word.
    fn says_so(&self, headers: &HeaderMap) -> bool {
        headers.contains_key(header::ORIGIN) && self.comes_from_us(headers)
    }

    /// Whether a browser that shows a page of ours could have sent this: a name that somebody points at loopback is not ours, and neither is a
    /// page of another origin.
    fn comes_from_us(&self, headers: &HeaderMap) -> bool {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let port = self.address.port();
        let is_ours = |host: &str| host == self.address.to_string() || host == format!("localhost:{port}");
        let Some(host) = text(header::HOST).filter(|host| is_ours(host)) else { return false };
        let origin = text(header::ORIGIN).is_none_or(|origin| origin.strip_prefix("http://") == Some(host));
        let site = text(HeaderName::from_static("sec-fetch-site")).is_none_or(|site| matches!(site, "same-origin" | "none"));
        origin && site
    }
}

/// What a cookie says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session {
    ends: u64,
    role: Role,
    number: u32,
}

impl Session {
    fn read(said: &[u8]) -> Option<Self> {
        let (ends, rest) = said.split_first_chunk::<8>()?;
        let ends = u64::from_be_bytes(*ends);
        // Of a release without roles: it looked, and may go on to look.
        let Some((role, number)) = rest.split_first() else { return Some(Self { ends, role: Role::Viewer, number: 0 }) };
        let role = Role::ALL.into_iter().find(|known| *known as u8 == *role)?;
        Some(Self { ends, role, number: u32::from_be_bytes(number.try_into().ok()?) })
    }

    /// As the audit has it.
    fn who(&self) -> String {
        format!("{} {:08x} of the dashboard", self.role.as_str(), self.number)
    }
}

/// Everything that a browser may ask; `answers` are those of the API, each for whom [`roles`] says.
pub fn router(desk: Arc<Desk>, answers: Router) -> Router {
    let mut inside = answers.route("/", get(async || page::index()));
    for file in page::FILES {
        inside = inside.route(file.path, get(async || page::answer(file)));
    }
    let inside = inside.fallback(async || refuse(StatusCode::NOT_FOUND, "there is no such page"));
    let inside = inside.layer(from_fn_with_state(desk.clone(), known));
    let mount = format!("/{}", desk.mount);
    Router::new()
        .route(&format!("{mount}/enter"), get(enter))
        .route(&mount, get(async |State(desk): State<Arc<Desk>>| see_other(&format!("/{}/", desk.mount), None)))
        .with_state(desk.clone())
        .nest(&format!("{mount}/"), inside)
        .fallback(async || stranger())
        .layer(from_fn_with_state(desk, careful))
}

/// What holds for every request and every answer.
async fn careful(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let refusal = match *request.method() {
        _ if !desk.comes_from_us(request.headers()) => Some((StatusCode::FORBIDDEN, "this page is served to its own origin alone")),
        Method::GET | Method::HEAD => None,
        Method::POST | Method::DELETE if desk.says_so(request.headers()) => None,
        _ => Some((StatusCode::METHOD_NOT_ALLOWED, "this page asks for no such thing")),
    };
    let mut answer = match refusal {
        None => next.run(request).await,
        Some((status, why)) => {
            // A page of another origin that has the cookie of a browser tries to change something: that is written down as well.
            if let Some((who, question)) = desk.asked(&request, seconds(now())) {
                question.audit(&who, status);
            }
            refuse(status, why)
        }
    };
    for (name, value) in page::HEADERS {
        answer.headers_mut().entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    answer
}

async fn known(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    if let Some(session) = desk.admits(request.headers(), seconds(now())) {
        return as_session(&session, request, next).await;
    }
    match request.uri().path().starts_with("/v1/") {
        true => refuse(StatusCode::UNAUTHORIZED, "the session has ended: run organza dashboard"),
        false => stranger(),
    }
}

async fn as_session(session: &Session, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(session.role);
    let question = roles::Question::of(&request);
    let answer = match question.least() {
        None => refuse(StatusCode::METHOD_NOT_ALLOWED, "no browser may ask this"),
        Some(least) if session.role < least => {
            let why = format!("this takes the role {}, and you are {}", least.as_str(), session.role.as_str());
            refuse(StatusCode::FORBIDDEN, &why)
        }
        Some(_) => next.run(request).await,
    };
    question.audit(&session.who(), answer.status());
    answer
}

#[derive(serde::Deserialize)]
struct Entrance {
    code: String,
}

async fn enter(State(desk): State<Arc<Desk>>, entrance: Result<Query<Entrance>, QueryRejection>) -> Response {
    let cookie = entrance.ok().and_then(|Query(Entrance { code })| desk.redeem(&code, seconds(now())));
    match cookie {
        Some(cookie) => see_other(&format!("/{}/", desk.mount), Some(&cookie)),
        None => stranger(),
    }
}

fn see_other(to: &str, cookie: Option<&str>) -> Response {
    let mut answer = StatusCode::SEE_OTHER.into_response();
    let values = [(header::LOCATION, Some(to)), (header::SET_COOKIE, cookie)];
    for (name, value) in values {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

fn stranger() -> Response {
    (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], Body::from(page::STRANGER)).into_response()
}

fn refuse(status: StatusCode, error: &str) -> Response {
    (status, axum::Json(wire::api::Refused { error: error.to_owned(), fix: None })).into_response()
}

/// Serves browsers, or whoever else asks at such a door, until dropped. `door` is what the log calls it.
pub async fn serve(door: &'static str, listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(limits::DASHBOARD_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::warn!("{door}: {e}");
                tokio::time::sleep(limits::LOOK).await;
                continue;
            }
        };
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            // Browsers speak HTTP/1 where there is no TLS. To wait for what version it is would have no end: who says nothing would keep his place.
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(limits::DASHBOARD_HEAD);
            if let Err(e) = builder.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!("{door}: {e}");
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests;
