use super::held_closed;
use crate::schema::{check, check_again};
use crate::tests::{gateway, object, route, run, service};
use crate::{Object, Translation, file};
use model::access::{AccessMatch, AccessPolicy, AccessTarget, Action, DefaultAccess, Egress};
use model::{Resource, Severity};
use serde_json::{Value, json};
use std::sync::Arc;

const HEAD: &str = "apiVersion: organza.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: p, namespace: a}\nspec:\n";
const TARGET: &str = "  targetRefs: [{kind: Service, name: s}]\n";

fn parsed(text: &str) -> Vec<Object> {
    let (objects, found) = file::parse("p.yaml", text);
    assert!(found.is_empty(), "{found:?}");
    objects
}

fn policies(t: &Translation) -> Vec<&Arc<AccessPolicy>> {
    t.resources.iter().filter_map(|r| if let Resource::Access(p) = r { Some(p) } else { None }).collect()
}

fn policy(spec: Value) -> Object {
    object("organza.dev/v1alpha1", "AccessPolicy", ("a", "p"), json!({ "spec": spec }))
}

#[test]
fn mistakes_are_told_with_their_place() {
    let told = |rest: &str| {
        let (_, found) = check(parsed(&format!("{HEAD}{rest}")));
        found.into_iter().map(|found| (found.report.path_text(), found.place.line)).collect::<Vec<_>>()
    };
    assert_eq!(told(&format!("{TARGET}  rules: []\n")), []);
    let cases = [
        ("  rules: [{sorces: []}]\n", "spec.rules[0].sorces"),
        ("  rules: [{sources: [{type: Anyone}]}]\n", "spec.rules[0].sources[0].type"),
        ("  rules: [{sources: [{type: Namespace}]}]\n", "spec.rules[0].sources[0]"),
        ("  rules: [{sources: [{type: IPBlock, ipBlock: {cidr: ten}}]}]\n", "spec.rules[0].sources[0].ipBlock.cidr"),
        ("  rules: [{sources: [{type: Identity, identity: {value: web}}]}]\n", "spec.rules[0].sources[0].identity.value"),
        ("  rules: [{destinations: [{ports: [0]}]}]\n", "spec.rules[0].destinations[0].ports[0]"),
        ("  rules: [{destinations: [{methods: [get]}]}]\n", "spec.rules[0].destinations[0].methods[0]"),
        ("  rules: [{destinations: [{paths: [{value: admin}]}]}]\n", "spec.rules[0].destinations[0].paths[0]"),
        ("  rules: [{destinations: [{hosts: ['a..b']}]}]\n", "spec.rules[0].destinations[0].hosts[0]"),
        ("  rules: [{destinations: [{headers: [{name: x}]}]}]\n", "spec.rules[0].destinations[0].headers[0]"),
        ("  rules: []\n  action: Log\n", "spec.action"),
    ];
    for (rest, path) in cases {
        let found = told(&format!("{TARGET}{rest}"));
        assert_eq!(found.first().map(|(path, _)| path.as_str()), Some(path), "{rest}: {found:?}");
        assert_eq!(found.len(), 1, "{rest}: {found:?}");
    }
    assert_eq!(told(TARGET), [("spec".to_owned(), 4)]);
    assert_eq!(told("  rules: []\n").len(), 1, "a policy says what it is for");
    assert_eq!(told("  targetRefs: [{kind: Secret, name: s}]\n  rules: []\n"), [("spec.targetRefs[0].kind".to_owned(), 5)]);
}

