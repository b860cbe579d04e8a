//! What was recorded at a release still reads to the same values, and what is wrong is refused by the name of its field.

mod access;
mod authorizer;
mod consumer;
mod later;
mod limits;
mod listeners;
mod rates;
mod telemetry;

use super::DecodeError;
use crate::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use crate::{decode, decode_noting, encode, v1};
use model::backend::{ExternalName, Shown, UpstreamRoots};
use model::route::{Cors, HeaderEdits, Mirror, PathEdit, RankedMatch, Redirect, Rewrite};
use model::service::HashOn;
use model::session::{Carrier, Persistence, SessionKey};
use model::*;
use proptest::prelude::*;
use prost::Message;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

mod persistence;
mod tls;
mod token;

fn key(kind: Kind, name: &str) -> Key {
    Key::new(Source::files(), kind, "shop", name)
}

fn origin(kind: &str) -> Origin {
    Origin::new(ObjectRef::new("gateway.networking.k8s.io", kind, "shop", "catalog"), "routes.yaml:12")
}

fn id() -> SpiffeId {
    SpiffeId::parse("spiffe://organza.local/ns/shop/sa/catalog").unwrap()
}

fn host(name: &str) -> Hostname {
    Hostname::parse(name).unwrap()
}

fn labels() -> Labels {
    [("app".into(), "catalog".into()), ("version".into(), "v1".into())].into()
}

fn tls() -> Arc<UpstreamTls> {
    Arc::new(UpstreamTls {
        server_name: host("api.example.com"),
        subject_alt_names: vec!["api.example.com".into()],
        roots: UpstreamRoots::Given(Arc::from(&b"PEM"[..])),
        shown: Shown::Nothing,
    })
}

fn filters() -> Vec<Filter> {
    let edits = || HeaderEdits { set: vec![("x-a".into(), "1".into())], add: vec![("x-b".into(), "2".into())], remove: vec!["x-c".into()] };
    vec![
        Filter::RequestHeaders(edits()),
        Filter::ResponseHeaders(edits()),
        Filter::Redirect(Redirect {
            scheme: Some(Scheme::Https),
            host: Some("example.com".into()),
            path: Some(PathEdit::Full("/new".into())),
            port: Some(8443),
            code: 301,
        }),
        Filter::Rewrite(Rewrite { host: None, path: Some(PathEdit::Prefix("/v2".into())) }),
        Filter::Mirror(Mirror { backend: backends().remove(0).backend, fraction: (1, 10) }),
        Filter::Cors(Cors {
            allow_origins: vec!["https://*.example.com".into()],
            allow_methods: vec!["GET".into()],
            allow_headers: vec!["x-a".into()],
            expose_headers: vec!["x-b".into()],
            allow_credentials: true,
            max_age: Duration::from_secs(5),
        }),
        Filter::Invalid { message: "no such filter".into() },
    ]
}

fn backends() -> Vec<WeightedBackend> {
    let weighted = |weight, backend| WeightedBackend { weight, backend, filters: Vec::new() };
    let external = |host, tls| {
        Backend::External(Arc::new(ExternalHost { key: key(Kind::External, "out"), host, port: 443, protocol: AppProtocol::Http, tls }))
    };
    vec![
        weighted(90, Backend::Service(ServiceRef { service: key(Kind::Service, "catalog"), port: 80, subset: Some(labels()) })),
        weighted(10, external(ExternalName::Dns(host("api.example.com")), Some(tls()))),
        weighted(1, external(ExternalName::Address([10, 0, 0, 1].into()), None)),
        weighted(0, Backend::Invalid { reason: InvalidBackend::RefNotPermitted, message: "no grant".into() }),
    ]
}

