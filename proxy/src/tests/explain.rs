//! What `explain` says is what the record says, for 10,000 requests sent through real proxies: random worlds made of users' objects, random
//! requests, and a slow reference beside both, so that the two cannot be wrong together.

mod ask;
mod reference;
mod world;

use super::{Mesh, Proxy, id, key, within};
use crate::doors::Door as Opened;
use crate::explain::{Asker, explain};
use ask::{Ask, DOORS, Door};
use identity::{Credentials, Csr, Expected, SignRequest, Signer, alpn};
use model::{Fault, Kind, Normalisation, Resource};
use reference::{Filtered, Verdict};
use routing::Table;
use routing::explain::{Explanation, Outcome, Ran, Refused, Share};
use rustls::pki_types::ServerName;
use rustls::time_provider::DefaultTimeProvider;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use transport::{Stream, tls};
use world::{MERGING, Parent, Random, World};

const WORLDS: u64 = 25;
const REQUESTS: usize = 400;
const SECRET: &str = "Basic b3JnYW56YTpzZWNyZXQ=";

#[tokio::test]
async fn explain_equals_the_record_of_ten_thousand_requests() {
    // Eight seconds where nothing else runs.
    within(Duration::from_secs(180), async {
        let mut met = BTreeMap::new();
        let backend = backend().await;
        for seed in 0..WORLDS {
            one_world(seed, backend, &mut met).await;
        }
        // A test that meets nothing proves nothing.
        let of = |what: &str| met.get(what).copied().unwrap_or(0);
        assert_eq!(of("requests"), WORLDS as usize * REQUESTS, "{met:?}");
        assert!(of("sent") > 3000, "{met:?}");
        for what in [
            "no_route",
            "misdirected_request",
            "malformed_request",
            "expectation_failed",
            "no_such_service",
            "invalid_backend",
            "invalid_filter",
            "no_backend",
            "outside",
            "own",
            "answer 204",
            "answer 301",
            "HTTPRoute",
            "GRPCRoute",
            "any",
            "wild",
            "one",
            "tls-one",
            "tls-wild",
            "grpc",
            "broken",
            "producer",
            "consumer",
            "CORS",
            "RequestHeaderModifier",
            "URLRewrite",
            "RequestMirror shop/shadow:80",
            "ResponseHeaderModifier",
            "RequestRedirect",
            "backend RequestHeaderModifier",
            "backend ResponseHeaderModifier",
            "backend URLRewrite",
            "backend RequestMirror shop/shadow:80",
        ] {
            assert!(of(what) >= 10, "{what} was met {} times: {met:?}", of(what));
        }
    })
    .await;
}

type Met = BTreeMap<String, usize>;

fn count(met: &mut Met, what: &str) {
    *met.entry(what.to_owned()).or_default() += 1;
}

