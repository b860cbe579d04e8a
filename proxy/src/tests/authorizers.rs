//! Authorizers outside of the mesh's own rules, over real connections: one that speaks HTTP (hyper) and one that speaks Envoy's gRPC (tonic), at the
//! gateway, beside the workload and by a rule; what they are told, what they may change, and what becomes of requests where they do not answer.

use super::grpc::{answer, client, post};
use super::resources::{self, GRPC, HTTP, Place};
use super::{Shop, access, bounded, key};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use model::access::{AccessMatch, AccessPath, AccessRule, AccessTarget, Clause, DefaultAccess, Egress, ExplainDenials, Group, Term};
use model::authorizer::{AskedBy, Asking, ExternalAuthorizer, Fields};
use model::route::Cors;
use model::{Backend as To, Filter, HeaderMatch, Kind, Listener, Method, ObjectRef, Origin, Resource, ServiceRef, Target, ValueMatch};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use transport::body::Length;
use wire::authorization::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption, HttpResponse, HttpStatus, OkHttpResponse, Status,
};

/// What was asked, in words.
type Heard = Arc<Mutex<Vec<String>>>;

/// An authorizer that speaks HTTP, and answers what `decide` says to what it hears.
async fn http_authorizer(decide: fn(&Request<()>) -> Response<Full<Bytes>>) -> (u16, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Heard::default();
    let log = heard.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let log = log.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let log = log.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    let mut fields: Vec<String> =
                        parts.headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap_or("?"))).collect();
                    fields.sort();
                    let line = format!("{} {} [{}] {}", parts.method, parts.uri, fields.join(" "), String::from_utf8_lossy(&body));
                    log.lock().unwrap().push(line);
                    Ok::<_, hyper::Error>(decide(&Request::from_parts(parts, ())))
                }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (port, heard)
}

fn by_header(request: &Request<()>) -> Response<Full<Bytes>> {
    let answer = |status: u16| Response::builder().status(status);
    let full = |text: &'static str| Full::new(Bytes::from_static(text.as_bytes()));
    match request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or("") {
        "good" => answer(200).header("x-user", "ann").header("x-other", "kept").body(full("ignored")),
        "login" => answer(302).header("location", "https://login.example/").header("set-cookie", "a=b").body(full("")),
        "no-content" => answer(204).body(full("")),
        "broken" => answer(500).body(full("trace of a stack")),
        "huge" => answer(401).body(Full::new(Bytes::from(vec![b'x'; 1 << 20]))),
        _ => answer(401).header("www-authenticate", "Custom").header("proxy-status", "inner").body(full("who are you?")),
    }
    .unwrap()
}

/// Envoy's service, by tonic.
#[derive(Clone)]
struct Checker(Arc<dyn Fn(CheckRequest) -> Result<CheckResponse, tonic::Status> + Send + Sync>);

impl tonic::server::UnaryService<CheckRequest> for Checker {
    type Response = CheckResponse;
    type Future = std::future::Ready<Result<tonic::Response<CheckResponse>, tonic::Status>>;
    fn call(&mut self, request: tonic::Request<CheckRequest>) -> Self::Future {
        std::future::ready((self.0)(request.into_inner()).map(tonic::Response::new))
    }
}

impl tonic::server::NamedService for Checker {
    const NAME: &'static str = "envoy.service.auth.v3.Authorization";
}

impl tower::Service<http::Request<tonic::body::Body>> for Checker {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;
    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        assert_eq!(request.uri().path(), "/envoy.service.auth.v3.Authorization/Check");
        let checker = self.clone();
        Box::pin(async move {
            let codec = tonic_prost::ProstCodec::<CheckResponse, CheckRequest>::default();
            Ok(tonic::server::Grpc::new(codec).unary(checker, request).await)
        })
    }
}

async fn grpc_authorizer(decide: impl Fn(CheckRequest) -> Result<CheckResponse, tonic::Status> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder().add_service(Checker(Arc::new(decide)));
    tokio::spawn(server.serve_with_incoming(incoming));
    port
}