#[test]
fn a_policy_that_the_schema_refuses_is_held_closed_and_one_that_was_good_stays() {
    let refused = format!("{HEAD}{TARGET}  rules: [{{sources: [{{type: Namespace, namespace: {{name: a}}}}], sorces: []}}]\n");
    let (good, found) = check(parsed(&refused));
    assert_eq!((good.len(), found.len()), (1, 1));
    let t = run(&[vec![service("a", "s")], good].concat());
    assert!(policies(&t)[0].rules.is_empty() && policies(&t)[0].action == Action::Allow, "a broken allow lets nobody in");
    assert!(t.reports.is_empty(), "it was told already: {:?}", t.reports);
    let status = t.statuses.iter().find(|s| *s.object.kind == *"AccessPolicy").unwrap();
    assert!(status.conditions.is_empty(), "its targets say it, once: {status:?}");
    let [accepted] = &status.parents[0].conditions[..] else { panic!("{status:?}") };
    assert_eq!(&*accepted.reason, "Invalid");
    assert!(accepted.message.contains("it lets nobody in. spec.rules[0].sorces: "), "{}", accepted.message);
    let deny = refused.replace("spec:\n", "spec:\n  action: Deny\n");
    let (good, _) = check(parsed(&deny));
    let t = run(&[vec![service("a", "s")], good].concat());
    assert_eq!((policies(&t)[0].rules.len(), policies(&t)[0].action), (1, Action::Deny), "a broken deny denies by its valid part");
    // Where an earlier state was good, that is what stays; it is for whoever keeps it.
    let (before, _) = check(parsed(&format!("{HEAD}{TARGET}  rules: [{{}}]\n")));
    assert!(check_again(parsed(&refused), &before).0.is_empty());
    let why = run(&[policy(json!({"targetRefs": [{"kind": "Service", "name": "s"}], "rules": [3]}))]).reports.remove(0);
    assert!(held_closed(&service("a", "s"), &why).is_none(), "without a service less is let in, not more");
}

#[test]
fn what_cannot_be_read_makes_nothing_wider() {
    let target = json!([{"kind": "Service", "name": "s"}]);
    let ours = json!({"type": "Namespace", "namespace": {"name": "a"}});
    let odd = [
        json!({"sources": "web"}),
        json!({"sources": [{"type": "IPBlock", "ipBlock": {"cidr": "10.0.0.0/99"}}]}),
        json!({"sources": [3]}),
        json!({"sources": [ours], "destinations": {"ports": [80]}}),
        json!({"sources": [ours], "destinations": [{"paths": [{"type": "Template", "value": "/a{b}"}]}]}),
        json!({"sources": [ours], "destinations": [{"notPorts": [99_999]}]}),
        json!({"sources": [{"type": "Identity", "identity": {"value": "spiffe://UPPER/x"}}]}),
        json!({"sources": [ours], "notSources": [{"type": "TrustDomain", "trustDomain": {"name": "A B"}}]}),
    ];
    for rule in odd {
        let allow = run(&[service("a", "s"), policy(json!({"targetRefs": target, "rules": [rule, {"sources": [ours]}]}))]);
        assert!(policies(&allow)[0].rules.is_empty(), "{rule}");
        assert_eq!(allow.reports.iter().filter(|r| r.severity == Severity::Error).count(), 1, "{rule}: {:?}", allow.reports);
        let deny = run(&[service("a", "s"), policy(json!({"action": "Deny", "targetRefs": target, "rules": [rule]}))]);
        let terms = policies(&deny)[0].rules[0].clauses.iter().flat_map(|c| &c.0).flat_map(|g| &g.0);
        assert!(terms.flat_map(|t| &t.any).any(|one| *one == AccessMatch::Unknown), "{rule}: it denies by the rest");
        let status = deny.statuses.iter().find(|s| *s.object.kind == *"AccessPolicy").unwrap();
        assert_eq!(&*status.parents[0].conditions[0].reason, "Invalid");
        let said = &status.parents[0].conditions[0].message;
        assert!(said.starts_with("A part of the policy cannot be read: it denies by the rest. spec.rules[0]."), "{said}");
    }
    let word = run(&[service("a", "s"), policy(json!({"action": "Alow", "targetRefs": target, "rules": [{"sources": [ours]}]}))]);
    assert_eq!(policies(&word)[0].action, Action::Deny);
    let nothing = run(&[policy(json!({"rules": [{}]}))]);
    assert_eq!(policies(&nothing)[0].targets, [AccessTarget::Namespace("a".into())]);
}