fn route() -> Route {
    let regex = |text| Regex::new(text).unwrap();
    let ranked = |path, headers, query, method| RankedMatch {
        rank: Rank { order: [1, 2, 3, 4, 5], created: 7, name: "shop/catalog".into(), rule: 1, position: 2 },
        matches: RouteMatch { path, method, headers, query },
    };
    let header = |value| HeaderMatch { name: "x-canary".into(), value };
    let query = |value| QueryMatch { name: "q".into(), value };
    let matches = vec![
        ranked(Some(PathMatch::Exact("/a".into())), vec![header(ValueMatch::Exact("1".into()))], vec![], Some(Method::Get)),
        ranked(
            Some(PathMatch::prefix("/b/")),
            vec![header(ValueMatch::Regex(regex("[a-z]+")))],
            vec![query(ValueMatch::Exact("x".into()))],
            None,
        ),
        ranked(Some(PathMatch::Regex(regex("/c/[0-9]+"))), vec![], vec![query(ValueMatch::Regex(regex("y|z")))], Method::parse("PURGE")),
        ranked(None, vec![], vec![], None),
    ];
    let mut weighted = backends();
    weighted[0].filters = filters();
    let rule = Rule {
        name: "canary".into(),
        matches,
        filters: filters(),
        backends: weighted,
        timeouts: Timeouts { request: Some(Duration::from_millis(1500)), backend_request: None },
        retry: Some(Box::new(Retry { codes: vec![502, 503], attempts: 2, backoff: Duration::from_millis(25) })),
        session: None,
    };
    let hosts = || vec![HostPattern::Any, HostPattern::parse("*.example.com").unwrap(), HostPattern::parse("example.com").unwrap()];
    let service = |port, callers| Target::Service { service: key(Kind::Service, "catalog"), port, callers };
    let targets = [Target::Listener(key(Kind::Listener, "edge.http")), service(Some(80), None), service(None, Some("shop".into()))];
    Route {
        key: key(Kind::Route, "httproute.catalog"),
        origin: origin("HTTPRoute"),
        protocol: RouteProtocol::Http,
        attachments: targets.into_iter().map(|target| Attachment { target, hosts: hosts() }).collect(),
        rules: vec![rule],
    }
}

fn session(carrier: Carrier, key: Option<[u8; 32]>) -> Persistence {
    let second = Duration::from_secs(1);
    let (absolute, idle) = (Some(second * 60), Some(second));
    Persistence { name: "cart".into(), carrier, absolute, idle, path: Some("/cart".into()), within: true, key: key.map(SessionKey) }
}

fn service(balancer: Balancer) -> Service {
    let port = |number, name: Option<&str>, protocol| ServicePort { number, name: name.map(Into::into), protocol };
    Service {
        key: key(Kind::Service, "catalog"),
        origin: origin("Service"),
        hostnames: vec![host("catalog"), host("catalog.shop")],
        addresses: vec![[10, 1, 2, 3].into(), "fd00::1".parse().unwrap()],
        ports: vec![port(80, Some("http"), AppProtocol::Http), port(9000, None, AppProtocol::Detect)],
        identities: vec![id()],
        balancer,
        nearest: None,
        policies: Vec::new(),
        normalisation: Normalisation::default(),
        tls: Vec::new(),
    }
}

fn policies() -> Vec<model::AttachedPolicy> {
    use model::traffic::*;
    let second = std::time::Duration::from_secs(1);
    let all = TrafficPolicy {
        origin: Some(origin("BackendTrafficPolicy")),
        limits: RequestLimits { parallel_requests: 1, pending_requests: 0 },
        ejection: Ejection {
            consecutive_5xx: Some(5),
            consecutive_gateway_errors: Some(4),
            consecutive_local_failures: None,
            failure_percentage: Some(85),
            latency: Some(second / 2),
            minimum_requests: 7,
            interval: second,
            base_time: second * 2,
            longest_time: second * 3,
            max_percent: 10,
            panic_percent: 50,
        },
        endpoint_requests: Some(11),
        connections: ConnectionLimits { service: Some(12), endpoint: Some(13) },
        health: Some(checks()[0].clone()),
        breaker: Some(Breaker {
            failure_percentage: 50,
            minimum_requests: 9,
            interval: second * 4,
            open_time: second * 5,
            half_open_requests: 3,
        }),
        slow_start: Some(second * 30),
        retry_budget: RetryBudget { percent: 1, interval: second * 6, min_count: 2, min_interval: second * 7 },
        session: Some(session(Carrier::Header, None)),
        proxy_header: Some(ProxyHeader::V2),
    };
    let at = |port, policy| model::AttachedPolicy { port, policy: std::sync::Arc::new(policy) };
    let others = checks().into_iter().skip(1).zip(1000..);
    let checked = others.map(|(check, port)| at(Some(port), TrafficPolicy { health: Some(check), ..TrafficPolicy::default() }));
    [at(None, all), at(Some(80), TrafficPolicy::default())].into_iter().chain(checked).collect()
}

