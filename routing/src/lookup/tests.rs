use super::*;
use model::route::RankedMatch;
use model::*;
use proptest::prelude::*;

fn key(kind: Kind, name: &str) -> Key {
    Key::new(Source::files(), kind, "shop", name)
}

fn listener_key() -> Key {
    key(Kind::Listener, "edge.http")
}

/// One route, one rule per match; the rank's first number is given, the rest by name and place.
fn route(name: &str, target: Target, hosts: &[&str], matches: Vec<(u32, RouteMatch)>) -> Arc<Route> {
    let rule = |(i, (order, matches)): (usize, (u32, RouteMatch))| Rule {
        name: format!("rule-{i}").into(),
        matches: vec![RankedMatch {
            rank: Rank { order: [order, 0, 0, 0, 0], created: 0, name: name.into(), rule: i as u32, position: 0 },
            matches,
        }],
        filters: Vec::new(),
        backends: Vec::new(),
        timeouts: Timeouts::default(),
        retry: None,
        session: None,
    };
    Arc::new(Route {
        key: key(Kind::Route, name),
        origin: Origin::new(ObjectRef::new("", "HTTPRoute", "shop", name), ""),
        protocol: RouteProtocol::Http,
        attachments: vec![Attachment { target, hosts: hosts.iter().map(|h| HostPattern::parse(h).unwrap()).collect() }],
        rules: matches.into_iter().enumerate().map(rule).collect(),
    })
}

fn put(route: &Arc<Route>) -> Change {
    Change::Put(Resource::Route(route.clone()))
}

fn on_path(path: PathMatch) -> RouteMatch {
    RouteMatch { path: Some(path), ..RouteMatch::default() }
}

fn request(host: &str, target: &str) -> RequestHead {
    let mut head = RequestHead::default();
    head.set_authority(host);
    head.set_target(target);
    head
}

fn explain(table: &Table, entry: &Entry, head: &RequestHead) -> crate::explain::Explanation {
    table.explain(entry, head, &Caller::default(), &crate::filters::Context { scheme: Scheme::Http, port: 80 })
}

fn service(port: u16) -> Change {
    Change::Put(Resource::Service(Arc::new(Service {
        key: key(Kind::Service, "catalog"),
        origin: Origin::new(ObjectRef::new("", "Service", "shop", "catalog"), ""),
        hostnames: ["catalog", "catalog.shop"].map(|h| Hostname::parse(h).unwrap()).to_vec(),
        addresses: Vec::new(),
        ports: vec![ServicePort { number: port, name: None, protocol: AppProtocol::Http }],
        identities: Vec::new(),
        balancer: Balancer::default(),
        nearest: None,
        policies: Vec::new(),
        normalisation: Normalisation::default(),
        tls: Vec::new(),
    })))
}

#[test]
fn consumer_routes_replace_producer_routes_and_services_without_routes_pass_on() {
    let entry = Entry::Service { service: key(Kind::Service, "catalog"), port: 80 };
    let to =
        |callers: Option<&str>| Target::Service { service: key(Kind::Service, "catalog"), port: None, callers: callers.map(Into::into) };
    let table = Table::default().apply(&[service(80)]);
    let head = request("catalog", "/a");
    let name = |table: &Table, ns| match table.route(&entry, &head, &Caller::in_namespace(ns)) {
        Ok(decision) => decision.route_key().name.to_string(),
        Err(refusal) => refusal.fault.label().to_owned(),
    };
    let default = table.route(&entry, &head, &Caller::default()).unwrap();
    assert!(default.is_default() && &**default.rule_name() == "default" && default.pick(u32::MAX).unwrap().label() == "shop/catalog:80");
    let producer = route("producer", to(None), &["*"], vec![(0, on_path(PathMatch::prefix("/a")))]);
    let consumer = route("consumer", to(Some("front")), &["*"], vec![(9, on_path(PathMatch::prefix("/a")))]);
    let table = table.apply(&[put(&producer), put(&consumer)]);
    assert_eq!((name(&table, "back"), name(&table, "front")), ("producer".into(), "consumer".into()));
    let table = table.apply(&[Change::Remove(consumer.key.clone())]);
    assert_eq!(name(&table, "front"), "producer");
    let other = table.route(&entry, &request("catalog", "/other"), &Caller::default()).unwrap_err();
    assert_eq!((other.fault, other.reason), (Fault::NoRoute, Reason::NoMatch));
    assert_eq!(table.service_by_host("Catalog", "shop").map(|s| &*s.key.name), Some("catalog"));
    assert_eq!((table.service_by_host("catalog", "x").is_none(), table.service_by_host("catalog.shop", "x").is_some()), (true, true));
}

