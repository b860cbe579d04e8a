//! The JSON API of `control.sock`: for the owner of the mesh alone. Answers come from the world in force and from what proxies acknowledged; errors
//! say what, and what to do.

mod beside;
mod consumers;
pub(crate) mod having;
mod keyless;
mod known;
mod picture;
mod resources;
pub(crate) mod told;
mod verdicts;

use crate::core::{Core, now, seconds};
use crate::dashboard::{Desk, roles};
use crate::kubernetes::callers::Callers;
use crate::limits;
use crate::prometheus::{Prometheus, Trouble};
use crate::registry::{Refusal, Registrant};
use crate::shell::started;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Extension, Json, Router};
pub(crate) use beside::problems;
use futures_util::{StreamExt, stream};
use hyper_util::rt::{TokioIo, TokioTimer};
use identity::Token;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::sync::broadcast::error::RecvError;
use wire::api::{self, Event, path};

/// What the commands of this organza call the host that they ask.
pub const HOST: &str = "organza";

#[derive(Clone)]
pub struct Api {
    pub core: Arc<Core>,
    /// Where proxies connect, as they are told.
    pub xds_address: String,
    pub control_identity: String,
    pub release: &'static str,
    /// Whether there is a world to serve.
    pub synced: tokio::sync::watch::Receiver<bool>,
    /// Who is let into the dashboard, and where that is.
    pub desk: Arc<Desk>,
    /// Who has long history, if anybody.
    pub prometheus: Option<Arc<Prometheus>>,
    pub links: Arc<[api::LinkTemplate]>,
    /// Where processes of this machine write what they say.
    pub logs: Option<Arc<std::path::Path>>,
    /// In a cluster: who says whose a token is, and what he may.
    pub callers: Option<Arc<Callers>>,
}

/// What is said where something cannot be done.
struct Refuse(StatusCode, api::Refused);

impl Refuse {
    fn new(status: StatusCode, error: impl Into<String>, fix: Option<String>) -> Self {
        Self(status, api::Refused { error: error.into(), fix })
    }
}

impl IntoResponse for Refuse {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

/// A body in JSON; one that cannot be read is refused in our own words.
struct Question<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Question<T> {
    type Rejection = Refuse;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refuse> {
        let read = Json::<T>::from_request(request, state).await;
        read.map(|Json(value)| Self(value)).map_err(|rejection| {
            let fix = "use the same version of organza for both ends".to_owned();
            Refuse::new(rejection.status(), rejection.body_text(), Some(fix))
        })
    }
}

/// What stands behind the `?`; what cannot be read is refused in our own words.
struct Asked<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refuse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refuse> {
        let read = Query::<T>::from_request_parts(parts, state).await;
        read.map(|Query(value)| Self(value)).map_err(|e| Refuse::new(StatusCode::BAD_REQUEST, e.body_text(), None))
    }
}

impl Api {
    /// What only tells: for the owner's socket and the dashboard.
    fn tells() -> Router<Self> {
        Router::new()
            .route(path::STATUS, get(|State(a): State<Self>| async move { Json(told::status(&a)) }))
            .route(path::OBJECTS, get(objects))
            .route(path::PROXIES, get(|State(a): State<Self>| async move { Json(told::proxies(&a.core)) }))
            .route(path::SERVICES, get(|State(a): State<Self>| async move { Json(told::services(&a.core)) }))
            .route(path::ROUTES, get(|State(a): State<Self>| async move { Json(told::routes(&a.core)) }))
            .route(path::EDGES, get(|State(a): State<Self>| async move { Json(told::edges(&a.core)) }))
            .route(path::CALLS, get(|State(a): State<Self>| async move { Json(beside::calls(&a.core)) }))
            .route(path::CONSUMERS, get(consumers))
            .route(path::VERDICTS, get(verdicts::verdicts))
            .route(path::GRAPH, get(graph))
            .route(path::HISTORY, get(history))
            .route(path::LONG_HISTORY, get(long_history))
            .route(path::PAGE, get(page))
            .route(path::WORKLOADS, get(|State(a): State<Self>| async move { Json(beside::workloads(&a.core)) }))
            .route(path::PROBLEMS, get(|State(a): State<Self>| async move { Json(problems(&a.core)) }))
            .route(path::PAST_EVENTS, get(|State(a): State<Self>| async move { Json(a.core.past_events()) }))
            .route(path::FLOWS, get(flows))
            .route(path::REQUESTS, get(request))
            .route(path::TRACES, get(traces))
            .route("/v1/traces/{id}", get(trace))
            .route(path::CERTIFICATES, get(|State(a): State<Self>| async move { Json(told::certificates(&a.core)) }))
            .route(path::ROOTS, get(|State(a): State<Self>| async move { Json(a.core.roots()) }))
            .layer(from_fn(known::unless_known))
    }

