use super::*;
use crate::tests::key;
use crate::tests::resources::{self, DETECT, HTTP, TCP};
use model::{Change, Fault, HostPattern, Kind, ListenerTls, Resource, Target};

fn listener(section: &str, port: u16, host: &str, certificate: bool) -> Resource {
    let Resource::Listener(made) = resources::listener(port, certificate.then(|| key(Kind::Certificate, "edge"))) else { unreachable!() };
    let hostname = HostPattern::parse(host).unwrap();
    let made = Listener { key: key(Kind::Listener, &format!("edge.{section}")), section: section.into(), hostname, ..(*made).clone() };
    Resource::Listener(Arc::new(made))
}

fn broken(listener: Resource, why: &str) -> Resource {
    let Resource::Listener(made) = listener else { unreachable!() };
    let tls = made.tls.as_ref().map(|_| ListenerTls { certificates: Vec::new(), ..ListenerTls::default() });
    Resource::Listener(Arc::new(Listener { broken: Some(why.into()), tls, ..(*made).clone() }))
}

fn table(resources: Vec<Resource>) -> Table {
    Table::default().apply(&resources.into_iter().map(Change::Put).collect::<Vec<_>>())
}

fn head(url: &str) -> RequestHead {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, _) = rest.split_once('/').unwrap();
    let mut head = RequestHead::default();
    head.scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    head.set_authority(authority);
    head.set_target(&rest[authority.len()..]);
    head
}

#[test]
fn what_the_connection_decides_is_told_before_routing() {
    let table = table(vec![
        listener("plain", 80, "*", false),
        listener("a", 443, "a.example", true),
        listener("wild", 443, "*.b.example", true),
        broken(listener("bad", 443, "c.example", true), "its Secret is missing"),
    ]);
    let ask = |port, sni: Option<Option<&str>>, url| {
        let gateway = &key(Kind::Gateway, "edge");
        explain(&table, Asker::Gateway { gateway, port, sni, peer: std::net::Ipv4Addr::LOCALHOST.into() }, &head(url)).outcome
    };
    for (port, sni, url, want) in [
        (81, None, "http://a.example/", "the gateway listens on 443 (HTTPS) and 80 (HTTP) only"),
        (80, Some(Some("a.example")), "https://a.example/", "port 80 speaks no TLS: ask for http://"),
        (443, None, "http://a.example/", "port 443 speaks TLS alone: ask for https://"),
        (443, Some(Some("d.example")), "https://d.example/", "TLS is refused, for no listener of port 443 takes server name d.example"),
        (443, Some(None), "https://a.example/", "TLS is refused, for no listener of port 443 takes no server name"),
        (443, Some(Some("c.example")), "https://c.example/", "TLS is refused, for listener bad cannot serve: its Secret is missing"),
    ] {
        assert_eq!(ask(port, sni, url), Outcome::NoConnection { reason: want.into() }, "{url}");
    }
    let fault = |outcome| match outcome {
        Outcome::Refused(refused) => refused.fault,
        other => panic!("{other:?}"),
    };
    assert_eq!(fault(ask(443, Some(Some("A.example")), "https://x.b.example/")), Fault::MisdirectedRequest);
    assert_eq!(fault(ask(443, Some(Some("y.b.example")), "https://x.b.example/")), Fault::NoRoute, "one certificate, many names");
    assert_eq!(fault(ask(80, None, "http://a.example/%2")), Fault::MalformedRequest);
}

#[test]
fn a_listener_says_how_far_paths_are_made_regular() {
    let merging = |level| {
        let Resource::Listener(made) = listener("web", 80, "*", false) else { unreachable!() };
        let mut rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        rule.matches[0].matches.path = Some(model::PathMatch::Exact("/a/b".into()));
        let route = resources::route(Target::Listener(made.key.clone()), rule);
        table(vec![Resource::Listener(Arc::new(Listener { normalisation: level, ..(*made).clone() })), route])
    };
    let gateway = &key(Kind::Gateway, "edge");
    let ask = |level| {
        explain(
            &merging(level),
            Asker::Gateway { gateway, port: 80, sni: None, peer: std::net::Ipv4Addr::LOCALHOST.into() },
            &head("http://a.example/a//b"),
        )
        .outcome
    };
    assert!(matches!(ask(Normalisation::Base), Outcome::Refused(Refused { fault: Fault::NoRoute, .. })));
    assert_eq!(ask(Normalisation::MergeSlashes), Outcome::Forward);
}