#[test]
fn a_large_table_costs_what_a_small_one_does_and_an_edit_rebuilds_what_it_touches() {
    let target = || Target::Listener(listener_key());
    let every: Vec<_> = (0..10_000)
        .map(|i| {
            route(
                &format!("r{i}"),
                target(),
                &[&format!("h{}.example", i / 10)],
                vec![(0, on_path(PathMatch::prefix(&format!("/p{}", i % 10))))],
            )
        })
        .collect();
    let table = Table::default().apply(&every.iter().map(put).collect::<Vec<_>>());
    assert_eq!(table.rebuilt(), 1000);
    let entry = Entry::Listener(listener_key());
    let cost = |table: &Table| {
        let mut cost = Cost::default();
        let head = request("h537.example:80", "/p7/x/y");
        table.route_counted(&entry, &head, &Caller::default(), &mut cost).unwrap();
        cost
    };
    assert_eq!(cost(&table), cost(&Table::default().apply(&[put(&every[5377])])));
    let edited = table.apply(&[put(&every[5377])]);
    assert_eq!((edited.rebuilt(), edited.generation()), (1, table.generation() + 1));
    let ends = Endpoints { key: key(Kind::Endpoints, "x"), endpoints: Vec::new() };
    let same = edited.apply(&[Change::Put(Resource::Endpoints(Arc::new(ends)))]);
    assert_eq!((same.rebuilt(), same.generation()), (0, edited.generation()));
}

fn listener(section: &str, hostname: &str, protocol: ListenerProtocol) -> Change {
    Change::Put(Resource::Listener(Arc::new(Listener {
        key: key(Kind::Listener, &format!("edge.{section}")),
        origin: Origin::new(ObjectRef::new("", "Gateway", "shop", "edge"), ""),
        gateway: key(Kind::Gateway, "edge"),
        section: section.into(),
        addresses: Vec::new(),
        port: 443,
        protocol,
        hostname: HostPattern::parse(hostname).unwrap(),
        tls: None,
        normalisation: Normalisation::Base,
        front: model::Front::default(),
        shown: GatewayCertificate::default(),
        asks: Vec::new(),
        broken: None,
    })))
}

#[test]
fn listeners_are_isolated() {
    let https = ListenerProtocol::Https;
    let at = |section: &str| Target::Listener(key(Kind::Listener, &format!("edge.{section}")));
    let any = vec![(0, RouteMatch::default())];
    let table = Table::default().apply(&[
        listener("wild", "*.example.com", https),
        listener("exact", "a.example.com", https),
        put(&route("w", at("wild"), &["*.example.com"], any.clone())),
        put(&route("e", at("exact"), &["a.example.com"], any)),
    ]);
    let ask = |sni, host| match table.gateway_route(&key(Kind::Gateway, "edge"), 443, Some(Some(sni)), &request(host, "/")) {
        Ok((_, decision)) => decision.route_key().name.to_string(),
        Err(refusal) => refusal.fault.http_status().to_string(),
    };
    assert_eq!((ask("a.example.com", "a.example.com"), ask("b.example.com", "b.example.com")), ("e".into(), "w".into()));
    assert_eq!((ask("b.example.com", "a.example.com"), ask("b.example.com", "x.org")), ("421".into(), "404".into()));
}

#[test]
fn what_is_longer_than_any_host_is_some_host_and_none_that_is_named() {
    let at = |section: &str| Target::Listener(key(Kind::Listener, &format!("edge.{section}")));
    let any = vec![(0, RouteMatch::default())];
    let table = Table::default().apply(&[
        listener("any", "*", ListenerProtocol::Http),
        put(&route("wild", at("any"), &["*.example.com"], any.clone())),
        put(&route("any", at("any"), &["*"], any)),
    ]);
    let ask = |host: &str| match table.gateway_route(&key(Kind::Gateway, "edge"), 443, None, &request(host, "/")) {
        Ok((_, decision)) => decision.route_key().name.to_string(),
        Err(refusal) => refusal.fault.http_status().to_string(),
    };
    let of = |length: usize| format!("{}.example.com", "a".repeat(length - ".example.com".len()));
    let most = model::limits::HOSTNAME_BYTES;
    assert_eq!((ask(&of(most)), ask(&of(most + 1)), ask(&of(most + 1).to_uppercase())), ("wild".into(), "any".into(), "any".into()));
}