fn checks() -> Vec<model::HealthCheck> {
    use model::{HealthCheck, InitialHealth, Method, Probe};
    let second = std::time::Duration::from_secs(1);
    let http = HealthCheck {
        probe: Probe::Http { method: Method::Head, path: "/healthz".into(), hostname: Some("catalog".into()), expected: vec![200, 204] },
        interval: second,
        timeout: second * 2,
        unhealthy_threshold: 3,
        healthy_threshold: 4,
        first_within: second * 5,
        jitter: second * 6,
        initial: InitialHealth::Unhealthy,
    };
    let grpc = HealthCheck { probe: Probe::Grpc { service: "shop.Catalog".into() }, initial: InitialHealth::Healthy, ..http.clone() };
    let tcp = Probe::Tcp { send: b"PING\r\n"[..].into(), receive: b"+PONG"[..].into() };
    vec![http.clone(), grpc, HealthCheck { probe: tcp, ..http }]
}

fn workload() -> Workload {
    Workload {
        key: key(Kind::Workload, "catalog-v1-0"),
        identity: id(),
        canonical_name: "catalog-v1".into(),
        revision: "v1".into(),
        cluster: "local".into(),
        network: "".into(),
        locality: Locality { region: "eu".into(), zone: "eu-1".into(), node: "n1".into() },
        labels: labels(),
        addresses: vec![[127, 0, 0, 1].into()],
        ports: vec![model::workload::WorkloadPort { number: 8080, name: Some("http".into()), protocol: AppProtocol::Grpc }],
        tunnel: Tunnel::Hbone("127.0.0.1:15008".parse().unwrap()),
        services: vec![key(Kind::Service, "catalog")],
        weight: 1,
        started: 1_700_000_000,
    }
}

fn endpoints() -> Endpoints {
    let one = |id_text: &str, tunnel, identity, health| Endpoint {
        id: id_text.into(),
        workload: Some(key(Kind::Workload, "catalog-v1-0")),
        address: [127, 0, 0, 1].into(),
        ports: vec![(80, 8080)],
        datagrams: Vec::new(),
        tunnel,
        identity,
        health,
        weight: 3,
        priority: 1,
        locality: Locality::default(),
        labels: labels(),
        tls: None,
    };
    let mut plain = one("c", Tunnel::None, None, Health::Draining);
    plain.tls = Some(tls());
    plain.workload = None;
    let organza = Tunnel::Organza("127.0.0.1:41000".parse().unwrap());
    let first = one("a", organza, Some(id()), Health::Healthy);
    let second = one("b", Tunnel::Hbone("[::1]:15008".parse().unwrap()), Some(id()), Health::Unhealthy);
    Endpoints { key: key(Kind::Endpoints, "catalog"), endpoints: vec![first, second, plain] }
}

fn listener() -> Listener {
    Listener {
        key: key(Kind::Listener, "edge.https"),
        origin: origin("Gateway"),
        gateway: key(Kind::Gateway, "edge"),
        section: "https".into(),
        addresses: vec![[127, 0, 0, 1].into()],
        port: 8443,
        protocol: ListenerProtocol::Https,
        hostname: HostPattern::parse("*.example.com").unwrap(),
        tls: Some(ListenerTls { certificates: vec![key(Kind::Certificate, "cert")], ..ListenerTls::default() }),
        normalisation: Normalisation::MergeSlashes,
        front: Front::default(),
        shown: GatewayCertificate::default(),
        asks: Vec::new(),
        broken: Some("certificate is missing".into()),
    }
}

