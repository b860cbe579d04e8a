//! What Services of a cluster have beyond those of files.

use crate::tests::{object, run};
use crate::{Object, Translation};
use model::{Endpoint, Health, Key, Kind, Labels, Resource, Source, SpiffeId, Workload};
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

/// One address, of this priority, whose slice has this port.
fn of_priority(name: &str, port: &str, priority: &str) -> Object {
    let mut slice = slice(name, "IPv4", json!([{"addresses": ["10.0.0.1"]}]));
    let mut value = Value::clone(&slice.value);
    value["ports"] = json!([{"name": port, "port": 8080}]);
    value["metadata"]["labels"][Endpoint::PRIORITY_LABEL] = json!(priority);
    slice.value = value.into();
    slice
}

#[test]
fn a_slice_says_of_which_priority_its_endpoints_are_and_nonsense_is_told() {
    let of = |priority: &str| {
        let t = run(&[service(json!({ "ports": ports() })), of_priority("a", "http", priority)]);
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

#[test]
fn what_two_slices_say_of_one_address_is_one_endpoint_where_both_are_of_one_priority() {
    let of = |priorities: [&str; 2]| {
        let both = json!({"ports": [{"name": "http", "port": 80}, {"name": "grpc", "port": 90}]});
        let [http, grpc] = priorities;
        let t = run(&[service(both), of_priority("a", "http", http), of_priority("b", "grpc", grpc)]);
        endpoints(&t).into_iter().map(|endpoint| (endpoint.priority, endpoint.ports)).collect::<Vec<_>>()
    };
    assert_eq!(of(["1", "1"]), [(1, vec![(80, 8080), (90, 8080)])]);
    assert_eq!(of(["1", "2"]), [(1, vec![(80, 8080)]), (2, vec![(90, 8080)])]);
}

#[test]
fn a_workload_says_of_which_priority_it_is_by_the_same_label() {
    let of = |labels: &[(&str, &str)]| {
        let labels: Labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let workload = Workload {
            key: Key::new(Source::files(), Kind::Workload, "shop", "web-1"),
            identity: SpiffeId::parse("spiffe://organza.local/ns/shop/sa/web").unwrap(),
            canonical_name: "web".into(),
            revision: "v1".into(),
            cluster: "".into(),
            network: "".into(),
            locality: Default::default(),
            labels,
            addresses: vec![[10, 0, 0, 1].into()],
            ports: vec![],
            tunnel: Default::default(),
            services: vec![],
            weight: 1,
            started: 0,
        };
        let objects = [service(json!({"selector": {"app": "web"}, "ports": [{"port": 80}]}))];
        endpoints(&crate::translate(&objects, &crate::Options { workloads: &[workload] }))[0].priority
    };
    assert_eq!(of(&[("app", "web")]), 0);
    assert_eq!(of(&[("app", "web"), (Endpoint::PRIORITY_LABEL, "3")]), 3);
}
