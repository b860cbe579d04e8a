//! What other meshes say of access, in the words of the model (`decisions/0019`): the hard ones of Istio, Linkerd and Consul, each as its front end would
//! write it, and judged as its own documentation says.

use super::examples::{Call, any_of, decide, namespace, none_of, orders, policy, service};
use model::access::*;
use model::{Cidr, Labels, Method, Regex};

fn header(name: &str, value: TextMatch) -> AccessMatch {
    AccessMatch::Header { name: name.into(), value }
}

fn path(path: AccessPath) -> AccessMatch {
    AccessMatch::Path(path)
}

fn on_shop() -> AccessTarget {
    AccessTarget::Workloads { namespace: "shop".into(), labels: Labels::new() }
}

/// One entry of `from` or `to`: each list is a term, all of them hold.
fn entry(terms: Vec<Term>) -> Clause {
    Clause(vec![Group(terms)])
}

/// Istio: lists of one entry are all needed, entries are any, `not*` is of its list, and `when` is needed beside `from` and `to`.
#[test]
fn istios_rule_is_from_and_to_and_when_with_what_each_leaves_out() {
    let from = Clause(vec![
        Group(vec![
            Term::is(vec![AccessMatch::Identity(IdentityMatch::Prefix("spiffe://organza.local/ns/web/".into()))]),
            Term::is_not(vec![AccessMatch::Identity(IdentityMatch::Suffix("/sa/test".into()))]),
        ]),
        Group(vec![Term::is(vec![namespace("ops")])]),
    ]);
    let to = entry(vec![
        Term::is(vec![path(AccessPath::Letters("/api".into())), path(AccessPath::Suffix(".json".into()))]),
        Term::is_not(vec![path(AccessPath::Letters("/api/admin".into()))]),
    ]);
    let when = any_of([header("x-team", TextMatch::Prefix("core".into()))]);
    let not_when = none_of(vec![header("x-debug", TextMatch::Present)]);
    let allow = policy(Tier::Namespace, Action::Allow, on_shop(), vec![vec![from, to, when, not_when]]);
    let services = orders();
    let team: &[(&str, &str)] = &[("x-team", "core-1")];
    for (from, path, headers, allowed) in [
        ("web/a", "/api/items", team, true),
        ("web/a", "/apis", team, true),
        ("web/a", "/x/y.json", team, true),
        ("ops/test", "/api", team, true),
        ("web/test", "/api", team, false),
        ("web/a", "/api/admin/x", team, false),
        ("web/a", "/other", team, false),
        ("web/a", "/api", &[("x-team", "edge")], false),
        ("web/a", "/api", &[("x-team", "core"), ("x-debug", "1")], false),
        ("shop/a", "/api", team, false),
    ] {
        let call = Call { from, services: &services, request: Some((path, headers)) };
        assert_eq!(decide(&[&allow], &call).0, allowed, "{from} {path} {headers:?}");
    }
}

/// Istio's `AUDIT` tells and denies nothing.
#[test]
fn istios_audit_decides_nothing() {
    let services = orders();
    let call = Call { from: "web/a", services: &services, request: Some(("/", &[])) };
    let deny = policy(Tier::Namespace, Action::Deny, on_shop(), vec![vec![]]);
    let audit = std::sync::Arc::new(AccessPolicy { enforcement: Enforcement::DryRun, ..(*deny).clone() });
    assert!(!decide(&[&deny], &call).0 && decide(&[&audit], &call).0);
    let engine = crate::Engine::compile([&audit], []);
    let labels = Labels::new();
    let place = crate::Place::Workload { namespace: "shop", labels: &labels, services: &services };
    let peer = model::SpiffeId::new(model::TrustDomain::parse("organza.local").unwrap(), "web", "a").unwrap();
    let address = "10.0.0.1".parse().unwrap();
    let of =
        crate::Attributes { peer: Some(&peer), plaintext: false, address, ports: &[80], server_name: None, moment: crate::Moment::Stream };
    let verdict = engine.decide(&place, &of);
    assert!(verdict.is_allowed() && verdict.rehearsed.is_some_and(|would| !would.allowed));
}

/// Linkerd: all of `requiredAuthenticationRefs`, networks without their exceptions, and whoever a Server names nobody for is denied.
#[test]
fn linkerds_required_authentications_are_all_needed() {
    let block = |text: &str| AccessMatch::PeerAddress(Cidr::parse(text).unwrap());
    let networks = |except: &str| entry(vec![Term::is(vec![block("10.0.0.0/8")]), Term::is_not(vec![block(except)])]);
    let mesh = any_of([AccessMatch::Identity(IdentityMatch::Suffix("/ns/web/sa/a".into()))]);
    let server = || AccessTarget::Service { service: service("orders"), port: Some(80) };
    let services = orders();
    // Calls come from 10.0.0.1.
    for (from, except, allowed) in [("web/a", "10.1.0.0/16", true), ("web/a", "10.0.0.0/24", false), ("web/b", "10.1.0.0/16", false)] {
        let allow = policy(Tier::Namespace, Action::Allow, server(), vec![vec![mesh.clone(), networks(except)]]);
        let call = Call { from, services: &services, request: None };
        assert_eq!(decide(&[&allow], &call).0, allowed, "{from} but {except}");
    }
    let nobody = policy(Tier::Namespace, Action::Allow, server(), vec![]);
    assert!(!decide(&[&nobody], &Call { from: "web/a", services: &services, request: None }).0);
}