fn asking(protocol: AskedBy) -> Asking {
    let port = if protocol == AskedBy::Grpc { GRPC } else { HTTP };
    let to = To::Service(ServiceRef { service: key(Kind::Service, "auth"), port, subset: None });
    Asking { backend: to, protocol, told: Fields::Only(Vec::new()), body: 0, timeout: Duration::from_secs(20), fail_open: false }
}

fn by_http() -> Asking {
    asking(AskedBy::Http { prefix: "/check".into(), taken: Fields::Only(vec!["x-user".into()]) })
}

fn guard(target: AccessTarget, asked: Asking) -> Resource {
    Resource::ExternalAuthorizer(Arc::new(ExternalAuthorizer {
        key: key(Kind::ExternalAuthorizer, "externalauthorizer.door"),
        origin: Origin::new(ObjectRef::new("organza.dev", "ExternalAuthorizer", "shop", "door"), ""),
        targets: vec![target],
        only: None,
        asked,
    }))
}

const BY: &str = "ExternalAuthorizer shop/door";

fn at_gateway() -> AccessTarget {
    AccessTarget::Gateway(key(Kind::Gateway, "edge"))
}

struct Edge {
    shop: Shop,
    gateway: super::Proxy,
    door: SocketAddr,
    backend: Backend,
}

impl Edge {
    /// A gateway before the shop, with an authorizer at that port of loopback, and a rule with these filters.
    async fn new(authorizer: u16, filters: Vec<Filter>) -> Self {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let mut rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        rule.filters = filters;
        let target = Target::Listener(key(Kind::Listener, "edge.web"));
        let mut all = resources::service("auth", &[Place::plain("auth-1", authorizer)]);
        all.extend([resources::listener(80, None), resources::route(target, rule)]);
        shop.mesh.put(all);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        Self { shop, gateway, door, backend }
    }

    async fn get(&self, token: &str) -> (u16, http::HeaderMap, String) {
        let mut shot = Shot::get(self.door, "shop.example", "/books?page=1");
        shot.headers = vec![("authorization".into(), token.into()), ("x-user".into(), "root".into()), ("cookie".into(), "c=1".into())];
        let (status, headers, body) = fetch(&shot).await.unwrap();
        (status.as_u16(), headers, String::from_utf8_lossy(&body).into_owned())
    }

    fn counted(&self, result: &str) -> bool {
        self.counted_by(BY, result)
    }

    fn counted_by(&self, by: &str, result: &str) -> bool {
        let line = format!("organza_external_authorizations_total{{authorizer=\"{by}\",result=\"{result}\"}}");
        self.gateway.worker.shared.metrics.encode().contains(&line)
    }
}

#[tokio::test]
async fn an_authorizer_by_http_sees_the_request_and_its_answer_is_the_callers() {
    bounded(async {
        let (port, heard) = http_authorizer(by_header).await;
        let mut edge = Edge::new(port, Vec::new()).await;
        edge.shop.mesh.put(vec![guard(at_gateway(), by_http())]);
        let (status, _, body) = edge.get("good").await;
        assert_eq!(status, 200, "{body}");
        let seen = body.to_lowercase();
        assert!(seen.contains("x-user: ann") && !seen.contains("root") && !seen.contains("x-other"), "{body}");
        let question = heard.lock().unwrap().remove(0);
        assert_eq!(question, "GET /check/books?page=1 [authorization=good content-length=0 host=shop.example x-organza-asked=2] ");
        assert!(edge.counted("allowed"));
        let (status, headers, body) = edge.get("bad").await;
        assert_eq!((status, body.as_str()), (401, "who are you?"));
        assert!(headers["www-authenticate"] == "Custom", "{headers:?}");
        assert_eq!(headers["proxy-status"], "organza; error=http_request_denied", "a stranger reads no more than that");
        let record = edge.gateway.failed("access_denied").await;
        assert_eq!((&record["verdict_by"], &record["response_code"]), (&BY.into(), &401.into()));
        assert_eq!(record["reason"], format!("the authorizer of {BY} answered 401"));
        let (status, headers, _) = edge.get("login").await;
        assert_eq!(
            (status, &headers["location"], &headers["set-cookie"]),
            (302, &"https://login.example/".parse().unwrap(), &"a=b".parse().unwrap())
        );
        assert_eq!(headers["proxy-status"], "organza; error=http_request_denied");
        assert_eq!(edge.gateway.failed("access_denied").await["reason"], format!("the authorizer of {BY} answered 302"));
        let (status, headers, _) = edge.get("no-content").await;
        assert_eq!(status, 403, "no caller reads that he is let in who is not");
        assert_eq!(headers["proxy-status"], "organza; error=http_request_denied");
        let record = edge.gateway.failed("access_denied").await;
        assert_eq!(record["reason"], format!("the authorizer of {BY} answered 204, which allows nothing"));
        let (status, _, body) = edge.get("huge").await;
        assert_eq!((status, body.len()), (401, 0), "what is too long is not passed on in part");
        assert!(edge.counted("denied") && !edge.counted("failed"));
        assert_eq!(edge.backend.requests(), 1);
        // Fields that it is told are its to judge, and stay.
        let told = Asking { told: Fields::Only(vec!["x-user".into(), "cookie".into()]), ..by_http() };
        edge.shop.mesh.put(vec![guard(at_gateway(), told)]);
        heard.lock().unwrap().clear();
        assert_eq!(edge.get("good").await.0, 200);
        assert!(
            heard.lock().unwrap()[0]
                .contains("[authorization=good content-length=0 cookie=c=1 host=shop.example x-organza-asked=2 x-user=root]"),
            "{heard:?}"
        );
    })
    .await;
}