/// RFC 9110, section 15.5.20: a connection that was opened for one listener says so of a host that another would answer, and only then. Where a listener
/// takes every host, each host is some listener's.
#[test]
fn requests_of_other_listeners_are_misdirected() {
    let at = |section: &str| Target::Listener(key(Kind::Listener, &format!("edge.{section}")));
    let of = |section: &str, hosts: &[&str]| put(&route(section, at(section), hosts, vec![(0, RouteMatch::default())]));
    let hosts = [("any", "*"), ("shop", "shop.example"), ("wild", "*.wild.example"), ("one", "one.wild.example")];
    let listeners = hosts.map(|(section, host)| listener(section, host, ListenerProtocol::Https));
    let routes =
        [of("any", &["news.example"]), of("shop", &["shop.example"]), of("wild", &["*.wild.example"]), of("one", &["one.wild.example"])];
    let table = Table::default().apply(&[&listeners[..], &routes].concat());
    let ask = |sni, host: &str| match table.gateway_route(&key(Kind::Gateway, "edge"), 443, Some(sni), &request(host, "/")) {
        Ok((_, decision)) => decision.route_key().name.to_string(),
        Err(refusal) => refusal.fault.http_status().to_string(),
    };
    for (sni, host, want) in [
        ("news.example", "news.example", "any"),
        ("news.example", "shop.example", "421"),
        ("news.example", "other.example", "404"),
        ("shop.example", "shop.example", "shop"),
        ("shop.example", "other.example", "421"),
        ("two.wild.example", "three.wild.example", "wild"),
        ("two.wild.example", "one.wild.example", "421"),
        ("two.wild.example", "other.example", "421"),
        ("one.wild.example", "two.wild.example", "421"),
        ("other.example", "news.example", "any"),
    ] {
        assert_eq!(ask(Some(sni), host), want, "{sni} asks for {host}");
    }
    // Who named no host knocked at the listener of all.
    assert_eq!((ask(None, "news.example"), ask(None, "shop.example")), ("any".into(), "421".into()));
}

const HOSTS: [&str; 6] = ["*", "*.b.c", "*.c", "a.b.c", "b.c", "x.a.b.c"];
const PATHS: [&str; 6] = ["/", "/p", "/p/q", "/p/q/r", "/pq", "/p/"];

fn any_match() -> impl Strategy<Value = RouteMatch> {
    let path = (0..4u8, prop::sample::select(&PATHS[..])).prop_map(|(kind, path)| match kind {
        0 => None,
        1 => Some(PathMatch::Exact(path.into())),
        2 => Some(PathMatch::prefix(path)),
        _ => Some(PathMatch::Regex(Regex::new(&format!("{path}.?")).unwrap())),
    });
    (path, any::<bool>(), 0..3u8).prop_map(|(path, post, header)| RouteMatch {
        path,
        method: post.then_some(Method::Post),
        headers: (header > 0)
            .then(|| HeaderMatch { name: "x".into(), value: ValueMatch::Exact(header.to_string().into()) })
            .into_iter()
            .collect(),
        query: Vec::new(),
    })
}

/// Slow and plain: every match of every host pattern, judged alone, sorted.
fn reference(routes: &[Arc<Route>], head: &RequestHead) -> Option<(String, u32)> {
    let mut all = Vec::new();
    for route in routes {
        for host in route.attachments.iter().flat_map(|a| &a.hosts) {
            let length = match host {
                HostPattern::Any => (0, 0),
                HostPattern::Suffix(s) if head.host().ends_with(&format!(".{s}")) => (1, s.as_str().len()),
                HostPattern::Exact(s) if s.as_str() == head.host() => (2, 0),
                _ => continue,
            };
            for rule in &route.rules {
                let m = &rule.matches[0];
                let path = match &m.matches.path {
                    None => true,
                    Some(PathMatch::Exact(p)) => head.path() == &**p,
                    Some(PathMatch::Prefix(p)) => {
                        let want: Vec<_> = p.split('/').filter(|s| !s.is_empty()).collect();
                        head.path().split('/').skip(1).take(want.len()).eq(want.iter().copied())
                    }
                    Some(PathMatch::Regex(r)) => {
                        let stem = r.pattern().trim_end_matches(".?");
                        head.path().strip_prefix(stem).is_some_and(|rest| rest.len() < 2)
                    }
                };
                let method = m.matches.method.as_ref().is_none_or(|want| *want == head.method);
                let headers = m.matches.headers.iter().all(|h| match &h.value {
                    ValueMatch::Exact(v) => head.headers.text("x") == Some(v),
                    ValueMatch::Regex(_) => false,
                });
                if path && method && headers {
                    all.push((std::cmp::Reverse(length), m.rank.order, route.key.name.to_string(), m.rank.rule));
                }
            }
        }
    }
    all.sort();
    all.into_iter().next().map(|(_, _, name, rule)| (name, rule))
}