/// One of each kind, every field said.
fn samples() -> Vec<(&'static str, Resource)> {
    let bundle = TrustBundle {
        key: key(Kind::TrustBundle, "organza.local"),
        trust_domain: TrustDomain::parse("organza.local").unwrap(),
        roots: vec![Arc::from(&[1u8, 2, 3][..])],
        revoked: Vec::new(),
    };
    let certificate =
        Certificate { key: key(Kind::Certificate, "cert"), chain: Arc::from(&b"CHAIN"[..]), private_key: Arc::from(&b"KEY"[..]) };
    vec![
        ("service", Resource::Service(Arc::new(service(Balancer::RingHash(HashOn::Header("x-user".into())))))),
        ("endpoints", Resource::Endpoints(Arc::new(endpoints()))),
        ("workload", Resource::Workload(Arc::new(workload()))),
        ("listener", Resource::Listener(Arc::new(listener()))),
        ("route", Resource::Route(Arc::new(route()))),
        ("trustbundle", Resource::TrustBundle(Arc::new(bundle))),
        ("certificate", Resource::Certificate(Arc::new(certificate))),
        ("access", Resource::Access(Arc::new(access::policy()))),
        ("accesssettings", Resource::AccessSettings(Arc::new(access::settings()))),
        ("ratelimit", Resource::RateLimit(Arc::new(rates::policy()))),
        ("tokenissuer", Resource::TokenIssuer(Arc::new(token::issuer()))),
        ("consumer", Resource::Consumer(Arc::new(consumer::consumer()))),
        ("telemetry", Resource::Telemetry(Arc::new(telemetry::policy()))),
        ("externalauthorizer", Resource::ExternalAuthorizer(Arc::new(authorizer::authorizer()))),
    ]
}

fn recorded(name: &str) -> PathBuf {
    PathBuf::from("testdata/0.1.0").join(format!("{name}.bin"))
}

/// `WIRE_RECORD=1` writes what a new release's bytes are; old releases' are never written again.
fn check_recorded(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = recorded(name);
    if std::env::var_os("WIRE_RECORD").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    std::fs::read(&path).unwrap()
}

#[test]
fn ports_for_datagrams_cross_beside_the_others() {
    let mut all = endpoints();
    all.endpoints[0].datagrams = vec![(80, 8081), (53, 5353)];
    let sample = Resource::Endpoints(std::sync::Arc::new(all));
    assert_eq!(decode(&encode(&sample)).unwrap(), sample);
}

#[test]
fn what_is_revoked_crosses_with_its_bundle() {
    let key = key(Kind::TrustBundle, "organza.local");
    let trust_domain = TrustDomain::parse("organza.local").unwrap();
    let sample = Resource::TrustBundle(Arc::new(TrustBundle { key, trust_domain, roots: Vec::new(), revoked: vec![[7; 32], [8; 32]] }));
    assert_eq!(decode(&encode(&sample)).unwrap(), sample);
}

#[test]
fn recorded_resources_still_read_to_the_same_values() {
    for (name, sample) in samples() {
        let bytes = encode(&sample);
        let old = check_recorded(name, &bytes);
        assert_eq!(decode(&old).unwrap(), sample, "{name}");
        assert_eq!(old, bytes, "{name}: equal resources have equal bytes, for versions are their hashes");
    }
}

#[test]
fn recorded_messages_still_read_to_the_same_values() {
    fn check<M: Message + Default + PartialEq + std::fmt::Debug>(name: &str, message: &M) {
        let old = check_recorded(name, &message.encode_to_vec());
        assert_eq!(M::decode(&*old).unwrap(), *message, "{name}");
    }
    let item = crate::delta::Encoded::new(&samples()[0].1);
    let resource = crate::discovery::Resource {
        name: item.name.to_string(),
        version: item.version.to_string(),
        resource: Some(crate::discovery::Any { type_url: crate::TYPE_URL.into(), value: item.bytes }),
        aliases: vec!["host/shop/catalog".into()],
    };
    check(
        "delta_response",
        &DeltaDiscoveryResponse {
            system_version_info: "12+".into(),
            resources: vec![resource],
            type_url: crate::TYPE_URL.into(),
            nonce: "3".into(),
            removed_resources: vec!["host/shop/nobody".into()],
            control_plane: None,
        },
    );
    check(
        "delta_request",
        &DeltaDiscoveryRequest {
            node: Some(crate::discovery::Node { id: "catalog-v1".into(), user_agent_version: "0.1.0".into(), ..Default::default() }),
            type_url: crate::TYPE_URL.into(),
            resource_names_subscribe: vec!["self".into()],
            initial_resource_versions: [("files/service/shop/catalog".to_owned(), "ab".to_owned())].into(),
            ..Default::default()
        },
    );
    check("sign_request", &v1::SignRequest { csr: vec![1, 2].into() });
    check("sign_reply", &v1::SignReply { chain: vec![vec![1].into()], roots: vec![vec![2].into()] });
    let edge =
        v1::Edge { reporter: "source".into(), requests: 3, latency_cells: vec![4, 9], latency_counts: vec![2, 1], ..Default::default() };
    let edges = vec![crate::edge::encode(&edge)];
    check("report_request", &v1::ReportRequest { proxy: "p".into(), incarnation: 9, sequence: 2, edges, ..Default::default() });
    check(
        "hello",
        &v1::Hello { framing: v1::Framing::Http1 as i32, service: "files/service/shop/catalog".into(), service_port: 80, source: None },
    );
    check("welcome", &v1::Welcome { answer: Some(v1::welcome::Answer::Refused("no_route".into())) });
}