#[test]
fn of_alternatives_a_deny_takes_those_that_can_be_read() {
    let target = json!([{"kind": "Service", "name": "s"}]);
    let ours = json!({"type": "Namespace", "namespace": {"name": "a"}});
    let bad_path = json!({"type": "Template", "value": "/a{b}"});
    // What each rule says, and the same without its broken member.
    let cases = [
        (json!({"sources": [ours, {"type": "IPBlock", "ipBlock": {"cidr": "10.0.0.0/99"}}]}), json!({"sources": [ours]})),
        (json!({"destinations": [{"paths": [bad_path, {"value": "/b"}]}]}), json!({"destinations": [{"paths": [{"value": "/b"}]}]})),
        (json!({"destinations": [{"hosts": ["a..b", "c"]}]}), json!({"destinations": [{"hosts": ["c"]}]})),
        (json!({"destinations": [{"methods": ["G T", "GET"]}]}), json!({"destinations": [{"methods": ["GET"]}]})),
        (json!({"destinations": [{"ports": [80, 99_999]}]}), json!({"destinations": [{"ports": [80]}]})),
        (json!({"destinations": [3, {"ports": [80]}]}), json!({"destinations": [{"ports": [80]}]})),
        (
            json!({"destinations": [{"headers": [{"name": "x"}, {"name": "y", "value": "1"}]}]}),
            json!({"destinations": [{"headers": [{"name": "y", "value": "1"}]}]}),
        ),
    ];
    let deny = |rule: &Value| run(&[service("a", "s"), policy(json!({"action": "Deny", "targetRefs": target, "rules": [rule]}))]);
    for (broken, whole) in cases {
        let t = deny(&broken);
        assert_eq!(policies(&t)[0].rules[0].clauses, policies(&deny(&whole))[0].rules[0].clauses, "{broken}");
        assert_eq!(t.reports.iter().filter(|r| r.severity == Severity::Error).count(), 1, "{broken}: {:?}", t.reports);
    }
    // What is spared from a denial, and cannot be read, spares nobody.
    let t = deny(&json!({"destinations": [{"notPaths": [bad_path, {"value": "/b"}]}]}));
    let terms = policies(&t)[0].rules[0].clauses.iter().flat_map(|c| &c.0).flat_map(|g| &g.0);
    assert_eq!(terms.map(|t| t.any.len()).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_route_whose_gateway_is_not_there_yet_is_no_target_and_no_mistake_of_the_policy() {
    let parents = json!([{"group": "", "kind": "Service", "name": "s"}, {"name": "gw"}]);
    let by = route("a", json!({"parentRefs": parents, "rules": [{"backendRefs": [{"name": "s", "port": 80}]}]}));
    let targets = json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "r"}]);
    let early = [service("a", "s"), by, policy(json!({"action": "Deny", "targetRefs": targets, "rules": [{}]}))];
    let told = |objects: &[Object]| {
        let reports = run(objects).reports.into_iter().filter(|r| *r.object.kind == *"AccessPolicy");
        reports.filter(|r| r.severity == Severity::Error).collect::<Vec<_>>()
    };
    let reports = told(&early);
    assert_eq!(reports.iter().map(|r| &*r.reason).collect::<Vec<_>>(), ["NoGateway"]);
    assert!(!crate::judge::is_of_itself(&reports[0]), "an API server is not to refuse it");
    let listeners = gateway(json!([{"name": "web", "port": 80, "protocol": "HTTP"}]));
    assert_eq!(told(&[vec![listeners], early.to_vec()].concat()), []);
}

#[test]
fn settings_that_cannot_be_read_are_the_narrowest() {
    let config = |spec: Value| object("organza.dev/v1alpha1", "MeshConfig", ("a", "default"), json!({ "spec": spec }));
    let t = run(&[config(json!({"defaultAccess": "Anyone", "egress": 7}))]);
    let found = t.resources.iter().find_map(|r| if let Resource::AccessSettings(s) = r { Some(s) } else { None }).unwrap();
    assert_eq!((found.default_access, found.egress), (DefaultAccess::Deny, Egress::Registered));
    assert_eq!(t.reports.len(), 1);
    assert!(run(&[config(json!({"pathNormalization": "None"}))]).resources.is_empty(), "who says nothing of access settles nothing");
}