proptest! {
    #[test]
    fn lookup_equals_sorting_everything(
        specs in prop::collection::vec((prop::sample::subsequence(&HOSTS[..], 1..3), prop::collection::vec((0..4u32, any_match()), 1..6)), 1..8),
        removed in 0..8usize,
        host in prop::sample::select(vec!["a.b.c", "b.c", "c", "x.a.b.c", "z.c", "q", "y.b.c"]),
        path in prop::sample::select(&PATHS[..]),
        post in any::<bool>(),
        header in 0..4u8,
        (asleep, early) in any::<(u8, u8)>(),
    ) {
        let at = |i: usize| format!("r{i}");
        let mut routes: Vec<_> = specs.iter().enumerate()
            .map(|(i, (hosts, matches))| route(&at(i), Target::Listener(listener_key()), hosts, matches.clone())).collect();
        // In steps, so that incremental compilation is what is tested; few matches of a host and many are found in two ways.
        // Some sleep until they are asked for, and some hosts were asked for before all of their routes were there.
        let told = |at: usize, route| if asleep >> at & 1 == 1 { crate::table::tests::asleep(route) } else { put(route) };
        let mut table = routes.iter().enumerate().fold(Table::default(), |table, (at, route)| {
            let table = table.apply(&[told(at, route)]);
            if early >> at & 1 == 1 {
                _ = table.route(&Entry::Listener(listener_key()), &request(host, path), &Caller::default());
            }
            table
        });
        if removed < routes.len() {
            let gone = routes.remove(removed);
            table = table.apply(&[Change::Remove(gone.key.clone())]);
        }
        let mut head = request(host, path);
        head.method = if post { Method::Post } else { Method::Get };
        if header > 0 {
            head.headers.push("X", header.to_string().as_bytes());
        }
        let got = table.route(&Entry::Listener(listener_key()), &head, &Caller::default()).ok();
        prop_assert_eq!(got.map(|d| (d.route_key().name.to_string(), d.rule_index())), reference(&routes, &head));
    }
}

#[test]
fn explanations_tell_what_the_decision_says() {
    let canary = RouteMatch {
        headers: vec![HeaderMatch { name: "x-canary".into(), value: ValueMatch::Exact("1".into()) }],
        ..on_path(PathMatch::prefix("/a"))
    };
    let two = route("r", Target::Listener(listener_key()), &["a.b"], vec![(0, canary), (1, on_path(PathMatch::prefix("/a")))]);
    let table = Table::default().apply(&[put(&two)]);
    let entry = Entry::Listener(listener_key());
    assert_eq!(
        explain(&table, &entry, &request("a.b", "/a/x")).lines(),
        [
            "enters     files/listener/shop/edge.http",
            "route      HTTPRoute shop/r for host a.b",
            "rule       rule-1: takes path under /a",
            "refused    500 no_backend: the rule has no backends",
            "because of HTTPRoute shop/r",
            "not taken  rule rule-0: wants header x-canary = 1, got none",
        ]
    );
    let refused = explain(&table, &entry, &request("a.b", "/b"));
    assert_eq!(refused.near_misses.len(), 2);
    assert!(refused.lines()[1].starts_with("refused    404 no_route: "), "{:?}", refused.lines());
}

