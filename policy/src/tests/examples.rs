//! Policies as people write them, one at a time.

use crate::{Attributes, Because, Engine, Moment, Place, Request};
use model::access::*;
use model::*;
use std::sync::Arc;

pub fn policy(tier: Tier, action: Action, target: AccessTarget, rules: Vec<Vec<Clause>>) -> Arc<AccessPolicy> {
    let name = format!("{}-{}", action.as_str(), tier.as_str()).to_lowercase();
    let rules = rules.into_iter().enumerate().map(|(i, clauses)| AccessRule { name: format!("rule-{i}").into(), clauses });
    Arc::new(AccessPolicy {
        key: Key::new(Source::files(), Kind::Access, "shop", &name),
        origin: Origin::new(ObjectRef::new("organza.dev", "AccessPolicy", "shop", &name), ""),
        tier,
        action,
        enforcement: Enforcement::Enforce,
        targets: vec![target],
        rules: rules.collect(),
    })
}

pub fn any_of(matches: impl IntoIterator<Item = AccessMatch>) -> Clause {
    Clause(matches.into_iter().map(|one| Group(vec![Term::is(vec![one])])).collect())
}

pub fn none_of(matches: Vec<AccessMatch>) -> Clause {
    Clause(vec![Group(vec![Term::is_not(matches)])])
}

pub fn namespace(name: &str) -> AccessMatch {
    AccessMatch::Namespace(TextMatch::Exact(name.into()))
}

fn path(text: &str) -> AccessMatch {
    AccessMatch::Path(AccessPath::segments(text))
}

pub fn service(name: &str) -> Key {
    Key::new(Source::files(), Kind::Service, "shop", name)
}

pub type Fields<'a> = &'a [(&'a str, &'a str)];

pub struct Call<'a> {
    pub from: &'a str,
    pub services: &'a [(Key, u16)],
    pub request: Option<(&'a str, Fields<'a>)>,
}

/// `from` is `namespace/account`, or empty for nobody. Without a request it is a connection of bytes.
pub fn decide(policies: &[&Arc<AccessPolicy>], call: &Call<'_>) -> (bool, String) {
    let engine = Engine::compile(policies.iter().copied(), []);
    let peer = call.from.split_once('/').map(|(ns, sa)| SpiffeId::new(TrustDomain::parse("organza.local").unwrap(), ns, sa).unwrap());
    let mut headers = HeaderBlock::default();
    call.request.iter().flat_map(|(_, fields)| fields.iter()).for_each(|(name, value)| headers.push(name, value.as_bytes()));
    let address = "10.0.0.1".parse().unwrap();
    let request = |path| Request {
        host: "orders",
        method: &Method::Get,
        path,
        headers: &headers,
        client: Some(address),
        token: None,
        consumer: None,
    };
    let moment = call.request.map_or(Moment::Stream, |(path, _)| Moment::Request(request(path)));
    let ports: Vec<u16> = call.services.iter().map(|(_, port)| *port).collect();
    let place = Place::Workload { namespace: "shop", labels: &Labels::new(), services: call.services };
    let verdict = engine
        .decide(&place, &Attributes { peer: peer.as_ref(), plaintext: peer.is_none(), address, ports: &ports, server_name: None, moment });
    (verdict.is_allowed(), verdict.decided.to_string())
}

fn get<'a>(from: &'a str, path: &'a str, services: &'a [(Key, u16)]) -> Call<'a> {
    Call { from, services, request: Some((path, &[])) }
}

pub fn orders() -> [(Key, u16); 1] {
    [(service("orders"), 80)]
}

