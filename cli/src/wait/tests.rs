use super::*;
use wire::api::Parent;

fn condition(kind: &str, status: &str) -> Condition {
    Condition { kind: kind.into(), status: status.into(), reason: "Because".into(), message: String::new() }
}

fn route(conditions: Vec<Condition>, applied: u32) -> Object {
    let parent = Parent {
        group: "gateway.networking.k8s.io".into(),
        kind: "Gateway".into(),
        namespace: "default".into(),
        name: "shop".into(),
        section: None,
        port: None,
        conditions,
    };
    Object {
        labels: Default::default(),
        manifest: None,
        group: "gateway.networking.k8s.io".into(),
        kind: "HTTPRoute".into(),
        namespace: "default".into(),
        name: "catalog".into(),
        place: String::new(),
        conditions: Vec::new(),
        parents: vec![parent],
        listeners: Vec::new(),
        applied,
        concerned: 6,
    }
}

#[test]
fn programmed_means_accepted_and_applied_by_all() {
    assert_eq!(state(&route(vec![condition("Accepted", "True")], 6), "Programmed"), Ok(()));
    assert_eq!(state(&route(vec![condition("Accepted", "True")], 5), "Programmed"), Err("5 of 6 proxies have it".into()));
    assert_eq!(state(&route(vec![condition("Accepted", "False")], 6), "Programmed"), Err("Accepted is False: Because ".into()));
    assert!(state(&route(vec![condition("Accepted", "True")], 6), "ResolvedRefs").is_err());
}

#[test]
fn a_route_is_a_route_of_any_kind() {
    for (kind, asked) in [("HTTPRoute", "route"), ("GRPCRoute", "routes"), ("HTTPRoute", "httproute"), ("Gateway", "gateway")] {
        assert!(is_kind(kind, asked), "{kind} {asked}");
    }
    assert!(!is_kind("Gateway", "route"));
}