    /// For browsers that were let in; which of it each may is `dashboard::roles`' to say. What proves itself by its process stays on the socket.
    pub fn for_browsers(self) -> Router {
        self.answers().merge(Self::acts()).layer(DefaultBodyLimit::max(limits::API_BODY)).with_state(self)
    }

    /// What gives rights away.
    fn acts() -> Router<Self> {
        Router::new()
            .route(path::DASHBOARD, post(dashboard))
            .route(path::ROTATE, post(rotate))
            .route(path::TOKENS, get(tokens).post(create_token))
            .route("/v1/tokens/{id}", delete(withdraw_token))
    }

    /// All that only asks: it changes nothing, and gives nobody a right.
    fn answers(&self) -> Router<Self> {
        let of_a_world = from_fn_with_state(self.clone(), when_there_is_a_world);
        Self::tells()
            .route("/v1/proxies/{proxy}/resources", get(resources::answer))
            .route(path::LOGS, get(logs))
            .route(path::TAP, get(tap))
            .route(path::EVENTS, get(events))
            .route(path::DIFF, post(diff).layer(DefaultBodyLimit::max(limits::DIFF_BODY)))
            .layer(of_a_world)
    }

    /// For whom the API server of a cluster lets through to this pod, and what gives rights away for who brings a token of somebody who may. A browser that was led here by a name that somebody else owns says that name.
    pub fn questions(self) -> Router {
        let guard = from_fn(async |request: Request, next: Next| {
            match request.headers().get(axum::http::header::HOST).is_some_and(|host| host == HOST) {
                true => next.run(request).await,
                false => Refuse::new(StatusCode::FORBIDDEN, format!("only requests to host {HOST} are answered"), None).into_response(),
            }
        });
        let gate = from_fn_with_state(self.callers.clone(), roles::by_the_cluster);
        let answers = self.answers().merge(Self::acts()).layer(gate);
        Self::finished(answers).layer(guard).with_state(self)
    }

    /// For the owner.
    pub fn router(self) -> Router {
        let owned = self
            .answers()
            .merge(Self::acts())
            .route("/ready", get(ready))
            .route(path::REGISTRATIONS, post(register))
            .route("/v1/registrations/{proxy}", put(register_again).delete(deregister))
            .route(path::SIGN, post(sign))
            .layer(from_fn(roles::by_the_owner));
        Self::finished(owned).with_state(self)
    }

    /// What is no path of it is refused in its own words.
    fn finished(router: Router<Self>) -> Router<Self> {
        router
            .fallback(|| async { Refuse::new(StatusCode::NOT_FOUND, "there is no such path", None) })
            .method_not_allowed_fallback(|| async { Refuse::new(StatusCode::METHOD_NOT_ALLOWED, "this path is not asked so", None) })
            .layer(DefaultBodyLimit::max(limits::API_BODY))
    }
}

/// Serves the owner until dropped; anyone else's connection is closed unanswered.
pub async fn serve(listener: UnixListener, router: Router) {
    let owner = rustix::process::getuid().as_raw();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::warn!("control socket: {e}");
                tokio::time::sleep(limits::LOOK).await;
                continue;
            }
        };
        let Some(peer) = stream.peer_cred().ok().filter(|peer| peer.uid() == owner) else { continue };
        let registrant = peer.pid().and_then(|pid| Some(Registrant { pid, started: started(pid)? }));
        tokio::spawn(answer(stream, router.clone().layer(Extension(registrant))));
    }
}

/// Answers on one connection until it ends.
pub(crate) async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let service = hyper_util::service::TowerToHyperService::new(router);
    // One version alone: to wait for which it is would have no end.
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits::API_HEAD);
    if let Err(e) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!("API: {e}");
    }
}