#[test]
fn tiers_are_asked_in_order_and_say_who_decided() {
    let on_orders = || AccessTarget::Service { service: service("orders"), port: None };
    let no_dev = policy(Tier::Admin, Action::Deny, AccessTarget::Mesh, vec![vec![any_of([namespace("dev")])]]);
    let probes = policy(Tier::Admin, Action::Allow, AccessTarget::Mesh, vec![vec![any_of([namespace("ops")])]]);
    let web = policy(Tier::Namespace, Action::Allow, on_orders(), vec![vec![any_of([namespace("shop"), namespace("dev")])]]);
    let base = policy(Tier::Baseline, Action::Deny, AccessTarget::Mesh, vec![vec![]]);
    let all = [&no_dev, &probes, &web, &base];
    let services = orders();
    let (allowed, why) = decide(&all, &get("dev/web", "/", &services));
    assert_eq!((allowed, why.as_str()), (false, "denied by rule rule-0 of AccessPolicy shop/deny-admin (Admin)"));
    let (allowed, why) = decide(&all, &get("ops/prober", "/", &services));
    assert_eq!((allowed, why.as_str()), (true, "allowed by rule rule-0 of AccessPolicy shop/allow-admin (Admin)"));
    assert!(decide(&all, &get("shop/web", "/", &services)).0);
    let (allowed, why) = decide(&all, &get("other/web", "/", &services));
    assert_eq!((allowed, why.as_str()), (false, "denied by AccessPolicy shop/allow-namespace, which allows others and not this"));
    // No policy of the namespace speaks of payments.
    let payments = [(service("payments"), 80)];
    assert_eq!(decide(&all, &get("shop/web", "/", &payments)).1, "denied by rule rule-0 of AccessPolicy shop/deny-baseline (Baseline)");
    assert_eq!(decide(&[], &get("shop/web", "/", &payments)), (true, "allowed by the default AllowMeshed".into()));
    assert_eq!(decide(&[], &get("", "/", &payments)), (false, "denied by mtls: Strict, for the caller proved no identity".into()));
}

#[test]
fn an_empty_list_is_nothing_and_none_is_everything() {
    let target = || AccessTarget::Namespace("shop".into());
    let services = orders();
    let call = get("shop/web", "/", &services);
    for (rules, allowed) in [(vec![], false), (vec![vec![]], true), (vec![vec![Clause(vec![])]], false)] {
        let allow = policy(Tier::Namespace, Action::Allow, target(), rules.clone());
        assert_eq!(decide(&[&allow], &call).0, allowed, "{rules:?}");
        let deny = policy(Tier::Namespace, Action::Deny, target(), rules.clone());
        assert_eq!(decide(&[&deny], &call).0, !allowed, "{rules:?}");
    }
}

#[test]
fn bytes_are_allowed_by_what_needs_no_request_and_denied_by_what_could() {
    let target = || AccessTarget::Namespace("shop".into());
    let services = orders();
    let bytes = |from| Call { from, services: &services, request: None };
    let from_web_to_a = || vec![any_of([namespace("shop")]), any_of([path("/a")])];
    let allow = policy(Tier::Namespace, Action::Allow, target(), vec![from_web_to_a()]);
    assert!(!decide(&[&allow], &bytes("shop/web")).0);
    assert!(decide(&[&allow], &get("shop/web", "/a/b", &services)).0);
    let deny = policy(Tier::Namespace, Action::Deny, target(), vec![from_web_to_a()]);
    let (allowed, why) = decide(&[&deny], &bytes("shop/web"));
    assert!(!allowed && why.ends_with("as far as it can be told"), "{why}");
    assert!(decide(&[&deny], &bytes("dev/web")).0);
    assert!(decide(&[&deny], &get("shop/web", "/b", &services)).0);
    let not_a = vec![none_of(vec![path("/a")])];
    assert!(!decide(&[&policy(Tier::Namespace, Action::Deny, target(), vec![not_a.clone()])], &bytes("shop/web")).0);
    assert!(!decide(&[&policy(Tier::Namespace, Action::Allow, target(), vec![not_a])], &bytes("shop/web")).0);
}

#[test]
fn a_port_of_the_application_has_no_second_door() {
    let target = AccessTarget::Service { service: service("orders"), port: Some(80) };
    let deny = policy(Tier::Namespace, Action::Deny, target, vec![vec![any_of([namespace("dev")])]]);
    let both = [(service("orders-v1"), 8000), (service("orders"), 80)];
    assert!(!decide(&[&deny], &get("dev/web", "/", &both)).0);
    let other = [(service("orders"), 81)];
    assert!(decide(&[&deny], &get("dev/web", "/", &other)).0);
}