/// One of Consul's intentions for a destination: from a service, or from any (`*`) of a namespace or of all.
struct Intention {
    source: (&'static str, &'static str),
    permissions: Vec<Permission>,
}

/// Action, and what of a request it is about; of the first that holds.
type Permission = (Action, Vec<Term>);

fn precedence(intention: &Intention) -> u8 {
    u8::from(intention.source.0 != "*") + u8::from(intention.source.1 != "*")
}

fn source(intention: &Intention) -> AccessMatch {
    match intention.source {
        ("*", _) => AccessMatch::Identity(IdentityMatch::Any),
        (space, "*") => namespace(space),
        (space, name) => AccessMatch::ServiceAccount { namespace: space.into(), name: name.into() },
    }
}

/// Rules of one Allow: each allowed permission, without what goes before it and without whom a more specific intention is about.
fn rules(intentions: &[Intention]) -> Vec<Vec<Clause>> {
    let mut rules = Vec::new();
    for one in intentions {
        let more_specific: Vec<_> = intentions.iter().filter(|other| precedence(other) > precedence(one)).map(source).collect();
        for (at, (action, terms)) in one.permissions.iter().enumerate() {
            if *action == Action::Deny {
                continue;
            }
            let mut clauses = vec![entry(vec![Term::is(vec![source(one)]), Term::is_not(more_specific.clone())]), entry(terms.clone())];
            for (_, before) in &one.permissions[..at] {
                // Not all of them: any of them does not hold.
                let negated = before.iter().map(|term| Group(vec![Term { negated: !term.negated, any: term.any.clone() }]));
                clauses.push(Clause(negated.collect()));
            }
            rules.push(clauses);
        }
    }
    rules
}

/// Consul: the most specific intention decides alone, of its permissions the first that holds, and what none of them says is denied.
#[test]
fn consuls_most_specific_intention_decides_by_its_first_permission_that_holds() {
    let regex = |text| Regex::new(text).unwrap();
    let is = |one| vec![Term::is(vec![one])];
    let intentions = [
        Intention { source: ("*", "*"), permissions: vec![(Action::Allow, vec![])] },
        Intention { source: ("dev", "*"), permissions: vec![(Action::Deny, vec![])] },
        Intention {
            source: ("dev", "ci"),
            permissions: vec![
                (Action::Deny, is(path(AccessPath::Letters("/admin".into())))),
                (
                    Action::Allow,
                    vec![Term::is(vec![path(AccessPath::Regex(regex("/v[0-9]+/.*")))]), Term::is(vec![AccessMatch::Method(Method::Get)])],
                ),
                (Action::Deny, is(header("x-from", TextMatch::Contains("test".into())))),
                (
                    Action::Allow,
                    vec![
                        Term::is_not(vec![header("x-role", TextMatch::Regex(regex("guest|anon.*")))]),
                        Term::is(vec![path(AccessPath::Exact("/open".into()))]),
                    ],
                ),
            ],
        },
    ];
    let allow =
        policy(Tier::Namespace, Action::Allow, AccessTarget::Service { service: service("orders"), port: None }, rules(&intentions));
    let services = orders();
    // Calls are GET.
    for (from, path, headers, allowed) in [
        ("shop/web", "/admin", &[][..], true),
        ("dev/web", "/v1/a", &[], false),
        ("dev/ci", "/v1/a", &[], true),
        ("dev/ci", "/v1/a", &[("x-from", "a-test-b")], true),
        ("dev/ci", "/adminx", &[], false),
        ("dev/ci", "/vx/a", &[], false),
        ("dev/ci", "/open", &[], true),
        ("dev/ci", "/open", &[("x-from", "a-test-b")], false),
        ("dev/ci", "/open", &[("x-role", "anonymous")], false),
        ("dev/ci", "/open", &[("x-role", "member")], true),
        ("dev/ci", "/other", &[], false),
    ] {
        let call = Call { from, services: &services, request: Some((path, headers)) };
        assert_eq!(decide(&[&allow], &call).0, allowed, "{from} {path} {headers:?}");
    }
}

/// Istio's condition `connection.sni`.
#[test]
fn a_gateways_caller_is_known_by_the_name_that_it_asked_for() {
    let key = |kind, name: &str| model::Key::new(model::Source::files(), kind, "shop", name);
    let (gateway, listener) = (key(model::Kind::Gateway, "edge"), key(model::Kind::Listener, "edge.web"));
    let place = crate::Place::Gateway { gateway: &gateway, listener: &listener, route: None };
    let want = any_of([AccessMatch::ServerName(TextMatch::Suffix(".example.com".into()))]);
    let engine =
        crate::Engine::compile([&policy(Tier::Namespace, Action::Allow, AccessTarget::Gateway(gateway.clone()), vec![vec![want]])], []);
    let address = "10.0.0.1".parse().unwrap();
    for (server_name, allowed) in [(Some("a.example.com"), true), (Some("example.org"), false), (None, false)] {
        let of = crate::Attributes { peer: None, plaintext: false, address, ports: &[443], server_name, moment: crate::Moment::Stream };
        assert_eq!(engine.decide(&place, &of).is_allowed(), allowed, "{server_name:?}");
    }
}