#[test]
fn all_balancers_travel() {
    let hash = [HashOn::SourceAddress, HashOn::Header("h".into()), HashOn::Cookie("c".into())];
    let mut all = vec![Balancer::PeakEwma, Balancer::RoundRobin, Balancer::LeastRequest];
    all.extend(hash.iter().cloned().map(Balancer::RingHash));
    all.extend(hash.iter().cloned().map(Balancer::Maglev));
    for balancer in all {
        let resource = Resource::Service(Arc::new(service(balancer)));
        assert_eq!(decode(&encode(&resource)).unwrap(), resource);
    }
}

/// Encodes the sample route after an edit of its message, and says why it is refused.
fn refusal(edit: impl FnOnce(&mut v1::Route)) -> String {
    let mut message = v1::Resource::decode(&*encode(&Resource::Route(Arc::new(route())))).unwrap();
    let Some(v1::resource::Resource::Route(route)) = &mut message.resource else { panic!("a route was encoded") };
    edit(route);
    decode(&message.encode_to_vec()).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_is_refused_by_field() {
    use v1::path_match::Path;
    type Edit = fn(&mut v1::Route);
    let cases: [(&str, Edit); 9] = [
        ("key: names a service, not a route", |r| r.key = "files/service/shop/a".into()),
        ("protocol: holds 99, which this release does not know", |r| r.protocol = 99),
        ("protocol: holds 0, which this release does not know", |r| r.protocol = 0),
        ("attachments[0].hosts[1]: ", |r| r.attachments[0].hosts[1] = "a..b".into()),
        ("attachments[2].hosts: is empty", |r| r.attachments[2].hosts.clear()),
        ("rules[0].matches: is empty", |r| r.rules[0].matches.clear()),
        ("rules[0].matches[2].path.regex: regular expression", |r| {
            r.rules[0].matches[2].path = Some(v1::PathMatch { path: Some(Path::Regex("(".into())) });
        }),
        ("rules[0].backends[0].weight: is over 1000000", |r| r.rules[0].backends[0].weight = 1_000_001),
        ("rules[0].name: is longer than 16384 bytes", |r| r.rules[0].name = "x".repeat(16_385)),
    ];
    for (want, edit) in cases {
        let why = refusal(edit);
        assert!(why.starts_with(want), "{why:?} does not begin with {want:?}");
    }
    assert_eq!(decode(&[]), Err(DecodeError::UnknownKind));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(11), ..ProptestConfig::default() })]

    #[test]
    fn decoding_is_total(which in 0..7usize, flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..8)) {
        let mut bytes = encode(&samples()[which].1).to_vec();
        for (place, value) in flips {
            let place = usize::from(place) % bytes.len();
            bytes[place] = value;
        }
        // What reads at all reads again to itself.
        if let Ok(resource) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&resource)).unwrap(), resource);
        }
    }
}

#[test]
fn policies_travel_and_odd_shares_are_refused() {
    let with = |policies| Resource::Service(Arc::new(Service { policies, ..service(Balancer::PeakEwma) }));
    let good = with(policies());
    assert_eq!(decode(&encode(&good)).unwrap(), good);
    let mut odd = policies();
    Arc::make_mut(&mut odd[0].policy).ejection.max_percent = 101;
    let error = decode(&encode(&with(odd))).unwrap_err().to_string();
    assert!(error.contains("policies[0].policy.ejection.max_percent"), "{error}");
}

#[test]
fn what_a_service_prefers_is_read_back() {
    for nearest in [None, Some(model::Nearest::Node), Some(model::Nearest::Zone), Some(model::Nearest::Region)] {
        let resource = Resource::Service(Arc::new(Service { nearest, ..service(Balancer::PeakEwma) }));
        assert_eq!(decode(&encode(&resource)).unwrap(), resource);
    }
}

