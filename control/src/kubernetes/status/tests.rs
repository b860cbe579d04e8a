use super::*;

fn condition(kind: &str, status: &str, message: &str) -> Condition {
    Condition { kind: kind.into(), status: status.into(), reason: "Reason".into(), message: message.into() }
}

fn object(kind: &str) -> api::Object {
    api::Object {
        group: "gateway.networking.k8s.io".into(),
        kind: kind.into(),
        namespace: "shop".into(),
        name: "it".into(),
        place: String::new(),
        labels: Default::default(),
        manifest: None,
        conditions: Vec::new(),
        parents: Vec::new(),
        listeners: Vec::new(),
        applied: 0,
        concerned: 0,
    }
}

fn parent(name: &str, conditions: Vec<Condition>) -> api::Parent {
    api::Parent {
        group: "gateway.networking.k8s.io".into(),
        kind: "Gateway".into(),
        namespace: "shop".into(),
        name: name.into(),
        section: Some("web".into()),
        port: None,
        conditions,
    }
}

fn said<'a>(told: &'a api::Object, generation: u64, now: &'a str) -> Said<'a> {
    let shape = Shape::of(&told.group, &told.kind, false).unwrap();
    Said { shape, told, generation, addresses: &[], says_reach: false, sets: None, besides: &[], now }
}

#[test]
fn times_stay_while_a_condition_does_and_nothing_is_written_twice() {
    let mut gateway = object("Gateway");
    gateway.conditions = vec![condition("Accepted", "True", "a"), condition("Programmed", "False", "b")];
    gateway.listeners = vec![api::Listener {
        name: "web".into(),
        supported_kinds: vec!["gateway.networking.k8s.io/HTTPRoute".into()],
        attached_routes: 2,
        conditions: vec![condition("Accepted", "True", "c")],
    }];
    let first = wanted(&said(&gateway, 3, "T1"), &Value::Null).unwrap();
    let expected = json!({
        "conditions": [
            {"type": "Accepted", "status": "True", "reason": "Reason", "message": "a", "observedGeneration": 3, "lastTransitionTime": "T1"},
            {"type": "Programmed", "status": "False", "reason": "Reason", "message": "b", "observedGeneration": 3, "lastTransitionTime": "T1"},
        ],
        "listeners": [{
            "name": "web", "attachedRoutes": 2, "supportedKinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
            "conditions": [
                {"type": "Accepted", "status": "True", "reason": "Reason", "message": "c", "observedGeneration": 3, "lastTransitionTime": "T1"},
            ],
        }],
    });
    assert_eq!(first, expected);
    // As a server gives it back: in an order of its own.
    let mut there = first.clone();
    there["conditions"].as_array_mut().unwrap().reverse();
    assert_eq!(wanted(&said(&gateway, 3, "T2"), &there), None);
    gateway.conditions[1] = condition("Programmed", "True", "b");
    gateway.conditions[0].message = "other words".into();
    let second = wanted(&said(&gateway, 4, "T2"), &there).unwrap();
    assert_eq!(second["conditions"][0]["lastTransitionTime"], "T1", "words alone are no transition");
    assert_eq!(second["conditions"][0]["observedGeneration"], 4);
    assert_eq!(second["conditions"][1]["lastTransitionTime"], "T2");
    assert_eq!(second["listeners"][0]["conditions"][0]["lastTransitionTime"], "T1");
}

#[test]
fn what_others_say_of_a_route_is_left_as_it_is_and_what_we_said_is_taken_back() {
    let theirs = json!({
        "controllerName": "example.com/other", "parentRef": {"name": "theirs"},
        "conditions": [{"type": "Accepted", "status": "True", "lastTransitionTime": "T0"}],
    });
    let mut route = object("HTTPRoute");
    route.parents = vec![parent("ours", vec![condition("Accepted", "True", "")])];
    let first = wanted(&said(&route, 1, "T1"), &json!({ "parents": [theirs] })).unwrap();
    assert_eq!(first["parents"][0], theirs);
    let reference =
        json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "shop", "name": "ours", "sectionName": "web"});
    assert_eq!(first["parents"][1]["parentRef"], reference);
    assert_eq!(first["parents"][1]["controllerName"], CONTROLLER);
    assert_eq!(wanted(&said(&route, 1, "T2"), &first), None);
    route.parents.clear();
    assert_eq!(wanted(&said(&route, 1, "T2"), &first), Some(json!({ "parents": [theirs] })));
    assert_eq!(wanted(&said(&route, 1, "T2"), &json!({ "parents": [theirs] })), None);
    assert_eq!(wanted(&said(&route, 1, "T2"), &Value::Null), None, "nobody said anything, and nothing is to be said");
}

#[test]
fn a_class_says_what_it_supports_and_nothing_of_proxies() {
    let mut class = object("GatewayClass");
    class.conditions = vec![condition("Accepted", "True", ""), condition("organza.dev/Applied", "True", "")];
    let besides = [condition("SupportedVersion", "True", "")];
    let status = wanted(&Said { besides: &besides, ..said(&class, 1, "T") }, &Value::Null).unwrap();
    let kinds: Vec<_> = status["conditions"].as_array().unwrap().iter().map(|c| c["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Accepted", "SupportedVersion"]);
    assert!(status["supportedFeatures"].as_array().unwrap().contains(&json!({"name": "HTTPRouteCORS"})));
}

#[test]
fn addresses_are_told_and_taken_back() {
    let gateway = object("Gateway");
    let addresses = [Address { kind: "IPAddress", value: "192.0.2.1".into(), reach: "" }];
    let status = wanted(&Said { addresses: &addresses, ..said(&gateway, 1, "T") }, &Value::Null).unwrap();
    assert_eq!(status["addresses"], json!([{"type": "IPAddress", "value": "192.0.2.1"}]));
    assert!(wanted(&said(&gateway, 1, "T"), &status).unwrap().get("addresses").is_none());
    // Told where there is a field for it, and there also that nothing is promised.
    let inner = Address { kind: "IPAddress", value: "10.0.0.1".into(), reach: "Cluster" };
    let addresses = [addresses[0].clone(), inner];
    let status = wanted(&Said { addresses: &addresses, says_reach: true, ..said(&gateway, 1, "T") }, &status).unwrap();
    assert_eq!((&status["addresses"][0]["routability"], &status["addresses"][1]["routability"]), (&json!(""), &json!("Cluster")));
    assert!(
        wanted(&Said { addresses: &addresses, says_reach: true, ..said(&gateway, 1, "T") }, &status).is_none(),
        "nothing is written twice"
    );
}

#[test]
fn core_objects_are_nobodys_to_judge() {
    assert_eq!(Shape::of("", "Service", false), None);
    assert_eq!(Shape::of("gateway.networking.k8s.io", "ReferenceGrant", false), None);
    assert_eq!(Shape::of("gateway.networking.k8s.io", "BackendTLSPolicy", false), Some(Shape::Ancestors));
    assert_eq!(Shape::of("organza.dev", "AccessPolicy", false), Some(Shape::Own));
    assert_eq!(Shape::of("gateway.networking.k8s.io", "TLSRoute", false), Some(Shape::Parents));
    let backend = |renamed| Shape::of("gateway.networking.x-k8s.io", "XBackend", renamed);
    assert_eq!((backend(false), backend(true)), (Some(Shape::Parents), Some(Shape::Ancestors)), "each release has its own word");
    assert_eq!(Shape::of("gateway.networking.k8s.io", "TLSRoute", true), Some(Shape::Parents));
}