/// `?manifests=true`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectsQuery {
    #[serde(default)]
    manifests: bool,
}

async fn objects(
    State(api): State<Api>,
    query: Result<Query<ObjectsQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<api::ObjectList>, Refuse> {
    let Query(query) =
        query.map_err(|e| Refuse::new(StatusCode::BAD_REQUEST, e.body_text(), Some("ask ?manifests=true or nothing".into())))?;
    Ok(Json(told::objects(&api.core, query.manifests)))
}

/// `?days=true`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsumersQuery {
    #[serde(default)]
    days: bool,
}

async fn consumers(State(api): State<Api>, Asked(query): Asked<ConsumersQuery>) -> Json<api::ConsumerList> {
    Json(consumers::consumers(&api.core, query.days))
}

async fn register(
    State(api): State<Api>,
    Extension(registrant): Extension<Option<Registrant>>,
    Question(request): Question<api::RegistrationRequest>,
) -> Result<Json<api::Registration>, Refuse> {
    let entry = api.core.register(request, registrant).map_err(|e| Refuse::new(StatusCode::BAD_REQUEST, e.what, e.fix))?;
    let world = api.core.world();
    let own = entry.workload_key();
    Ok(Json(api::Registration {
        identity: entry.identity.clone(),
        workload: own.to_string(),
        services: world.services_of(&own),
        xds_address: api.xds_address.clone(),
        control_identity: api.control_identity.clone(),
        trust_roots: roots(&api),
        proxy: entry.proxy,
    }))
}

async fn register_again(
    State(api): State<Api>,
    Extension(registrant): Extension<Option<Registrant>>,
    Path(proxy): Path<String>,
    Question(request): Question<api::RegistrationRequest>,
) -> Result<(StatusCode, Json<bool>), Refuse> {
    let refuse = |e: Refusal| Refuse::new(StatusCode::CONFLICT, e.what, e.fix);
    let is_news = api.core.register_again(&proxy, request, registrant).map_err(refuse)?;
    Ok((if is_news { StatusCode::CREATED } else { StatusCode::OK }, Json(is_news)))
}

fn roots(api: &Api) -> String {
    use identity::Signer;
    identity::pem::encode_chain(api.core.lock().authority.roots().iter().map(Vec::as_slice))
}

/// `?revoke=true`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Leaving {
    #[serde(default)]
    revoke: bool,
}

async fn deregister(State(api): State<Api>, Path(proxy): Path<String>, Asked(how): Asked<Leaving>) -> Result<(), Refuse> {
    if how.revoke {
        return api.core.revoke(&proxy).map_err(|e| Refuse::new(StatusCode::CONFLICT, e.what, e.fix));
    }
    match api.core.deregister(&proxy) {
        true => Ok(()),
        false => Err(Refuse::new(StatusCode::NOT_FOUND, format!("no proxy is called {proxy:?}"), None)),
    }
}

async fn sign(State(api): State<Api>, Question(request): Question<api::SignRequest>) -> Result<Json<api::SignResponse>, Refuse> {
    let bad = |e: String| Refuse::new(StatusCode::BAD_REQUEST, e, None);
    let entry = api.core.lock().registry.get(&request.proxy).cloned();
    let entry = entry.ok_or_else(|| Refuse::new(StatusCode::NOT_FOUND, format!("no proxy is called {:?}", request.proxy), None))?;
    let identity = entry.identity().ok_or_else(|| bad("its identity cannot be read".into()))?;
    let der = identity::pem::decode("CERTIFICATE REQUEST", request.csr.as_bytes()).map_err(|e| bad(e.to_string()))?;
    let (issued, roots) = api.core.sign(&der, &identity, &entry.proxy).map_err(|e| bad(e.to_string()))?;
    Ok(Json(api::SignResponse {
        identity: entry.identity,
        chain: identity::pem::encode_chain(issued.chain.iter().map(Vec::as_slice)),
        roots: identity::pem::encode_chain(roots.iter().map(Vec::as_slice)),
        not_after: seconds(issued.not_after),
    }))
}

