//! What Services of a cluster have beyond those of files.

use crate::tests::{object, run};
use crate::{Object, Translation};
use model::{Endpoint, Health, Resource};
use serde_json::{Value, json};

fn service(spec: Value) -> Object {
    object("v1", "Service", ("shop", "web"), json!({ "spec": spec }))
}

fn slice(name: &str, family: &str, endpoints: Value) -> Object {
    let body = json!({"addressType": family, "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints});
    let mut slice = object("discovery.k8s.io/v1", "EndpointSlice", ("shop", name), body);
    let mut value = Value::clone(&slice.value);
    value["metadata"]["labels"] = json!({"kubernetes.io/service-name": "web"});
    slice.value = value.into();
    slice
}

fn endpoints(t: &Translation) -> Vec<Endpoint> {
    t.resources.iter().filter_map(|r| if let Resource::Endpoints(e) = r { Some(e.endpoints.clone()) } else { None }).flatten().collect()
}

fn addresses(t: &Translation) -> Vec<String> {
    endpoints(t).iter().map(|e| e.address.to_string()).collect()
}

const PORTS: &str = r#"[{"name": "http", "port": 80, "targetPort": "web"}]"#;

fn ports() -> Value {
    serde_json::from_str(PORTS).unwrap()
}

#[test]
fn a_pod_with_two_addresses_is_one_endpoint_of_the_family_named_first() {
    let both = |first: &str, second: &str| service(json!({"ports": ports(), "ipFamilies": [first, second]}));
    let four = slice("a", "IPv4", json!([{"addresses": ["10.0.0.1"]}]));
    let six = slice("b", "IPv6", json!([{"addresses": ["fd00::1"]}]));
    assert_eq!(addresses(&run(&[both("IPv6", "IPv4"), four.clone(), six.clone()])), ["fd00::1"]);
    assert_eq!(addresses(&run(&[both("IPv4", "IPv6"), four.clone(), six.clone()])), ["10.0.0.1"]);
    // Nobody answers by the first family: better by the other than not at all.
    let none = slice("b", "IPv6", json!([]));
    assert_eq!(addresses(&run(&[both("IPv6", "IPv4"), four.clone(), none])), ["10.0.0.1"]);
    // Who names no two families gets all that is there.
    assert_eq!(addresses(&run(&[service(json!({"ports": ports()})), four, six])).len(), 2);
}

#[test]
fn a_headless_service_has_endpoints_and_no_address() {
    let t = run(&[
        service(json!({"ports": ports(), "clusterIP": "None", "clusterIPs": ["None"]})),
        slice("a", "IPv4", json!([{"addresses": ["10.0.0.1"]}])),
    ]);
    let service = t.resources.iter().find_map(|r| if let Resource::Service(s) = r { Some(s) } else { None }).unwrap();
    assert!(service.addresses.is_empty());
    // The named target port is what the slice says it is.
    assert_eq!(endpoints(&t)[0].ports, [(80, 8080)]);
}

#[test]
fn who_ends_is_drained_who_is_not_ready_is_left_out() {
    let t = run(&[
        service(json!({ "ports": ports() })),
        slice(
            "a",
            "IPv4",
            json!([
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": true, "terminating": false}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false, "serving": true, "terminating": true}},
                {"addresses": ["10.0.0.3"], "conditions": {"ready": false, "serving": false, "terminating": true}},
                {"addresses": ["10.0.0.4"], "conditions": {"ready": false, "serving": false}},
                {"addresses": ["10.0.0.5"]},
            ]),
        ),
    ]);
    let health: Vec<Health> = endpoints(&t).iter().map(|e| e.health).collect();
    use Health::{Draining, Healthy, Unhealthy};
    assert_eq!(health, [Healthy, Draining, Unhealthy, Unhealthy, Healthy]);
}

#[test]
fn a_slice_says_of_which_priority_its_endpoints_are_and_nonsense_is_told() {
    let of = |priority: &str| {
        let mut slice = slice("a", "IPv4", json!([{"addresses": ["10.0.0.1"]}]));
        let mut value = Value::clone(&slice.value);
        value["metadata"]["labels"][Endpoint::PRIORITY_LABEL] = json!(priority);
        slice.value = value.into();
        let t = run(&[service(json!({ "ports": ports() })), slice]);
        let told: Vec<String> = t.reports.iter().map(|report| report.message.to_string()).collect();
        (endpoints(&t)[0].priority, told)
    };
    assert_eq!((of("2"), of("255")), ((2, vec![]), (255, vec![])));
    for wrong in ["256", "first", "-1", ""] {
        let (priority, told) = of(wrong);
        assert!(priority == 0 && told.len() == 1 && told[0].contains("used first"), "{wrong:?}: {told:?}");
    }
    assert_eq!(
        endpoints(&run(&[service(json!({ "ports": ports() })), slice("a", "IPv4", json!([{"addresses": ["10.0.0.1"]}]))]))[0].priority,
        0
    );
}