/// What it writes is what routes match, what it refuses reaches no route, and what it is told is what came (GEP-5224).
#[tokio::test]
async fn a_listeners_own_are_asked_in_order_before_the_request_is_routed() {
    bounded(async {
        let (port, heard) = http_authorizer(by_header).await;
        let mut edge = Edge::new(port, Vec::new()).await;
        let asks = |all: &[Asking]| {
            let Resource::Listener(plain) = resources::listener(80, None) else { panic!("a listener") };
            Resource::Listener(Arc::new(Listener { asks: all.iter().cloned().map(Arc::new).collect(), ..(*plain).clone() }))
        };
        // The rule takes those that the authorizer calls ann, whatever strangers call themselves.
        let mut rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        let header = HeaderMatch { name: "x-user".into(), value: ValueMatch::Exact("ann".into()) };
        rule.matches[0].matches.headers.push(header);
        let target = Target::Listener(key(Kind::Listener, "edge.web"));
        edge.shop.mesh.put(vec![resources::route(target, rule)]);
        assert_eq!(edge.get("good").await.0, 404);
        let second = Asking { told: Fields::Only(vec!["x-user".into()]), body: 64, ..by_http() };
        edge.shop.mesh.put(vec![asks(&[by_http(), second.clone()])]);
        let (status, _, body) = edge.get("good").await;
        assert_eq!(status, 200, "{body}");
        let questions = std::mem::take(&mut *heard.lock().unwrap());
        assert!(!questions[0].contains("x-user") && questions[1].contains("x-user=ann"), "{questions:?}");
        const GATEWAY: &str = "Gateway shop/edge";
        assert!(edge.counted_by(GATEWAY, "allowed"));
        let (status, _, body) = edge.get("bad").await;
        assert_eq!((status, body.as_str()), (401, "who are you?"));
        assert_eq!((heard.lock().unwrap().len(), edge.backend.requests()), (1, 1), "nothing comes after a denial");
        let record = edge.gateway.failed("access_denied").await;
        assert_eq!(
            (&record["verdict_by"], &record["reason"]),
            (&GATEWAY.into(), &format!("the authorizer of {GATEWAY} answered 401").into())
        );
        assert!(record.get("route").is_none_or(serde_json::Value::is_null), "{record}");
        // A body that was held there is sent on, and one that nobody can be asked about goes nowhere.
        let mut stream = TcpStream::connect(edge.door).await.unwrap();
        let head = "POST /b HTTP/1.1\r\nHost: shop.example\r\nAuthorization: good\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        assert!(all.starts_with("HTTP/1.1 200") && all.contains("catalog POST /b 4\n"), "{all}");
        let invalid = To::Invalid { reason: model::InvalidBackend::BackendNotFound, message: "it does not exist".into() };
        edge.shop.mesh.put(vec![asks(&[by_http(), Asking { backend: invalid, ..second }])]);
        assert_eq!(edge.get("good").await.0, 500);
    })
    .await;
}