#[test]
fn levels_of_paths_travel_and_base_is_not_written() {
    use Normalisation::{Base, DecodeSlashes, MergeSlashes, None};
    let with = |normalisation| Resource::Service(Arc::new(Service { normalisation, ..service(Balancer::PeakEwma) }));
    let bytes = [None, Base, MergeSlashes, DecodeSlashes].map(|level| {
        let bytes = encode(&with(level));
        assert_eq!(decode(&bytes).unwrap(), with(level));
        bytes.len()
    });
    assert!(bytes[1] < bytes[0] && bytes[0] == bytes[2] && bytes[2] == bytes[3], "{bytes:?}");
    let mut message = v1::Resource::decode(&*encode(&with(Base))).unwrap();
    let Some(v1::resource::Resource::Service(odd)) = &mut message.resource else { panic!("a service was encoded") };
    odd.normalisation = 9;
    assert!(decode(&message.encode_to_vec()).unwrap_err().to_string().starts_with("normalisation: "));
}

/// A field that no release knows yet: a number, and a text.
const LATER: &[u8] = &[0x80, 0x7d, 0x07, 0x8a, 0x7d, 0x05, b'l', b'a', b't', b'e', b'r'];

/// The resource as a later release might send it: with more fields than are known, in the kind and around it.
fn of_a_later_release(bytes: &[u8]) -> Vec<u8> {
    let message = v1::Resource::decode(bytes).unwrap();
    let mut inner = bytes;
    let (tag, _) = prost::encoding::decode_key(&mut inner).unwrap();
    let length = prost::encoding::decode_varint(&mut inner).unwrap() as usize;
    assert_eq!((inner.len(), message.resource.is_some()), (length, true), "a resource is one kind and nothing else");
    let mut out = LATER.to_vec();
    prost::encoding::encode_key(tag, prost::encoding::WireType::LengthDelimited, &mut out);
    prost::encoding::encode_varint((length + LATER.len()) as u64, &mut out);
    out.extend_from_slice(inner);
    out.extend_from_slice(LATER);
    out
}

#[test]
fn fields_of_a_later_release_are_skipped() {
    // What may narrow a policy, an issuer, a consumer or an authorizer is not skipped: `later`, `authorizer`.
    for (name, sample) in
        samples().into_iter().filter(|(name, _)| !matches!(*name, "access" | "consumer" | "tokenissuer" | "externalauthorizer"))
    {
        let later = of_a_later_release(&encode(&sample));
        assert_eq!(decode(&later).unwrap(), sample, "{name}");
    }
}

#[test]
fn a_kind_of_a_later_release_is_refused_as_such() {
    let mut later = Vec::new();
    prost::encoding::encode_key(900, prost::encoding::WireType::LengthDelimited, &mut later);
    prost::encoding::encode_varint(3, &mut later);
    later.extend_from_slice(b"new");
    assert_eq!(decode(&later), Err(DecodeError::UnknownKind));
    assert_eq!(decode(LATER), Err(DecodeError::UnknownKind));
}

#[test]
fn what_there_is_much_of_sleeps_and_says_what_it_said_when_it_is_read() {
    let plain = |bytes: usize| {
        let mut route = route();
        route.rules[0].matches.retain(|ranked| !ranked.matches.has_regex());
        route.rules[0].name = "x".repeat(bytes).into();
        Resource::Route(Arc::new(route))
    };
    let endpoints = Resource::Endpoints(Arc::new(Endpoints { key: key(Kind::Endpoints, "catalog"), endpoints: Vec::new() }));
    for resource in [plain(1), endpoints] {
        let Change::Told(asleep) = crate::change(resource.clone(), &encode(&resource)[..].into()) else { panic!("{resource:?} sleeps") };
        assert_eq!((asleep.key(), asleep.read().as_ref()), (resource.key(), Some(&resource)));
    }
    let service = Resource::Service(Arc::new(service(Balancer::default())));
    for resource in [plain(model::limits::ASLEEP_BYTES), Resource::Route(Arc::new(route())), service] {
        assert_eq!(
            crate::change(resource.clone(), &encode(&resource)[..].into()),
            Change::Put(resource),
            "large, with expressions, or asked for by name"
        );
    }
}