/// Says what it saw, in a field of its answer.
async fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::task::spawn_local(async move {
                let mut buffer = Vec::new();
                while let Some(head) = head(&mut stream, &mut buffer).await {
                    let mut words = head.split(' ');
                    let (method, target) = (words.next().unwrap(), words.next().unwrap());
                    let saw = format!("{method} http://{}{target}", field(&head, "host").unwrap());
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Saw: {saw}\r\n\r\n");
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// The next head; what came after it stays in the buffer.
async fn head(stream: &mut (impl tokio::io::AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = buffer.windows(4).position(|end| end == b"\r\n\r\n") {
            return Some(String::from_utf8(buffer.drain(..end + 4).collect()).unwrap());
        }
        if !matches!(stream.read_buf(buffer).await, Ok(1..)) {
            return None;
        }
    }
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().filter_map(|line| line.split_once(": ")).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// What the caller got.
struct Heard {
    from: IpAddr,
    status: u16,
    saw: Option<String>,
}

async fn one_world(seed: u64, backend: SocketAddr, met: &mut Met) {
    let mut random = Random(seed);
    let world = World::random(&mut random);
    let mut mesh = Mesh::new();
    let certificate = certificate(&mut mesh);
    let objects = world.objects(&mut random, backend.port(), (&certificate.0, &certificate.1));
    let (mut resources, _) = testkit::objects::resources(objects);
    // Objects say so of whole gateways; here one listener differs from the rest.
    for resource in &mut resources {
        if let Resource::Listener(listener) = resource
            && *listener.section == *MERGING
        {
            Arc::make_mut(listener).normalisation = Normalisation::MergeSlashes;
        }
    }
    let (mut edge, mut web) = (mesh.proxy("gateway"), mesh.proxy("web"));
    mesh.put(resources);
    let doors = (edge.gateway(80), edge.gateway(443), web.open(Opened::ExplicitProxy { authorization: SECRET.into() }));
    let mut asks: BTreeMap<Door, VecDeque<Ask>> = BTreeMap::new();
    for _ in 0..REQUESTS {
        let ask = Ask::random(&mut random, &world, backend.port());
        asks.entry(ask.door).or_default().push_back(ask);
    }
    let credentials = Credentials::new(mesh.trust.clone());
    let sending = DOORS.into_iter().enumerate().map(|(i, door)| {
        // Of two callers at one door each takes a half.
        let twins = DOORS.iter().filter(|other| **other == door).count();
        let own = asks.get_mut(&door).map(|all| all.split_off(if i == 0 && twins > 1 { all.len() / 2 } else { 0 })).unwrap_or_default();
        // Its own address: the kernel gives one port to several connections where they lead to different doors.
        let from = IpAddr::from([127, 0, 1, i as u8 + 1]);
        send_all(doors, &credentials, from, own)
    });
    let sending: Vec<_> = sending.collect();
    let heard: Vec<(Ask, Heard)> = futures_util::future::join_all(sending).await.into_iter().flatten().collect();
    let mut records = records([&edge, &web], heard.len()).await;
    let table = &mesh.snapshot.load().table;
    for (ask, heard) in &heard {
        let record = records.get_mut(&heard.from).and_then(VecDeque::pop_front).expect("each request has a record");
        let explained = explained(table, ask);
        let told = || format!("seed {seed}: {ask:?}\nrecord {record}\nexplained {explained:#?}\nheard {} {:?}", heard.status, heard.saw);
        let result = equal(&record, &explained, ask, heard).and_then(|()| right(&world, ask, &explained, met));
        assert!(result.is_ok(), "{}\n{}", result.unwrap_err(), told());
        count(met, "requests");
    }
}

fn certificate(mesh: &mut Mesh) -> (String, String) {
    let csr = Csr::generate(&id("edge")).unwrap();
    let issued = mesh.authority.sign(&SignRequest::parse(&csr.der).unwrap(), &id("edge"), SystemTime::now()).unwrap();
    (identity::pem::encode_chain(issued.chain.iter().map(Vec::as_slice)), identity::pem::encode("PRIVATE KEY", csr.key()))
}

/// One caller: one request after another, on one connection for as long as it lives.
async fn send_all(
    doors: (SocketAddr, SocketAddr, SocketAddr),
    credentials: &Credentials,
    from: IpAddr,
    asks: VecDeque<Ask>,
) -> Vec<(Ask, Heard)> {
    let mut open: Option<(Stream, Vec<u8>)> = None;
    let mut all = Vec::new();
    for ask in asks {
        let (mut stream, mut buffer) = match open.take() {
            Some(kept) => kept,
            None => (connect(doors, credentials, from, ask.door).await, Vec::new()),
        };
        stream.write_all(&ask.bytes(SECRET)).await.unwrap();
        let answer = head(&mut stream, &mut buffer).await.expect("an answer");
        let status: u16 = answer[9..12].parse().unwrap();
        let length = field(&answer, "content-length").map_or(0, |length| length.parse().unwrap());
        let body = if ask.method == "HEAD" || status == 204 { 0 } else { length };
        while buffer.len() < body {
            assert_ne!(stream.read_buf(&mut buffer).await.unwrap(), 0, "the whole answer");
        }
        buffer.drain(..body);
        if field(&answer, "connection") != Some("close") {
            open = Some((stream, buffer));
        }
        all.push((ask, Heard { from, status, saw: field(&answer, "x-saw").map(str::to_owned) }));
    }
    all
}

async fn connect(
    (plain, secure, proxy): (SocketAddr, SocketAddr, SocketAddr),
    credentials: &Credentials,
    from: IpAddr,
    door: Door,
) -> Stream {
    let to = async |address| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from, 0)).unwrap();
        Stream::Tcp(socket.connect(address).await.unwrap())
    };
    let name = match door {
        Door::Plain => return to(plain).await,
        Door::Call => return to(proxy).await,
        Door::Tls(name) => name,
    };
    let config = identity::client_config(credentials, Expected::AnyTrusted, &[alpn::HTTP1], Arc::new(DefaultTimeProvider)).unwrap();
    let mut config = (*config).clone();
    config.enable_sni = true;
    tls::connect(to(secure).await, Arc::new(config), ServerName::try_from(name).unwrap()).await.unwrap()
}

/// All records, by the address of the caller, each caller's in order.
async fn records(proxies: [&Proxy; 2], wanted: usize) -> BTreeMap<IpAddr, VecDeque<Value>> {
    let mut all: BTreeMap<IpAddr, VecDeque<Value>> = BTreeMap::new();
    let mut count = 0;
    loop {
        for record in proxies.iter().flat_map(|proxy| proxy.records()) {
            let source: SocketAddr = record["source_address"].as_str().unwrap().parse().unwrap();
            all.entry(source.ip()).or_default().push_back(record);
            count += 1;
        }
        if count >= wanted {
            assert_eq!(count, wanted, "one record for each request");
            assert!(proxies.iter().all(|proxy| proxy.worker.shared.log.dropped() == 0.0));
            return all;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn explained(table: &Table, ask: &Ask) -> Explanation {
    let gateway = &key(Kind::Gateway, "edge");
    let asker = match ask.door {
        Door::Plain => Asker::Gateway { gateway, port: 80, sni: None, peer: std::net::Ipv4Addr::LOCALHOST.into() },
        Door::Tls(name) => Asker::Gateway { gateway, port: 443, sni: Some(Some(name)), peer: std::net::Ipv4Addr::LOCALHOST.into() },
        Door::Call => Asker::Workload { namespace: "shop" },
    };
    explain(table, asker, &ask.head())
}

fn same(what: &str, record: &Value, explained: Value) -> Result<(), String> {
    if *record == explained { Ok(()) } else { Err(format!("{what}: the record says {record}, explain {explained}")) }
}

/// The record, the explanation and what the caller got are one story.
fn equal(record: &Value, explained: &Explanation, ask: &Ask, heard: &Heard) -> Result<(), String> {
    // What is refused for what it is, no configuration decided.
    let undecided = ask.headers.iter().any(|(name, _)| name == "Expect") || ask.method == "TRACE" && ask.door != Door::Call;
    same("generation", &record["generation"], json!(u64::from(!undecided)))?;
    same("listener", &record["listener"], json!(explained.listener))?;
    same("status", &record["response_code"], json!(heard.status))?;
    let chain = explained.chain.as_ref();
    same("route", &record["route"], json!(chain.map(|chain| chain.route.to_string())))?;
    same("rule", &record["rule"], json!(chain.map(|chain| &chain.rule)))?;
    same("rule's place", &record["rule_index"], json!(chain.map(|chain| chain.rule_index)))?;
    same("match", &record["match_index"], json!(chain.map(|chain| chain.match_index)))?;
    let share = |share: &Share| json!({"backend": share.backend, "weight": share.weight});
    let drawn = chain.and_then(|chain| chain.split.iter().find(|share| record["backend"] == *share.backend));
    match &explained.outcome {
        Outcome::Outside { .. } => return same("backend", &record["backend"], json!("outside")),
        Outcome::NoConnection { reason } => return Err(format!("{reason}, says explain, but a record came")),
        Outcome::Refused(refused) => {
            let filters = chain.map(|chain| chain.filters.as_slice());
            told(refused, record, ask)?;
            return filters.map_or(Ok(()), |filters| ran(filters, record));
        }
        Outcome::Answer { status, .. } => {
            same("answer", &record["response_code"], json!(status))?;
            return ran(&chain.unwrap().filters, record);
        }
        Outcome::Forward => {}
    }
    let chain = chain.ok_or("forwarded without a route")?;
    same("split", &record["split"], chain.split.iter().map(share).collect())?;
    let drawn = drawn.filter(|share| share.weight > 0).ok_or("the backend is none of the split")?;
    ran(&drawn.filters, record)?;
    if let Some(refused) = &drawn.refused {
        return told(refused, record, ask);
    }
    same("fault", &record["fault"], Value::Null)?;
    match drawn.sent.as_ref().or(chain.sent.as_ref()) {
        Some(sent) => same("the request as it left", &json!(heard.saw), json!(sent)),
        None => Ok(()),
    }
}

fn told(refused: &Refused, record: &Value, ask: &Ask) -> Result<(), String> {
    same("fault", &record["fault"], json!(refused.fault.label()))?;
    same("reason", &record["reason"], json!(refused.reason))?;
    same("the object behind it", &record["verdict_by"], json!(refused.object))?;
    // gRPC tells its status apart (gRPC over HTTP/2, "Responses").
    let names = |wanted: &str, field: &str| ask.headers.iter().any(|(name, value)| name == field && (wanted.is_empty() || value == wanted));
    let grpc = names("", "content-type") && !names("content-type", "Connection");
    same("status", &record["response_code"], json!(if grpc { 200 } else { refused.fault.http_status() }))?;
    same("status of gRPC", &record["grpc_status"], json!(grpc.then(|| refused.fault.grpc_status())))
}

/// Filters in their order; a mirror of a part of the requests may have been left out.
fn ran(filters: &[Ran], record: &Value) -> Result<(), String> {
    fn fit(filters: &[Ran], got: &[Value]) -> bool {
        let Some((first, rest)) = filters.split_first() else { return got.is_empty() };
        let ran = got.split_first().is_some_and(|(name, more)| *name == first.name && fit(rest, more));
        ran || first.share.is_some() && fit(rest, got)
    }
    let got = record["filters"].as_array().map_or(&[][..], Vec::as_slice);
    if fit(filters, got) { Ok(()) } else { Err(format!("filters: the record says {}, explain {filters:?}", record["filters"])) }
}

/// The explanation is what the specification says.
fn right(world: &World, ask: &Ask, explained: &Explanation, met: &mut Met) -> Result<(), String> {
    let refused = |want: &str| match &explained.outcome {
        Outcome::Refused(refused) => same("refused", &json!(refused.fault.label()), json!(want)),
        _ => Err(format!("the reference wants {want}")),
    };
    let (listener, route, rule, matched) = match reference::verdict(world, ask) {
        Verdict::Refused(want) => {
            count(met, want);
            let broken = explained.listener.as_deref() == Some("shop/edge/broken");
            count(met, if broken { "broken" } else { "refused" });
            return refused(want);
        }
        Verdict::Outside => {
            count(met, "outside");
            return if matches!(explained.outcome, Outcome::Outside { .. }) {
                Ok(())
            } else {
                Err("the reference wants it outside".into())
            };
        }
        Verdict::Own(backend) => {
            count(met, "own");
            let chain = explained.chain.as_ref().ok_or("no route")?;
            return same("own backend", &json!(chain.split[0].backend), json!(backend));
        }
        Verdict::Routed { listener, route, rule, matched } => (listener, route, rule, matched),
    };
    let chain = explained.chain.as_ref().ok_or("the reference has a route for it")?;
    let name = format!("{} {}/{}", route.kind, route.namespace, route.name);
    let got = json!([explained.listener, chain.route.to_string(), chain.rule_index, chain.match_index]);
    same("listener, route, rule, match", &got, json!([listener.map(|l| format!("shop/edge/{l}")), name, rule, matched]))?;
    let consumer = matches!(route.parent, Parent::Service { namespace, .. } if namespace != route.namespace);
    count(met, if consumer { "consumer" } else { "producer" });
    count(met, route.kind);
    listener.into_iter().for_each(|listener| count(met, listener));
    let rule = &route.rules[rule];
    let names = |filters: &[Ran]| filters.iter().map(|ran| ran.name.clone()).collect::<Vec<_>>();
    match reference::filtered(rule, ask) {
        Filtered::Refused(want) => {
            count(met, want);
            return refused(want);
        }
        Filtered::Answer(status, filters) => {
            count(met, &format!("answer {status}"));
            filters.iter().for_each(|filter| count(met, filter));
            same("filters", &json!(names(&chain.filters)), json!(filters))?;
            return match explained.outcome {
                Outcome::Answer { status: got, .. } if got == status => Ok(()),
                _ => Err(format!("the reference wants an answer {status}")),
            };
        }
        Filtered::Sent => {}
    }
    same("backends", &json!(chain.split.len()), json!(rule.backends.len()))?;
    for (share, backend) in chain.split.iter().zip(&rule.backends) {
        let gone = backend.service == "gone";
        same("broken", &json!(share.refused.as_ref().map(|r| r.fault.label())), json!(gone.then_some(Fault::InvalidBackend.label())))?;
        if !gone {
            let want = reference::ran(route.namespace, rule, backend);
            let got: Vec<(String, bool)> = share.filters.iter().map(|ran| (ran.name.clone(), ran.share.is_none())).collect();
            same("filters", &json!(got), json!(want))?;
            got.iter().for_each(|(name, _)| count(met, name));
        }
    }
    match &explained.outcome {
        Outcome::Forward => count(met, "sent"),
        Outcome::Refused(refused) => count(met, refused.fault.label()),
        _ => {}
    }
    Ok(())
}