/// As Istio's `CUSTOM` has it.
#[tokio::test]
async fn one_with_rules_is_asked_about_what_they_may_mean_and_nothing_else() {
    bounded(async {
        let (port, heard) = http_authorizer(by_header).await;
        let mut edge = Edge::new(port, Vec::new()).await;
        let only = |any: Vec<AccessMatch>| {
            let Resource::ExternalAuthorizer(one) = guard(at_gateway(), by_http()) else { panic!("an authorizer") };
            let clauses = vec![Clause(vec![Group(vec![Term::is(any)])])];
            let rules = vec![AccessRule { name: "some".into(), clauses }];
            Resource::ExternalAuthorizer(Arc::new(ExternalAuthorizer { only: Some(rules), ..(*one).clone() }))
        };
        let method = |method| AccessMatch::Method(method);
        let path = |path: &str| AccessMatch::Path(AccessPath::segments(path));
        // What it is asked about it refuses; what it is not goes on without what it alone may write.
        for (any, status) in [
            (vec![method(Method::Post)], 200),
            (vec![path("/orders")], 200),
            (vec![], 200),
            (vec![method(Method::Get)], 401),
            (vec![path("/books")], 401),
            (vec![path("/orders"), AccessMatch::Unknown], 401),
        ] {
            edge.shop.mesh.put(vec![only(any.clone())]);
            let (got, _, body) = edge.get("bad").await;
            assert_eq!(got, status, "{any:?}: {body}");
            assert_eq!(heard.lock().unwrap().drain(..).count(), usize::from(status == 401), "{any:?}");
            assert!(!body.contains("root"), "{any:?}: {body}");
        }
        // A path that can be read as another is one that it may mean.
        edge.shop.mesh.put(vec![only(vec![path("/orders")])]);
        for (target, status) in [("/books/7", 200), ("/books/..%2forders", 401), ("//orders", 401), ("/books;/orders", 401)] {
            let mut shot = Shot::get(edge.door, "shop.example", target);
            shot.headers = vec![("authorization".into(), "bad".into())];
            assert_eq!(fetch(&shot).await.unwrap().0.as_u16(), status, "{target}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_is_not_heard_lets_nobody_through() {
    bounded(async {
        let (port, _) = http_authorizer(by_header).await;
        let mut edge = Edge::new(port, Vec::new()).await;
        edge.shop.mesh.put(vec![guard(at_gateway(), by_http())]);
        let (status, headers, body) = edge.get("broken").await;
        assert_eq!((status, body.as_str()), (503, "authorizer_failed\n"), "strangers read no stack");
        assert_eq!(headers["proxy-status"], "organza; error=proxy_internal_error");
        let record = edge.gateway.failed("authorizer_failed").await;
        assert_eq!((&record["verdict_by"], &record["response_flags"]), (&BY.into(), &"UAEX".into()));
        assert!(record["reason"].as_str().unwrap().contains("it answered 500"), "{record}");
        // A server that hangs, one that talks no HTTP, and one that is not there.
        let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let garbage = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ports = [&hangs, &garbage, &gone].map(|listener| listener.local_addr().unwrap().port());
        drop(gone);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = garbage.accept().await {
                let _ = stream.write_all(b"\x00\x01\x02 what?\r\n\r\n").await;
            }
        });
        let quick = Asking { timeout: Duration::from_millis(200), ..by_http() };
        for (port, asked) in ports.into_iter().zip([quick, by_http(), by_http()]) {
            for protocol in [asked.protocol.clone(), AskedBy::Grpc] {
                let asked = Asking { backend: asking(protocol.clone()).backend, protocol, ..asked.clone() };
                let mut all = resources::service("auth", &[Place::plain("auth-1", port)]);
                all.push(guard(at_gateway(), asked.clone()));
                edge.shop.mesh.put(all);
                assert_eq!(edge.get("good").await.0, 503, "{asked:?}");
                let is_named = asked.protocol != AskedBy::Grpc;
                edge.shop.mesh.put(vec![guard(at_gateway(), Asking { fail_open: true, ..asked })]);
                let (status, _, body) = edge.get("good").await;
                // What the authorizer alone may write nobody writes in its stead.
                assert!(status == 200 && body.to_lowercase().contains("x-user: root") != is_named, "{body}");
            }
        }
        assert!(edge.counted("failed") && edge.counted("open"));
        // Where nobody can be asked at all, nobody is let through, whatever else is said.
        let invalid = To::Invalid { reason: model::InvalidBackend::BackendNotFound, message: "it does not exist".into() };
        edge.shop.mesh.put(vec![guard(at_gateway(), Asking { backend: invalid, fail_open: true, ..by_http() })]);
        assert_eq!(edge.get("good").await.0, 500);
        drop(hangs);
    })
    .await;
}

#[tokio::test]
async fn bodies_are_told_whole_or_not_at_all_and_sent_on() {
    bounded(async {
        let (port, heard) = http_authorizer(by_header).await;
        let mut edge = Edge::new(port, Vec::new()).await;
        edge.shop.mesh.put(vec![guard(at_gateway(), Asking { body: 8, ..by_http() })]);
        let say = async |head: &str, body: &str| {
            let mut stream = TcpStream::connect(edge.door).await.unwrap();
            let head = format!("POST /b HTTP/1.1\r\nHost: shop.example\r\nAuthorization: good\r\nConnection: close\r\n{head}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            if head.contains("Expect") {
                let mut interim = [0; 25];
                stream.read_exact(&mut interim).await.unwrap();
                assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            let _ = stream.write_all(body.as_bytes()).await;
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all).await;
            String::from_utf8_lossy(&all).into_owned()
        };
        for (head, body) in [
            ("Content-Length: 8", "12345678"),
            ("Transfer-Encoding: chunked", "4\r\n1234\r\n4\r\n5678\r\n0\r\n\r\n"),
            ("Content-Length: 8\r\nExpect: 100-continue", "12345678"),
        ] {
            let said = say(head, body).await;
            assert!(said.starts_with("HTTP/1.1 200") && said.contains("catalog POST /b 8\n"), "{head}: {said}");
            let question = heard.lock().unwrap().remove(0);
            assert!(question.contains("content-length=8") && question.ends_with(" 12345678"), "{question}");
        }
        let upgrade = "Content-Length: 9\r\nConnection: upgrade\r\nUpgrade: x";
        let chunked = ("Transfer-Encoding: chunked", "9\r\n123456789\r\n0\r\n\r\n");
        for (head, body) in [("Content-Length: 9", "123456789"), chunked, (upgrade, "123456789")] {
            let said = say(head, body).await;
            assert!(said.starts_with("HTTP/1.1 413"), "{head}: {said}");
        }
        assert!(heard.lock().unwrap().is_empty(), "nobody decides on a part");
        // Authorizers that guard each other would ask for ever.
        for (depth, status) in [("3", "200"), ("4", "503"), ("x", "503")] {
            let said = say(&format!("Content-Length: 0\r\nX-Organza-Asked: {depth}"), "").await;
            assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{depth}: {said}");
        }
        let question = heard.lock().unwrap().remove(0);
        assert!(question.contains("x-organza-asked=4"), "{question}");
        let h2 = client(edge.door).await;
        let mut head = post("shop.example", "/b", false);
        head.headers.push("authorization", b"good");
        let (mut up, mut reply) = h2.request(&head, Length::Open).unwrap();
        up.send(Bytes::from_static(b"1234")).await.unwrap();
        up.finish(None).await.unwrap();
        assert_eq!(answer(&mut reply).await.unwrap().0.status, 200);
        assert!(heard.lock().unwrap()[0].ends_with(" 1234"), "{heard:?}");
        assert_eq!(edge.backend.requests(), 5);
    })
    .await;
}

#[tokio::test]
async fn bodies_that_are_held_have_a_bound_in_common() {
    bounded(async {
        let (port, heard) = http_authorizer(by_header).await;
        let mut edge = Edge::new(port, Vec::new()).await;
        edge.shop.mesh.put(vec![guard(at_gateway(), Asking { body: 8, ..by_http() })]);
        let say = async || {
            let mut shot = Shot::upload(edge.door, "shop.example", "/b", 8);
            shot.headers.push(("authorization".into(), "good".into()));
            fetch(&shot).await.unwrap().0.as_u16()
        };
        let held = &edge.gateway.worker.shared.bodies;
        held.store(crate::limits::BODIES_HELD - 7, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(say().await, 503);
        let record = edge.gateway.failed("overflow").await;
        assert!(record["reason"].as_str().unwrap().starts_with("no room to hold the body"), "{record}");
        assert!(heard.lock().unwrap().is_empty());
        held.store(crate::limits::BODIES_HELD - 8, std::sync::atomic::Ordering::Relaxed);
        assert_eq!((say().await, say().await), (200, 200), "what was held is free again");
    })
    .await;
}

fn option(name: &str, value: &str) -> HeaderValueOption {
    let header = Some(HeaderValue { key: name.into(), value: value.into(), raw_value: Vec::new() });
    HeaderValueOption { header, append: None, append_action: 0 }
}

fn checked(request: CheckRequest) -> Result<CheckResponse, tonic::Status> {
    let attributes = request.attributes.unwrap();
    let http = attributes.request.unwrap().http.unwrap();
    let status = |code| Some(Status { code });
    match http.headers.get("authorization").map(String::as_str).unwrap_or("") {
        "good" => {
            let source = attributes.source.unwrap();
            let address = source.address.unwrap().socket_address.unwrap().address;
            let told =
                format!("{}|{}|{}|{}|{}|{}|{}", http.method, http.host, http.path, http.scheme, http.body, address, source.principal);
            let headers = vec![option("x-told", &told), option("x-user", "ann")];
            let ok = OkHttpResponse { headers, headers_to_remove: vec!["Cookie".into()] };
            Ok(CheckResponse { status: status(0), http_response: Some(HttpResponse::Ok(ok)) })
        }
        "silent" => Ok(CheckResponse::default()),
        "error" => Err(tonic::Status::internal("oh")),
        "odd" => {
            let ok = OkHttpResponse { headers: vec![option("x-user", "a\r\nx-admin: yes")], headers_to_remove: Vec::new() };
            Ok(CheckResponse { status: status(0), http_response: Some(HttpResponse::Ok(ok)) })
        }
        _ => {
            let denied = DeniedHttpResponse {
                status: Some(HttpStatus { code: 401 }),
                headers: vec![option("www-authenticate", "Custom"), option("bad name", "x")],
                body: "who are you?".into(),
            };
            Ok(CheckResponse { status: status(16), http_response: Some(HttpResponse::Denied(denied)) })
        }
    }
}

#[tokio::test]
async fn an_authorizer_by_grpc_is_told_who_and_what_and_edits_the_request() {
    bounded(async {
        let port = grpc_authorizer(checked).await;
        let mut edge = Edge::new(port, Vec::new()).await;
        let asked = Asking { told: Fields::All, ..asking(AskedBy::Grpc) };
        edge.shop.mesh.put(vec![guard(at_gateway(), asked.clone())]);
        let (status, _, body) = edge.get("good").await;
        let seen = body.to_lowercase();
        assert_eq!(status, 200, "{body}");
        assert!(seen.contains("x-told: get|shop.example|/books?page=1|http||127.0.0.1|\n"), "{body}");
        assert!(seen.contains("x-user: ann") && !seen.contains("root") && !seen.contains("cookie"), "{body}");
        let (status, headers, body) = edge.get("bad").await;
        assert_eq!((status, body.as_str(), &headers["www-authenticate"]), (401, "who are you?", &"Custom".parse().unwrap()));
        for token in ["silent", "error", "odd"] {
            assert_eq!(edge.get(token).await.0, 503, "{token}");
        }
        assert_eq!(edge.backend.requests(), 1);
        // Beside the workload the caller is known by its identity, and gRPC callers read gRPC's status.
        edge.shop.mesh.put(vec![guard(AccessTarget::Namespace("shop".into()), asked)]);
        let mut shot = Shot::get(edge.shop.web.named("catalog", HTTP), "catalog", "/");
        shot.headers = vec![("authorization".into(), "good".into())];
        let (status, _, body) = fetch(&shot).await.unwrap();
        let body = String::from_utf8_lossy(&body).to_lowercase();
        assert!(status == 200 && body.contains("|127.0.0.1|spiffe://organza.local/ns/shop/sa/web"), "{body}");
        let grpc = client(edge.shop.web.named("catalog", GRPC)).await;
        let (_up, mut reply) = grpc.request(&post("catalog", "/books.Books/Get", true), Length::None).unwrap();
        let (head, _) = answer(&mut reply).await.unwrap();
        let said = |name| head.headers.text(name);
        assert_eq!((head.status, said("grpc-status"), said("grpc-message")), (200, Some("16"), Some("who are you?")));
        assert_eq!(said("www-authenticate"), Some("Custom"));
        assert_eq!(edge.backend.requests(), 2);
        let record = edge.shop.catalog.failed("access_denied").await;
        assert_eq!((&record["verdict_by"], &record["grpc_status"]), (&BY.into(), &16.into()));
        // Members are told why, unless nobody is to be.
        let details = format!("; error=http_request_denied; details=\"the authorizer of {BY} answered 401\"");
        assert!(said("proxy-status").is_some_and(|told| told.ends_with(&details)), "{:?}", said("proxy-status"));
        edge.shop.mesh.put(vec![access::settings(DefaultAccess::AllowMeshed, Egress::Any, ExplainDenials::Never)]);
        shot.headers = vec![("authorization".into(), "bad".into())];
        let (status, headers, _) = fetch(&shot).await.unwrap();
        let told = headers["proxy-status"].to_str().unwrap();
        assert!(status == 401 && told.ends_with("; error=http_request_denied"), "{told}");
    })
    .await;
}

#[tokio::test]
async fn the_authorizer_of_a_rule_is_asked_before_its_filters_and_not_about_cross_origin_questions() {
    bounded(async {
        let (port, heard) = http_authorizer(by_header).await;
        let cors = Cors {
            allow_origins: vec!["https://site.example".into()],
            allow_methods: vec!["GET".into()],
            allow_headers: Vec::new(),
            expose_headers: Vec::new(),
            allow_credentials: false,
            max_age: Duration::from_secs(5),
        };
        let edits = model::route::HeaderEdits { set: vec![("authorization".into(), "good".into())], ..Default::default() };
        let filters = vec![Filter::RequestHeaders(edits), Filter::ExternalAuth(Arc::new(by_http())), Filter::Cors(cors)];
        let edge = Edge::new(port, filters).await;
        assert_eq!(edge.get("bad").await.0, 401, "what filters write is not what callers show");
        let record = edge.gateway.failed("access_denied").await;
        assert_eq!(record["verdict_by"], "HTTPRoute shop/test");
        assert_eq!(edge.get("good").await.0, 200);
        let record = edge.gateway.record().await;
        assert_eq!(record["filters"][0], "CORS");
        assert!(record["filters"].to_string().contains("ExternalAuth shop/auth:80"), "{record}");
        assert!(edge.counted_by("HTTPRoute shop/test", "denied"));
        heard.lock().unwrap().clear();
        let mut shot = Shot::get(edge.door, "shop.example", "/");
        shot.method = "OPTIONS";
        shot.headers = vec![("origin".into(), "https://site.example".into()), ("access-control-request-method".into(), "GET".into())];
        assert_eq!(fetch(&shot).await.unwrap().0.as_u16(), 204);
        assert!(heard.lock().unwrap().is_empty());
        assert_eq!(edge.backend.requests(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_authorizer_is_not_asked_about_itself() {
    bounded(async {
        let (port, heard) = http_authorizer(by_header).await;
        let mut shop = Shop::new(SocketAddr::from(([127, 0, 0, 1], port)));
        let to = To::Service(ServiceRef { service: key(Kind::Service, "catalog"), port: HTTP, subset: None });
        shop.mesh.put(vec![guard(AccessTarget::Namespace("shop".into()), Asking { backend: to, ..by_http() })]);
        let mut shot = Shot::get(shop.web.named("catalog", HTTP), "catalog", "/self");
        shot.headers = vec![("authorization".into(), "good".into())];
        assert_eq!(fetch(&shot).await.unwrap().0.as_u16(), 200);
        assert_eq!(heard.lock().unwrap().len(), 1, "the request itself");
    })
    .await;
}