#[test]
fn a_service_says_how_far_paths_are_made_regular() {
    let ask = |level| {
        let mut all = resources::catalog(&[]);
        let Resource::Service(service) = &mut all[0] else { unreachable!() };
        Arc::make_mut(service).normalisation = level;
        let mut rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        rule.matches[0].matches.path = Some(model::PathMatch::Exact("/a/b".into()));
        all.push(resources::on_service("catalog", rule));
        explain(&table(all), Asker::Workload { namespace: "shop" }, &head("http://catalog/a%2Fb")).outcome
    };
    assert!(matches!(ask(Normalisation::MergeSlashes), Outcome::Refused(Refused { fault: Fault::NoRoute, .. })));
    assert_eq!(ask(Normalisation::DecodeSlashes), Outcome::Forward);
}

#[test]
fn tls_of_a_programs_own_passes_where_nothing_is_read() {
    let table = table(resources::catalog(&[]));
    let ask = |url: &str| explain(&table, Asker::Workload { namespace: "shop" }, &head(url)).outcome;
    assert_eq!(ask(&format!("http://catalog:{HTTP}/")), Outcome::Forward);
    assert!(matches!(ask(&format!("https://catalog:{HTTP}/")), Outcome::NoConnection { .. }));
    for port in [TCP, DETECT] {
        assert_eq!(ask(&format!("https://catalog:{port}/")), Outcome::Forward, "{port}");
    }
}

#[test]
fn bytes_and_datagrams_are_explained_by_their_listeners() {
    use crate::datagrams::tests as datagrams;
    let mut all = vec![datagrams::listener(Default::default()), datagrams::route(vec![datagrams::backend("dns", 1)])];
    all.extend(datagrams::service("dns", &[]));
    let known = Snapshot::default().apply(1, &all.into_iter().map(Change::Put).collect::<Vec<_>>(), &Default::default());
    let gateway = &key(Kind::Gateway, "edge");
    let ask = |port, datagrams| explain(&known.table, Asker::Bytes { gateway, port, datagrams }, &RequestHead::default());
    let told = ask(datagrams::PORT, true);
    assert_eq!((told.outcome, told.listener.as_deref()), (Outcome::Forward, Some("shop/edge/dns")));
    let chain = told.chain.unwrap();
    assert_eq!((chain.route.to_string().as_str(), chain.split[0].backend.as_str()), ("UDPRoute shop/dns", "shop/dns:53"));
    for (port, datagrams, want) in
        [(54, true, "the gateway listens on 53 (UDP) only"), (datagrams::PORT, false, "the gateway has no TCP listener")]
    {
        assert_eq!(ask(port, datagrams).outcome, Outcome::NoConnection { reason: want.into() });
    }
    // Of a running gateway it is known that nobody answers.
    let live = explain_live(&known, Asker::Bytes { gateway, port: datagrams::PORT, datagrams: true }, &RequestHead::default());
    assert!(matches!(live.outcome, Outcome::Refused(Refused { fault: Fault::NoEndpoint, .. })), "{:?}", live.outcome);
}

#[test]
fn slips_of_the_hand_are_guessed_at() {
    let table = table(resources::catalog(&[]));
    let ask = |url: &str| match explain(&table, Asker::Workload { namespace: "shop" }, &head(url)).outcome {
        Outcome::Outside { host, port, alike } => (host, port, alike),
        other => panic!("{other:?}"),
    };
    assert_eq!(ask("http://catalgo:8080/"), ("catalgo".into(), 8080, vec!["catalog".into()]));
    assert_eq!(ask("http://example.org/").2, Vec::<String>::new());
    assert_eq!(["", "abc", "kitten"].map(|a| distance(a, "sitting")), [7, 7, 3]);
}
