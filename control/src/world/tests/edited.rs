//! Edits of rules, which go a way of their own.

use super::*;

fn door(name: &str) -> Object {
    object("Gateway", name, json!({"gatewayClassName": "organza", "listeners": [{"name": "http", "port": 8080, "protocol": "HTTP"}]}))
}

fn service(name: &str) -> Object {
    object(
        "Service",
        name,
        json!({"ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "bytes", "port": 90, "appProtocol": "tcp"}]}),
    )
}

fn way(name: &str, to: &str, path: &str) -> Object {
    let rule = json!({"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": [{"name": to, "port": 80}]});
    object("HTTPRoute", name, json!({"parentRefs": [{"name": "front"}], "hostnames": ["a.example.com"], "rules": [rule]}))
}

fn with(object: Object, change: impl FnOnce(&mut Value)) -> Object {
    let mut value = Value::clone(&object.value);
    change(&mut value);
    Object { value: Arc::new(value), ..object }
}

fn policy(kind: &str, group: &str, spec: Value) -> Object {
    Object { object: ObjectRef::new(group, kind, "shop", "one"), ..object(kind, "one", spec) }
}

fn backend_tls() -> Object {
    let validation = json!({"hostname": "db.example.com", "wellKnownCACertificates": "System"});
    let target = json!({"group": "", "kind": "Service", "name": "db"});
    policy("BackendTLSPolicy", "gateway.networking.k8s.io", json!({"targetRefs": [target], "validation": validation}))
}

fn access() -> Object {
    let target = json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "one"});
    policy("AccessPolicy", "organza.dev", json!({"targetRefs": [target], "action": "Deny", "rules": [{"from": [{"namespaces": ["b"]}]}]}))
}

/// What stands beside the two routes, what those become, and whether the short way is taken.
fn cases() -> Vec<(bool, Vec<Object>, [Object; 2])> {
    let two = || way("two", "db", "/two");
    let weights = |value: &mut Value| {
        value["spec"]["rules"][0]["backendRefs"] = json!([{"name": "api", "port": 80, "weight": 3}, {"name": "db", "port": 80}])
    };
    let copied = |value: &mut Value| {
        let mirror = json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "db", "port": 80}}});
        value["spec"]["rules"][0]["filters"] = json!([mirror]);
    };
    let of = |name: &str, kind: &str| {
        let other = way(name, "api", "/one");
        Object { object: ObjectRef::new("gateway.networking.k8s.io", kind, "shop", name), ..other }
    };
    vec![
        (true, Vec::new(), [way("one", "api", "/other"), two()]),
        (true, Vec::new(), [way("one", "db", "/one"), way("two", "api", "/two")]),
        (true, Vec::new(), [with(way("one", "api", "/one"), weights), two()]),
        (true, Vec::new(), [with(way("one", "api", "/one"), copied), two()]),
        (true, vec![access()], [way("one", "api", "/other"), two()]),
        (true, vec![backend_tls()], [way("one", "api", "/other"), two()]),
        // It tells of the Gateways that lead to its Service.
        (false, vec![backend_tls()], [way("one", "db", "/one"), two()]),
        (false, Vec::new(), [way("one", "nobody", "/one"), two()]),
        (false, Vec::new(), [with(way("one", "api", "/one"), |v| v["spec"]["rules"][0]["backendRefs"][0]["port"] = 90.into()), two()]),
        (false, Vec::new(), [with(way("one", "api", "/one"), |v| v["spec"]["hostnames"] = json!(["b.example.com"])), two()]),
        (false, Vec::new(), [with(way("one", "api", "/one"), |v| v["spec"]["parentRefs"] = json!([{"name": "back"}])), two()]),
        (
            false,
            Vec::new(),
            [with(way("one", "api", "/one"), |v| v["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into()), two()],
        ),
        (
            false,
            Vec::new(),
            [
                with(way("one", "api", "/one"), |v| v["spec"]["parentRefs"] = json!([{"group": "", "kind": "Service", "name": "api"}])),
                two(),
            ],
        ),
        (false, vec![of("rival", "GRPCRoute")], [way("one", "api", "/other"), two()]),
        (false, Vec::new(), [way("one", "api", "/other"), of("two", "GRPCRoute")]),
    ]
}

fn all(beside: &[Object], routes: [Object; 2]) -> Vec<Object> {
    let fixed = [door("front"), door("back"), service("api"), service("db"), slice("api-1", Some("api"), "IPv4", &[("10.0.0.1", true)])];
    fixed.into_iter().chain(beside.iter().cloned()).chain(routes).collect()
}

fn takes_the_short_way(world: &World, objects: &[Object]) -> bool {
    let (members, domain) = (members(), TrustDomain::parse("organza.local").unwrap());
    let from = Ingredients {
        objects: Arc::new(objects.to_vec()),
        registry: &members,
        trust_domain: &domain,
        roots: vec![vec![1, 2, 3]],
        secret: Some(&[9; 32]),
        in_cluster: false,
    };
    world.after_edits(&from).is_some()
}

/// Whatever rules become, the short way makes the world that the whole translation makes; and it is taken where that is plain.
#[test]
fn edited_rules_make_the_world_that_all_objects_make() {
    for (short, beside, routes) in cases() {
        let before = all(&beside, [way("one", "api", "/one"), way("two", "db", "/two")]);
        let first = next(&World::default(), before.clone()).unwrap();
        let objects = all(&beside, routes);
        assert_eq!(takes_the_short_way(&first, &objects), short, "{objects:?}");
        let (after, whole) = (next(&first, objects.clone()).unwrap(), next(&World::default(), objects).unwrap());
        let resources = |world: &World| world.resources().cloned().collect::<Vec<_>>();
        assert_eq!(resources(&after), resources(&whole));
        assert_eq!((&after.reports, &after.statuses), (&whole.reports, &whole.statuses));
        for (key, item) in &after.items {
            let was = first.get(key).filter(|was| was.resource == item.resource);
            assert_eq!(item.modified, was.map_or(after.generation, |was| was.modified), "{key}");
            assert_eq!(item.encoded.bytes, wire::encode(&item.resource), "{key}");
        }
        let back = next(&after, before).unwrap();
        assert_eq!((resources(&back), &back.reports, &back.statuses), (resources(&first), &first.reports, &first.statuses));
    }
}

#[test]
fn what_is_wrong_with_a_route_is_judged_with_all_others() {
    let broken = [way("one", "nobody", "/one"), way("two", "db", "/two")];
    let first = next(&World::default(), all(&[], broken)).unwrap();
    let mended = all(&[], [way("one", "api", "/one"), way("two", "db", "/two")]);
    assert!(!takes_the_short_way(&first, &mended), "its report has to go");
    assert_eq!(next(&first, mended.clone()).unwrap().reports, next(&World::default(), mended).unwrap().reports);
}

#[test]
fn statuses_that_say_the_same_are_the_same_value() {
    let of = |path: &str| all(&[], [way("one", "api", path), way("two", "db", "/two")]);
    let first = next(&World::default(), of("/one")).unwrap();
    let beside = |mut objects: Vec<Object>| {
        objects.push(service("third"));
        objects
    };
    let second = next(&first, beside(of("/one"))).unwrap();
    assert!(first.statuses.len() > 2 && first.statuses.iter().zip(&second.statuses).all(|(a, b)| Arc::ptr_eq(a, b)));
    assert!(!takes_the_short_way(&first, &beside(of("/other"))), "something else came too");
}