#[test]
fn a_header_that_can_be_read_in_two_ways_is_read_against_its_sender() {
    let role = |text: &str| AccessMatch::Header { name: "x-role".into(), value: TextMatch::Exact(text.into()) };
    let target = || AccessTarget::Namespace("shop".into());
    let allow = policy(Tier::Namespace, Action::Allow, target(), vec![vec![any_of([role("admin")])]]);
    let deny = policy(Tier::Namespace, Action::Deny, target(), vec![vec![any_of([role("admin")])]]);
    let services = orders();
    // Fields, whether the allow lets them pass, whether the deny does.
    let cases: [(Fields<'_>, bool, bool); 7] = [
        (&[("X-Role", "admin")], true, false),
        (&[("x-role", "user")], false, true),
        (&[], false, true),
        (&[("x-role", "admin"), ("X-ROLE", "user")], false, false),
        (&[("x-role", "user"), ("x-role", "admin")], false, false),
        (&[("x-role", "user, admin")], false, false),
        (&[("x-role", "administrator")], false, true),
    ];
    for (fields, by_allow, by_deny) in cases {
        let call = Call { from: "shop/web", services: &services, request: Some(("/", fields)) };
        assert_eq!((decide(&[&allow], &call).0, decide(&[&deny], &call).0), (by_allow, by_deny), "{fields:?}");
    }
}

#[test]
fn gateways_have_targets_of_their_own_and_listen_to_strangers() {
    let key = |kind, name: &str| Key::new(Source::files(), kind, "shop", name);
    let (gateway, listener, route) = (key(Kind::Gateway, "edge"), key(Kind::Listener, "edge.web"), key(Kind::Route, "httproute.a"));
    let place = |route| Place::Gateway { gateway: &gateway, listener: &listener, route };
    let of = Attributes {
        peer: None,
        plaintext: false,
        address: "10.0.0.1".parse().unwrap(),
        ports: &[80],
        server_name: None,
        moment: Moment::Stream,
    };
    let mesh = policy(Tier::Admin, Action::Deny, AccessTarget::Mesh, vec![vec![]]);
    let on_route = policy(Tier::Namespace, Action::Deny, AccessTarget::Route(route.clone()), vec![vec![]]);
    let engine = Engine::compile([&mesh, &on_route], []);
    let open = engine.decide(&place(None), &of);
    assert!(open.is_allowed() && matches!(open.decided.because, Because::Default { .. }), "{open:?}");
    assert!(!engine.decide(&place(Some(&route)), &of).is_allowed());
    for (target, denies) in [(AccessTarget::Gateway(gateway.clone()), true), (AccessTarget::Listener(key(Kind::Listener, "edge.x")), false)]
    {
        let engine = Engine::compile([&policy(Tier::Namespace, Action::Deny, target, vec![vec![]])], []);
        assert_eq!(engine.decide(&place(Some(&route)), &of).is_allowed(), !denies);
    }
}

#[test]
fn who_reads_paths_says_so() {
    let rule = vec![vec![any_of([path("/a")])]];
    let deny = policy(Tier::Namespace, Action::Deny, AccessTarget::Namespace("shop".into()), rule);
    let engine = Engine::compile([&deny], []);
    let labels = Labels::new();
    let place = |namespace| Place::Workload { namespace, labels: &labels, services: &[] };
    assert!(engine.reads_paths(&place("shop")) && !engine.reads_paths(&place("dev")));
    assert_eq!((engine.reader_of_paths(&place("shop")), engine.reader_of_paths(&place("dev"))), (Some(&deny), None));
}

#[test]
fn who_reads_hosts_says_so_even_where_it_is_only_tried_out() {
    let on = |one| policy(Tier::Namespace, Action::Deny, AccessTarget::Mesh, vec![vec![any_of([one])]]);
    let host = || AccessMatch::Host(HostPattern::parse("orders.example").unwrap());
    let tried = Arc::new(AccessPolicy { enforcement: Enforcement::DryRun, ..(*on(host())).clone() });
    assert!(Engine::compile([&on(host())], []).reads_hosts() && Engine::compile([&tried], []).reads_hosts());
    assert!(!Engine::compile([&on(path("/a"))], []).reads_hosts());
}
