use super::*;
use model::ObjectRef;
use serde_json::json;

fn gateway(addresses: Value) -> Object {
    let group = "gateway.networking.k8s.io";
    Object::new(ObjectRef::new(group, "Gateway", "shop", "web"), "v1", json!({"spec": {"addresses": addresses}}))
}

fn values(assigned: &Assigned) -> Vec<String> {
    assigned.addresses.iter().map(|one| format!("{} {}", one.value, one.reach).trim_end().to_owned()).collect()
}

fn of(asks: Value, spec: &Value, status: &Value) -> (Vec<String>, Vec<String>, Option<&'static str>, String) {
    let gateway = gateway(asks);
    let found = assigned(&gateway, spec, status);
    let unreached = unreached(&gateway, &found).map(|(reason, _)| reason);
    (values(&found), found.lacks.clone(), unreached, told(&found).reason)
}

#[test]
fn addresses_are_those_that_the_service_was_given() {
    let balancer = json!({"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"]});
    assert_eq!(of(json!([]), &balancer, &Value::Null), (vec![], vec![], Some("AddressNotAssigned"), "NotAssigned".into()));
    let given = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example.com"}]}});
    let found = assigned(&gateway(json!([])), &balancer, &given);
    assert_eq!(found.addresses.iter().map(|one| one.kind).collect::<Vec<_>>(), ["IPAddress", "Hostname"]);
    assert_eq!(values(&found), ["192.0.2.1", "lb.example.com"], "a cluster's own address is not where clients come");
    let inner = json!({"type": "ClusterIP", "clusterIPs": ["10.0.0.1", "fd00::1"]});
    assert_eq!(values(&assigned(&gateway(json!([])), &inner, &Value::Null)), ["10.0.0.1 Cluster", "fd00::1 Cluster"]);
}

#[test]
fn each_entry_that_says_its_reach_gets_an_address_of_that_reach_and_of_no_other() {
    let balancer = json!({"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"]});
    let given = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    let both = json!([{"routability": "Cluster"}, {}]);
    let strings = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        of(both.clone(), &balancer, &given),
        (strings(&["10.0.0.1 Cluster", "192.0.2.1"]), vec![], None, "AddressesAssigned".into())
    );
    // What is there is in force, and the rest is told.
    assert_eq!(of(both, &balancer, &Value::Null), (strings(&["10.0.0.1 Cluster"]), strings(&["any"]), None, "PartiallyAssigned".into()));
    let two = json!([{"routability": "Cluster"}, {"routability": "Cluster"}]);
    assert_eq!(of(two, &balancer, &given), (strings(&["10.0.0.1 Cluster"]), strings(&["any Cluster"]), None, "PartiallyAssigned".into()));
    let other = json!([{"routability": "example.com/Vpc"}]);
    let none = (vec![], strings(&["any example.com/Vpc"]), Some("AddressNotAssigned"), "NotAssigned".to_owned());
    assert_eq!(of(other, &balancer, &given), none);
    let outside = json!([{"routability": "Cluster", "value": "192.0.2.1"}]);
    assert_eq!(of(outside, &balancer, &given).1, strings(&["192.0.2.1 Cluster"]));
}

#[test]
fn an_address_that_an_entry_names_is_left_to_it_and_one_of_another_type_is_none() {
    let balancer = json!({"type": "LoadBalancer", "clusterIPs": ["10.0.0.1", "fd00::1"]});
    let given = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example.com"}]}});
    let strings = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let named = json!([{"routability": "Cluster"}, {"routability": "Cluster", "value": "10.0.0.1"}]);
    let both = strings(&["10.0.0.1 Cluster", "fd00::1 Cluster"]);
    assert_eq!(of(named, &balancer, &given), (both, vec![], None, "AddressesAssigned".into()));
    let typed = json!([{"routability": "Cluster"}, {"type": "Hostname"}]);
    assert_eq!(of(typed, &balancer, &given).0, strings(&["10.0.0.1 Cluster", "lb.example.com"]));
    let typed = json!([{"routability": "Cluster", "type": "Hostname"}, {"type": "IPAddress", "value": "lb.example.com"}]);
    assert_eq!(of(typed, &balancer, &given).1, strings(&["lb.example.com", "any Cluster"]));
}

#[test]
fn who_asks_for_the_cluster_alone_is_never_shown_to_the_world() {
    assert!(is_inner(&gateway(json!([{"routability": "Cluster"}]))));
    assert!(!is_inner(&gateway(json!([{"routability": "Cluster"}, {}]))) && !is_inner(&gateway(json!([]))));
    assert_eq!(
        wanted(&gateway(json!([{"routability": "Cluster", "value": "10.0.0.1"}, {"value": "192.0.2.7"}]))).collect::<Vec<_>>(),
        ["192.0.2.7"]
    );
}
