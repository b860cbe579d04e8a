//! An API server in memory: lists, watches with bookmarks, server-side apply of statuses, finalizers, and all that goes wrong with real ones, on command. It
//! knows no schema, and of apply only that a status is put in another's place; a patch that names no kind is merged.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

type Answer = Response<BoxBody<Bytes, io::Error>>;

/// `apis/GROUP/VERSION` or `api/v1`, plural, kind.
pub const KINDS: &[(&str, &str, &str)] = &[
    ("api/v1", "services", "Service"),
    ("api/v1", "namespaces", "Namespace"),
    ("api/v1", "secrets", "Secret"),
    ("api/v1", "configmaps", "ConfigMap"),
    ("api/v1", "serviceaccounts", "ServiceAccount"),
    ("apis/apps/v1", "deployments", "Deployment"),
    ("apis/authentication.k8s.io/v1", "tokenreviews", "TokenReview"),
    ("apis/discovery.k8s.io/v1", "endpointslices", "EndpointSlice"),
    ("apis/coordination.k8s.io/v1", "leases", "Lease"),
    ("apis/events.k8s.io/v1", "events", "Event"),
    ("apis/policy/v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    ("apis/gateway.networking.k8s.io/v1", "gatewayclasses", "GatewayClass"),
    ("apis/gateway.networking.k8s.io/v1", "gateways", "Gateway"),
    ("apis/gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute"),
    ("apis/gateway.networking.k8s.io/v1", "referencegrants", "ReferenceGrant"),
];

struct Watcher {
    base: String,
    sender: UnboundedSender<Result<Bytes, io::Error>>,
}

#[derive(Default)]
struct State {
    version: u64,
    /// Versions before this one are forgotten: who resumes from there is told 410.
    compacted: u64,
    /// By path.
    objects: BTreeMap<String, Value>,
    log: Vec<(u64, String, Value)>,
    watchers: Vec<Watcher>,
    is_down: bool,
    /// So many requests are answered 429.
    busy: usize,
    hidden: Vec<&'static str>,
    unlisted: Vec<&'static str>,
    forbidden: &'static str,
    kept_back: &'static str,
    /// Every request that changes something: who asked, method and path.
    writes: Vec<String>,
    /// Every watch: path, and version that it began from.
    watches: Vec<String>,
}

#[derive(Clone, Default)]
pub struct Server(Arc<Mutex<State>>);

/// A client's way to the server, under a name.
#[derive(Clone)]
pub struct Way(Server, &'static str);

impl Server {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn client(&self, who: &'static str) -> kube::Client {
        kube::Client::new(Way(self.clone(), who), "default")
    }

    /// Kinds that are as if their CRDs were not installed.
    pub fn hide(&self, kinds: &[&'static str]) {
        self.lock().hidden = kinds.to_vec();
    }

    /// Kinds that the server has, but neither lists nor answers for, as one that has just begun.
    pub fn unlist(&self, kinds: &[&'static str]) {
        self.lock().unlisted = kinds.to_vec();
    }

    /// Nobody may change objects of this plural any more, but their status.
    pub fn forbid(&self, plural: &'static str) {
        self.lock().forbidden = plural;
    }

    /// Watches tell nothing of objects of this plural any more; it is listed and read as ever.
    pub fn keep_back(&self, plural: &'static str) {
        self.lock().kept_back = plural;
    }

    pub fn put(&self, mut object: Value) {
        let mut state = self.lock();
        let path = path_of(&object);
        let before = state.objects.get(&path).cloned();
        object["metadata"]["uid"] = path.clone().into();
        let generation = before.as_ref().map_or(0, |before| before["metadata"]["generation"].as_u64().unwrap_or(0));
        object["metadata"]["generation"] = (generation + 1).into();
        if let Some(status) = before.as_ref().and_then(|before| before.get("status")) {
            object["status"] = status.clone();
        }
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        state.store(path, object, kind);
    }

    pub fn put_status(&self, kind: &str, namespace: &str, name: &str, status: Value) {
        let mut object = self.get(kind, namespace, name);
        object["status"] = status;
        let path = path_of(&object);
        self.lock().store(path, object, "MODIFIED");
    }

    /// What has a finalizer is only marked, and goes with the last of them.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) {
        let mut object = self.get(kind, namespace, name);
        let path = path_of(&object);
        object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        self.lock().store(path, object, "MODIFIED");
    }

    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Value {
        self.lock()
            .objects
            .get(&path_of(&json!({"kind": kind, "metadata": {"namespace": namespace, "name": name}})))
            .cloned()
            .unwrap_or_default()
    }

    pub fn all(&self, kind: &str) -> Vec<Value> {
        self.lock().objects.values().filter(|object| object["kind"] == kind).cloned().collect()
    }

    /// Nobody is answered any more, and every watch breaks off.
    pub fn go(&self) {
        let mut state = self.lock();
        state.is_down = true;
        for watcher in std::mem::take(&mut state.watchers) {
            let _ = watcher.sender.send(Err(io::Error::other("connection reset")));
        }
    }

    pub fn come_back(&self) {
        self.lock().is_down = false;
    }

    /// All versions until now are forgotten, and watches end.
    pub fn compact(&self) {
        let mut state = self.lock();
        state.version += 1;
        state.compacted = state.version;
        state.watchers.clear();
    }

    pub fn be_busy(&self, requests: usize) {
        self.lock().busy = requests;
    }

    /// Since the last time that it was asked, without those of the election.
    pub fn writes(&self) -> Vec<String> {
        let writes = std::mem::take(&mut self.lock().writes);
        writes.into_iter().filter(|write| !write.contains("/leases")).collect()
    }

    pub fn watches(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().watches)
    }

    fn handle(&self, who: &str, method: &Method, path: &str, query: &str, body: &[u8]) -> Answer {
        let mut state = self.lock();
        if state.busy > 0 {
            state.busy -= 1;
            return refuse(StatusCode::TOO_MANY_REQUESTS, "too many requests");
        }
        if *method != Method::GET {
            state.writes.push(format!("{who} {method} {path}"));
        }
        match *method {
            Method::GET => state.read(path, query),
            _ => state.write(method, path, serde_json::from_slice(body).unwrap_or_default()),
        }
    }
}

impl State {
    fn kinds(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        KINDS.iter().filter(|(_, _, kind)| !self.hidden.contains(kind) && !self.unlisted.contains(kind)).copied().collect()
    }

    /// The CRD of a kind.
    fn definition(&self, name: &str) -> Answer {
        let is_it = |api: &str, plural: &str| api.split('/').nth(1).is_some_and(|group| format!("{plural}.{group}") == name);
        match KINDS.iter().any(|(api, plural, kind)| is_it(api, plural) && !self.hidden.contains(kind)) {
            true => answer(&json!({
                "metadata": {"name": name},
                "spec": {"versions": [{"name": "v1", "served": true}]},
                "status": {"conditions": [{"type": "Established", "status": "True"}]},
            })),
            false => refuse(StatusCode::NOT_FOUND, "not found"),
        }
    }

    fn store(&mut self, path: String, mut object: Value, kind: &str) {
        if object["metadata"]["deletionTimestamp"].is_string() && is_free(&object) {
            self.objects.remove(&path);
            return self.tell(&path, "DELETED", object);
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(path.clone(), object.clone());
        self.tell(&path, kind, object);
    }

    fn tell(&mut self, path: &str, kind: &str, mut object: Value) {
        if kind == "DELETED" {
            self.version += 1;
            object["metadata"]["resourceVersion"] = self.version.to_string().into();
        }
        let event = json!({"type": kind, "object": object});
        self.log.push((self.version, path.to_owned(), event.clone()));
        if !self.kept_back.is_empty() && path.contains(self.kept_back) {
            return;
        }
        self.watchers.retain(|watcher| !is_under(path, &watcher.base) || watcher.sender.send(Ok(line(&event))).is_ok());
    }

    fn read(&mut self, path: &str, query: &str) -> Answer {
        let kinds = self.kinds();
        if path == "/apis" {
            return answer(&groups(&kinds));
        }
        if let Some(name) = path.strip_prefix("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/") {
            return self.definition(name);
        }
        let whole = path.trim_start_matches('/');
        if kinds.iter().any(|(api, ..)| *api == whole) {
            let resources: Vec<Value> = kinds
                .iter()
                .filter(|(api, ..)| *api == whole)
                .map(|(_, plural, kind)| json!({"name": plural, "kind": kind, "singularName": "", "namespaced": true, "verbs": ["list", "watch"]}))
                .collect();
            let group_version = whole.trim_start_matches("apis/").trim_start_matches("api/");
            return answer(&json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources}));
        }
        if !kinds.iter().any(|(api, plural, _)| whole.starts_with(api) && whole.split('/').any(|part| part == *plural)) {
            return refuse(StatusCode::NOT_FOUND, "the server could not find the requested resource");
        }
        let asked: BTreeMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        if asked.get("watch").is_some_and(|watch| matches!(*watch, "true" | "1")) {
            return self.watch(path, asked.get("resourceVersion").copied().unwrap_or("0"));
        }
        if kinds.iter().any(|(api, plural, _)| format!("/{api}/{plural}") == path) {
            let items: Vec<&Value> = self.objects.iter().filter(|(at, _)| is_under(at, path)).map(|(_, object)| object).collect();
            return answer(&json!({"kind": "List", "metadata": {"resourceVersion": self.version.to_string()}, "items": items}));
        }
        self.objects.get(path).map_or_else(|| refuse(StatusCode::NOT_FOUND, "not found"), answer)
    }

    fn watch(&mut self, base: &str, from: &str) -> Answer {
        self.watches.push(format!("{base} {from}"));
        let from: u64 = from.parse().unwrap_or(0);
        let (sender, receiver) = unbounded_channel();
        if from < self.compacted {
            let gone = json!({"type": "ERROR", "object": status(StatusCode::GONE, "too old resource version")});
            sender.send(Ok(line(&gone))).unwrap();
        } else {
            for (_, _, event) in self.log.iter().filter(|(version, path, _)| *version > from && is_under(path, base)) {
                sender.send(Ok(line(event))).unwrap();
            }
            let bookmark = json!({"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "K", "metadata": {"resourceVersion": self.version.to_string()}}});
            sender.send(Ok(line(&bookmark))).unwrap();
            self.watchers.push(Watcher { base: base.to_owned(), sender });
        }
        let lines = tokio_stream::wrappers::UnboundedReceiverStream::new(receiver).map(|line| line.map(Frame::data));
        Response::new(BoxBody::new(StreamBody::new(lines)))
    }

    /// Tokens are of the form `NAMESPACE/SERVICE ACCOUNT/POD`.
    fn review(&self, body: &Value) -> Answer {
        let token = body["spec"]["token"].as_str().unwrap_or("");
        let parts: Vec<&str> = token.split('/').collect();
        let status = match parts[..] {
            [namespace, account, pod] => json!({
                "authenticated": true, "audiences": body["spec"]["audiences"],
                "user": {
                    "username": format!("system:serviceaccount:{namespace}:{account}"),
                    "extra": {"authentication.kubernetes.io/pod-name": [pod]},
                },
            }),
            _ => json!({"authenticated": false}),
        };
        answer(
            &json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": body["spec"], "status": status}),
        )
    }

    fn write(&mut self, method: &Method, path: &str, body: Value) -> Answer {
        let (at, is_status) = path.strip_suffix("/status").map_or((path, false), |at| (at, true));
        let at = if *method == Method::POST {
            format!("{at}/{}", body["metadata"]["name"].as_str().unwrap_or("generated"))
        } else {
            at.to_owned()
        };
        if let Some(review) = at.contains("/tokenreviews/").then(|| self.review(&body)) {
            return review;
        }
        if !is_status && !self.forbidden.is_empty() && at.contains(self.forbidden) {
            return refuse(StatusCode::FORBIDDEN, "may not patch");
        }
        let before = self.objects.get(&at).cloned();
        let version = body["metadata"]["resourceVersion"].as_str();
        let is_old = |before: &Value| version.is_some_and(|version| before["metadata"]["resourceVersion"] != version);
        match (method, before) {
            (&Method::POST, Some(_)) => refuse(StatusCode::CONFLICT, "already exists"),
            (&Method::POST, None) => {
                self.store(at.clone(), body, "ADDED");
                answer(&self.objects[&at])
            }
            (&Method::PATCH, None) if !is_status => {
                self.store(at.clone(), body, "ADDED");
                answer(&self.objects[&at])
            }
            (_, None) => refuse(StatusCode::NOT_FOUND, "not found"),
            (_, Some(before)) if is_old(&before) => refuse(StatusCode::CONFLICT, "the object has been modified"),
            (_, Some(before)) => {
                let mut after = before.clone();
                match body.get("kind") {
                    _ if is_status => after["status"] = body["status"].clone(),
                    None => merge(&mut after, &body),
                    Some(_) => {
                        after.clone_from(&body);
                        after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
                        after["status"] = before.get("status").cloned().unwrap_or_default();
                    }
                }
                if after != before {
                    self.store(at.clone(), after.clone(), "MODIFIED");
                }
                answer(self.objects.get(&at).unwrap_or(&after))
            }
        }
    }
}

impl tower::Service<Request<Body>> for Way {
    type Response = Answer;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Answer>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self(server, who) = self.clone();
        Box::pin(async move {
            if server.lock().is_down {
                return Err(io::Error::other("connection refused"));
            }
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            Ok(server.handle(who, &parts.method, parts.uri.path(), parts.uri.query().unwrap_or(""), &body))
        })
    }
}

fn path_of(object: &Value) -> String {
    let (api, plural, _) = KINDS.iter().find(|(_, _, kind)| object["kind"] == *kind).expect("a kind of the server's");
    let name = object["metadata"]["name"].as_str().expect("a name");
    match object["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("/{api}/namespaces/{namespace}/{plural}/{name}"),
        None => format!("/{api}/{plural}/{name}"),
    }
}

/// RFC 7396.
fn merge(object: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else { return object.clone_from(patch) };
    for (name, value) in fields {
        match value {
            Value::Null => drop(object.as_object_mut().map(|object| object.remove(name))),
            value => merge(&mut object[name.as_str()], value),
        }
    }
}

/// Nobody holds it.
fn is_free(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty)
}

/// Whether an object is of a collection of all namespaces.
fn is_under(path: &str, base: &str) -> bool {
    let Some((api, plural)) = base.rsplit_once('/') else { return false };
    let mut parts = path.rsplit('/').skip(1);
    path.starts_with(api) && parts.next() == Some(plural)
}

fn groups(kinds: &[(&str, &str, &str)]) -> Value {
    let mut versions: Vec<&str> = kinds.iter().filter_map(|(api, ..)| api.strip_prefix("apis/")).collect();
    versions.dedup();
    let group = |whole: &&str| {
        let (group, version) = whole.split_once('/').unwrap();
        json!({"name": group, "versions": [{"groupVersion": whole, "version": version}]})
    };
    json!({"kind": "APIGroupList", "groups": versions.iter().map(group).collect::<Vec<_>>()})
}

fn line(event: &Value) -> Bytes {
    Bytes::from(format!("{event}\n"))
}

fn answer(value: &Value) -> Answer {
    Response::new(full(value))
}

fn full(value: &Value) -> BoxBody<Bytes, io::Error> {
    BoxBody::new(Full::new(Bytes::from(value.to_string())).map_err(|never| match never {}))
}

fn status(code: StatusCode, message: &str) -> Value {
    let reason = match code {
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::CONFLICT => "Conflict",
        StatusCode::GONE => "Expired",
        StatusCode::FORBIDDEN => "Forbidden",
        _ => "TooManyRequests",
    };
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(), "message": message, "reason": reason})
}

fn refuse(code: StatusCode, message: &str) -> Answer {
    let mut response = Response::new(full(&status(code, message)));
    *response.status_mut() = code;
    response
}