/// Who asks before all objects of a cluster are listed waits a while, and is not told that there is nothing; nor that no proxy has anything, by one whose
/// proxies are on their way to another.
async fn when_there_is_a_world(State(api): State<Api>, request: Request, next: Next) -> Response {
    let mut synced = api.synced.clone();
    let refuse = |why: String, fix: &str| Refuse::new(StatusCode::SERVICE_UNAVAILABLE, why, Some(fix.into())).into_response();
    let came = tokio::time::timeout(limits::WORLD, synced.wait_for(|synced| *synced)).await.is_ok_and(|came| came.is_ok());
    if api.core.has_ended() && api.core.cluster().is_some() {
        return refuse("this control plane ends".into(), "ask again: another one leads in a moment");
    }
    if came {
        return next.run(request).await;
    }
    let core = api.core.lock();
    let keeps_it = |problem: &&wire::api::Located| matches!(&*problem.reason, "Unreachable" | "NotWatched");
    let why = core.problems.iter().find(keeps_it).map_or_else(String::new, |problem| format!(": {}", problem.message));
    refuse(format!("{NOT_LISTED}{why}"), "ask again in a moment; its log says more")
}

const NOT_LISTED: &str = "not all objects are listed yet";

async fn ready(State(api): State<Api>) -> Result<(), Refuse> {
    match *api.synced.borrow() {
        true => Ok(()),
        false => Err(Refuse::new(StatusCode::SERVICE_UNAVAILABLE, NOT_LISTED, None)),
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    seconds: Option<u64>,
    at: Option<u64>,
    node: Option<String>,
    route: Option<String>,
    proxy: Option<String>,
}

async fn graph(State(api): State<Api>, Asked(window): Asked<Window>) -> Result<Response, Refuse> {
    let told = match window {
        Window { seconds: None, at: None, node: None, route: None, proxy: Some(proxy) } => picture::of_workload(&api.core, &proxy),
        Window { proxy: Some(_), .. } => {
            let fix = "ask with ?proxy=NAME and nothing else".to_owned();
            return Err(Refuse::new(StatusCode::BAD_REQUEST, "what one process told is of the last two minutes, and whole", Some(fix)));
        }
        Window { seconds, at, node, route, proxy: None } => {
            let route = route.map(|route| routed(&api.core, &route)).transpose()?;
            let mut told = picture::graph(&api.core, seconds.unwrap_or(limits::RATE_SECONDS as u64), at, route.as_ref());
            node.iter().for_each(|node| picture::only_near(&mut told, node));
            told
        }
    };
    Ok(known::timeless(told, |told| &mut told.time))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Of {
    node: Option<String>,
    edge: Option<String>,
    workload: Option<String>,
    route: Option<String>,
}

/// Calls of a route by its name.
fn routed(core: &Core, route: &str) -> Result<picture::Routed, Refuse> {
    let fix = || "ask with ?route=KIND/NAMESPACE/NAME of one that a parent took (organza get routes)".to_owned();
    let unknown = || Refuse::new(StatusCode::NOT_FOUND, format!("no route in force is called {route:?}"), Some(fix()));
    picture::Routed::of(&core.world(), route).ok_or_else(unknown)
}

async fn history(State(api): State<Api>, Asked(of): Asked<Of>) -> Result<Response, Refuse> {
    let fix =
        "ask with ?node=ID or ?edge=ID, by the ids of /v1/graph, or with ?workload=NAMESPACE/NAME or ?route=KIND/NAMESPACE/NAME".to_owned();
    let refuse = || Refuse::new(StatusCode::BAD_REQUEST, "the history of what?", Some(fix));
    let route = of.route.as_ref().map(|route| routed(&api.core, route)).transpose()?;
    let of = match (&of.node, &of.edge, &of.workload, &route) {
        (Some(node), None, None, None) => picture::Of::Node(node),
        (None, Some(edge), None, None) => picture::Of::Edge(edge),
        (None, None, Some(workload), None) => picture::Of::Workload(workload),
        (None, None, None, Some(route)) => picture::Of::Route(route),
        _ => return Err(refuse()),
    };
    Ok(known::timeless(picture::history(&api.core, of), |told| &mut told.time))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct LongOf {
    node: String,
    #[serde(default = "a_day")]
    hours: u64,
}

fn a_day() -> u64 {
    24
}

async fn long_history(State(api): State<Api>, Asked(of): Asked<LongOf>) -> Result<Json<api::LongHistory>, Refuse> {
    let none = || {
        let fix = "scrape the proxies, and start the mesh with --prometheus URL (docs/prometheus.md)".to_owned();
        Refuse::new(StatusCode::NOT_FOUND, "there is no Prometheus that knows more than the last hour", Some(fix))
    };
    let prometheus = api.prometheus.ok_or_else(none)?;
    let told = prometheus.history(&of.node, of.hours, seconds(now())).await;
    told.map(Json).map_err(|why| {
        let (status, fix) = match why {
            Trouble::Node(_) => (StatusCode::BAD_REQUEST, "ask by an id of /v1/graph"),
            Trouble::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "ask again in a moment"),
            Trouble::Down(..) => {
                (StatusCode::BAD_GATEWAY, "see whether it runs, and whether --prometheus names it; the last hour is known without it")
            }
        };
        Refuse::new(status, why.to_string(), Some(fix.into()))
    })
}

/// On the socket, whoever asks may everything.
async fn page(State(api): State<Api>, role: Option<Extension<api::DashboardRole>>) -> Json<api::PageFacts> {
    let role = role.map_or(api::DashboardRole::Admin, |Extension(role)| role);
    Json(api::PageFacts { role, long_history: api.prometheus.is_some(), links: api.links.to_vec() })
}

async fn flows(State(api): State<Api>) -> Json<api::FlowList> {
    let (items, dropped) = api.core.lock().flows.failed();
    Json(api::FlowList { items, dropped })
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    id: String,
}

async fn request(State(api): State<Api>, Asked(Which { id }): Asked<Which>) -> Result<Json<api::FlowList>, Refuse> {
    let fix = "kept are the last that failed, and for ten minutes those that were slow or sampled (organza trace); a header or share of a TelemetryPolicy samples more";
    let inner = api.core.lock();
    let (items, (_, dropped)) = (inner.flows.of_request(&id), inner.flows.failed());
    match items.is_empty() {
        true => Err(Refuse::new(StatusCode::NOT_FOUND, format!("no request {id:?} is remembered"), Some(fix.into()))),
        false => Ok(Json(api::FlowList { items, dropped })),
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Whose {
    of: String,
}

async fn logs(State(api): State<Api>, Asked(Whose { of }): Asked<Whose>) -> Result<Json<api::LogList>, Refuse> {
    let elsewhere = || Refuse::new(StatusCode::NOT_FOUND, "logs of a cluster are not here", Some("kubectl logs POD".into()));
    let folder = api.logs.ok_or_else(elsewhere)?;
    let unnamed = || Refuse::new(StatusCode::BAD_REQUEST, format!("{of:?} is no name of a process"), None);
    // Files: they may be slow.
    let (folder, name) = (folder.to_path_buf(), of.clone());
    let told = tokio::task::spawn_blocking(move || crate::logs::of(&folder, &name)).await;
    told.ok().flatten().map(Json).ok_or_else(unnamed)
}

async fn traces(State(api): State<Api>, Asked(query): Asked<api::TraceQuery>) -> Json<api::TraceList> {
    Json(api.core.lock().flows.traces.list(&query))
}

async fn trace(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<api::Trace>, Refuse> {
    let fix = "organza trace lists those of the last minutes: what was not sampled, neither failed nor took long, is not kept";
    let unknown = || Refuse::new(StatusCode::NOT_FOUND, format!("there is no trace {id:?}"), Some(fix.into()));
    api.core.lock().flows.traces.of(&id).map(Json).ok_or_else(unknown)
}

/// One request a line, as JSON, until whoever asked is gone. What was too much is told in lines of its own.
async fn tap(State(api): State<Api>, Asked(query): Asked<api::TapQuery>) -> Result<Response, Refuse> {
    let too_many = || Refuse::new(StatusCode::CONFLICT, "too many taps", Some("end another one".into()));
    let heard = api.core.lock().flows.tap(&query).ok_or_else(too_many)?;
    let ending = api.core.ending();
    let told = stream::unfold((heard, 0), |(mut heard, known)| async move {
        // What was too much is told though nothing else comes any more.
        let line = tokio::select! {
            biased;
            line = heard.lines.recv() => Some(line?),
            Ok(()) = heard.dropped.changed() => None,
        };
        let dropped = *heard.dropped.borrow_and_update();
        let missing = (dropped > known).then(|| serde_json::json!({"dropped": dropped - known}));
        let text: String = missing.into_iter().chain(line).map(|one| format!("{one}\n")).collect();
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), (heard, dropped)))
    });
    Ok(([("content-type", "application/x-ndjson")], Body::from_stream(told.take_until(ending))).into_response())
}

async fn dashboard(State(api): State<Api>, Asked(query): Asked<api::DashboardQuery>) -> Result<Json<api::DashboardLink>, Refuse> {
    let link = api.desk.link(query.role, seconds(now()));
    link.map(Json).map_err(|e| Refuse::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string(), None))
}

async fn rotate(State(api): State<Api>) -> Result<Json<api::Roots>, Refuse> {
    api.core.rotate().map_err(|e| Refuse::new(StatusCode::CONFLICT, e.to_string(), Some(e.fix().into())))?;
    Ok(Json(api.core.roots()))
}

async fn diff(State(api): State<Api>, Question(request): Question<api::DiffRequest>) -> Result<Json<api::Diff>, Refuse> {
    let (mut objects, in_cluster) = (Vec::new(), api.core.cluster().is_some());
    for (name, text) in &request.files {
        let (mut read, broken) = frontends::file::parse(name, text);
        read.retain(|object| !(in_cluster && frontends::schema::is_others(&object.object.group, &object.object.kind)));
        let (good, refused) = frontends::schema::check(read);
        if let Some(problem) = broken.into_iter().chain(refused).next() {
            let what = format!("{}:{}: {}", problem.place.file, problem.place.line, problem.report.message);
            return Err(Refuse::new(StatusCode::BAD_REQUEST, what, problem.report.fix));
        }
        objects.extend(good);
    }
    Ok(Json(api.core.diff(objects)))
}

async fn tokens(State(api): State<Api>) -> Json<api::TokenList> {
    Json(api::TokenList { items: api.core.lock().tokens.list(api.core.trust_domain.as_str()) })
}

async fn create_token(State(api): State<Api>, Question(request): Question<api::TokenRequest>) -> Result<Json<api::TokenResponse>, Refuse> {
    use identity::Signer;
    let mut inner = api.core.lock();
    let root = inner.authority.roots().into_iter().next().unwrap_or_default();
    if api.xds_address.starts_with("0.0.0.0:") || api.xds_address.starts_with("[::]:") {
        let fix = match &api.callers {
            Some(_) => "name an address by which the other machine reaches it in its Deployment: --advertise=ADDRESS:PORT",
            None => "start it with organza up --listen ADDRESS:PORT, with an address that the other machine reaches",
        };
        return Err(Refuse::new(
            StatusCode::CONFLICT,
            "the control plane listens on all interfaces, and a token names one",
            Some(fix.into()),
        ));
    }
    let token = Token::create(&root, &api.xds_address).map_err(|e| Refuse::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string(), None))?;
    let many = || Refuse::new(StatusCode::CONFLICT, "too many unused tokens", Some("withdraw some, or wait until they expire".into()));
    let kept = inner.tokens.create(token.secret_hash(), &request, seconds(now())).ok_or_else(many)?;
    drop(inner);
    api.core.keep_token(&kept);
    Ok(Json(api::TokenResponse { id: kept.id, token: token.to_text().to_string(), expires: kept.expires }))
}

async fn withdraw_token(State(api): State<Api>, Path(id): Path<String>) -> Result<(), Refuse> {
    let kept = api.core.lock().tokens.withdraw(&id);
    let kept = kept.ok_or_else(|| Refuse::new(StatusCode::NOT_FOUND, format!("no token is called {id:?}"), None))?;
    api.core.forget_token(&kept);
    Ok(())
}

/// One JSON object a line, from now on.
async fn events(State(api): State<Api>) -> Response {
    let receiver = api.core.events.subscribe();
    let hello = Event::Hello { generation: api.core.world().generation, time: seconds(now()) };
    let ending = api.core.ending();
    let told = stream::unfold(receiver, |mut receiver| async move {
        loop {
            match receiver.recv().await {
                Ok(event) => return Some((event, receiver)),
                // A reader that lags is told what comes next; what it missed is in the state that it can ask for.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let lines = stream::once(async { hello }).chain(told).take_until(ending).map(|event| {
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        Ok::<_, std::convert::Infallible>(Bytes::from(line))
    });
    ([("content-type", "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

#[cfg(test)]
mod tests;