#[test]
fn what_is_spoken_on_a_port_is_what_its_listeners_that_serve_speak() {
    use ListenerProtocol::{Http, Https, Tcp, TlsPassthrough, TlsTerminate, Udp};
    let spoken = |all: &[(ListenerProtocol, bool)]| {
        let changes = all.iter().enumerate().map(|(i, (protocol, serves))| {
            let Change::Put(Resource::Listener(made)) = listener(&format!("l{i}"), "*", *protocol) else { panic!("a listener") };
            let broken = (!serves).then(|| "broken".into());
            Change::Put(Resource::Listener(Arc::new(Listener { broken, ..Listener::clone(&made) })))
        });
        let table = Table::default().apply(&changes.collect::<Vec<_>>());
        match table.spoken(&key(Kind::Gateway, "edge"), 443) {
            Spoken::Nothing => "nothing",
            Spoken::Http => "http",
            Spoken::Https => "https",
            Spoken::Tls => "tls",
            Spoken::Tcp(_) => "tcp",
        }
    };
    assert_eq!((spoken(&[]), spoken(&[(Udp, true)])), ("nothing", "nothing"));
    assert_eq!((spoken(&[(Http, true), (Http, false)]), spoken(&[(Https, true), (Https, true)])), ("http", "https"));
    assert_eq!((spoken(&[(Https, true), (TlsPassthrough, true)]), spoken(&[(TlsTerminate, true)])), ("tls", "tls"));
    assert_eq!((spoken(&[(Tcp, true), (Udp, true)]), spoken(&[(Tcp, false)])), ("tcp", "tcp"));
    // One that cannot serve is refused by its name and makes nobody else's port another kind of port.
    assert_eq!((spoken(&[(Https, true), (TlsTerminate, false)]), spoken(&[(Tcp, false), (Http, true)])), ("tls", "http"));
    assert_eq!(spoken(&[(Http, false), (Tcp, false)]), "tcp");
}

#[test]
fn a_broken_listener_refuses_alike_whoever_asks() {
    let Change::Put(Resource::Listener(good)) = listener("web", "*", ListenerProtocol::Http) else { panic!("a listener") };
    let broken = Listener { broken: Some("its certificate is missing".into()), ..Listener::clone(&good) };
    let all = route("r", Target::Listener(good.key.clone()), &["*"], vec![(0, RouteMatch::default())]);
    let table = Table::default().apply(&[Change::Put(Resource::Listener(Arc::new(broken))), put(&all)]);
    let head = request("a.b", "/");
    let carried = table.gateway_route(&good.gateway, 443, None, &head).map(|_| ()).unwrap_err();
    let entry = Entry::Listener(good.key.clone());
    let explained = table.route(&entry, &head, &Caller::default()).map(|_| ()).unwrap_err();
    assert_eq!((carried.fault, carried.reason), (explained.fault, explained.reason));
    assert!(explain(&table, &entry, &head).lines().iter().any(|line| line.contains("its certificate is missing")));
}

#[test]
fn an_invalid_backend_keeps_its_share_and_answers_500() {
    let mut made = (*route("split", Target::Listener(listener_key()), &["a"], vec![(0, RouteMatch::default())])).clone();
    let to = |weight, backend| WeightedBackend { weight, backend, filters: Vec::new() };
    let good = Backend::Service(ServiceRef { service: key(Kind::Service, "catalog"), port: 80, subset: None });
    let bad = Backend::Invalid { reason: InvalidBackend::BackendNotFound, message: "Service shop/gone does not exist.".into() };
    made.rules[0].backends = vec![to(1, good), to(3, bad)];
    let table = Table::default().apply(&[put(&Arc::new(made))]);
    let head = request("a", "/");
    let decision = table.route(&Entry::Listener(listener_key()), &head, &Caller::default()).unwrap();
    assert_eq!((decision.split().len(), decision.total_weight()), (2, 4));
    let quarters = [0, 1 << 30, 2 << 30, 3 << 30].map(|draw: u32| decision.pick(draw).map(|chosen| chosen.label()).map_err(|no| no.fault));
    assert_eq!(quarters[0].as_deref(), Ok("shop/catalog:80"));
    assert!(quarters[1..].iter().all(|quarter| *quarter == Err(Fault::InvalidBackend)), "{quarters:?}");
    assert_eq!(Fault::InvalidBackend.http_status(), 500);
}

#[test]
fn matches_that_came_close_are_told_up_to_a_number() {
    let matches = (0..crate::limits::EXPLAINED_NEAR_MISSES as u32 + 5).map(|i| (i, on_path(PathMatch::Exact(format!("/{i}").into()))));
    let table = Table::default().apply(&[put(&route("r", Target::Listener(listener_key()), &["a.example"], matches.collect()))]);
    let told = explain(&table, &Entry::Listener(listener_key()), &request("a.example", "/nowhere"));
    assert_eq!(told.near_misses.len(), crate::limits::EXPLAINED_NEAR_MISSES);
}