#[test]
fn rules_that_never_decide_are_told() {
    let target = json!([{"kind": "Namespace", "name": "a"}]);
    let told = |spec: Value| {
        let t = run(&[policy(spec)]);
        t.reports.iter().map(|r| (r.reason.to_string(), r.path_text())).collect::<Vec<_>>()
    };
    let ns = |name: &str| json!([{"type": "Namespace", "namespace": {"name": name}}]);
    let one = |reason: &str, at: usize| vec![(reason.to_owned(), format!("spec.rules[{at}]"))];
    let get = json!([{"methods": ["GET"]}]);
    assert_eq!(
        told(json!({"targetRefs": target, "rules": [{"sources": ns("b")}, {"sources": ns("b"), "destinations": get}]})),
        one("Shadowed", 1)
    );
    assert_eq!(told(json!({"targetRefs": target, "rules": [{"sources": ns("b"), "destinations": get}, {"sources": ns("b")}]})), []);
    let path = |text: &str| json!({"targetRefs": target, "rules": [{"destinations": [{"paths": [{"type": "Exact", "value": text}]}]}]});
    for never in ["/a//b", "/a/../b", "/a?b", "/%61", "/a;b"] {
        assert_eq!(told(path(never)), one("NeverHolds", 0), "{never}");
    }
    assert_eq!(told(path("/a/b")), []);
    assert_eq!(told(json!({"targetRefs": target, "rules": [{}]})), one("AllowsAnyone", 0));
}

#[test]
fn callers_that_nobody_is_are_told_where_it_is_known_who_is_there() {
    let id = model::SpiffeId::parse("spiffe://organza.local/ns/a/sa/web").unwrap();
    let key = model::Key::new(model::Source::organza(), model::Kind::Workload, "a", "web-1");
    let web = model::Workload {
        key,
        identity: id,
        canonical_name: "web".into(),
        revision: "v1".into(),
        cluster: "".into(),
        network: "".into(),
        locality: Default::default(),
        labels: Default::default(),
        addresses: vec![],
        ports: vec![],
        tunnel: Default::default(),
        services: vec![],
        weight: 1,
        started: 0,
    };
    let rules = json!([{"sources": [
        {"type": "ServiceAccount", "serviceAccount": {"name": "web"}}, {"type": "ServiceAccount", "serviceAccount": {"name": "wbe"}},
        {"type": "Namespace", "namespace": {"name": "b"}}]}]);
    let objects = [policy(json!({"targetRefs": [{"kind": "Namespace", "name": "a"}], "rules": rules}))];
    let told = |workloads: &[model::Workload]| {
        let t = crate::translate(&objects, &crate::Options { workloads });
        t.reports.iter().map(|r| r.message.clone()).collect::<Vec<_>>()
    };
    assert_eq!(told(&[]), Vec::<String>::new());
    assert_eq!(told(&[web]), ["Nobody of the mesh is service account a/wbe now.", "Nobody of the mesh is namespace b now."]);
}

#[test]
fn rules_for_bearers_of_tokens_that_nobody_believes_are_told() {
    let rules = json!([{"sources": [{"type": "JWT", "jwt": {"issuer": "https://issuer.example"}}]}, {"sources": [{"type": "Namespace", "namespace": {"name": "a"}}]}]);
    let of = |target: Value| policy(json!({"targetRefs": [target], "rules": rules}));
    let issuer = |target: Value| {
        let spec = json!({"issuer": "https://issuer.example", "targetRefs": [target], "algorithms": ["ES256"], "jwks": {"inline": "{\"keys\": []}"}});
        object("organza.dev/v1alpha1", "TokenIssuer", ("a", "corp"), json!({ "spec": spec }))
    };
    let told = |objects: &[Object]| -> Vec<(String, String)> {
        let t = run(objects);
        let ours = t.reports.iter().filter(|r| &*r.reason == "NoIssuer");
        ours.map(|r| (r.object.to_string(), r.path_text())).collect()
    };
    let (space, s, other) =
        (json!({"kind": "Namespace", "name": "a"}), json!({"kind": "Service", "name": "s"}), json!({"kind": "Service", "name": "t"}));
    let services = [service("a", "s"), service("a", "t")];
    let all = |more: Vec<Object>| [services.to_vec(), more].concat();
    let warned = vec![("AccessPolicy a/p".to_owned(), "spec.rules[0]".to_owned())];
    assert_eq!(told(&all(vec![of(s.clone())])), warned);
    assert_eq!(told(&all(vec![of(s.clone()), issuer(other)])), warned);
    assert_eq!(told(&all(vec![of(s.clone()), issuer(s.clone())])), []);
    assert_eq!(told(&all(vec![of(s.clone()), issuer(space.clone())])), []);
    assert_eq!(told(&all(vec![of(space), issuer(s)])), []);
}
