use super::slim;
use serde_json::json;

#[test]
fn a_route_loses_its_status_and_what_servers_note() {
    let mut route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {
            "name": "r", "namespace": "n", "generation": 3, "resourceVersion": "17", "uid": "u", "managedFields": [{}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "organza.dev/x": "y"},
        },
        "spec": {"hostnames": ["a"]},
        "status": {"parents": []},
    });
    let status = slim("gateway.networking.k8s.io", "HTTPRoute", &mut route);
    assert_eq!(status, json!({"parents": []}));
    let slender = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "r", "namespace": "n", "generation": 3, "annotations": {"organza.dev/x": "y"}},
        "spec": {"hostnames": ["a"]},
    });
    assert_eq!(route, slender);
}

#[test]
fn of_a_secret_only_certificates_stay() {
    let mut secret = json!({
        "kind": "Secret", "metadata": {"name": "s", "annotations": {"a": "b"}, "generation": 1}, "type": "Opaque", "immutable": true,
        "data": {"password": "eA==", "tls.crt": "eQ==", "tls.key": "eg==", "ca.crt": "dw=="},
    });
    slim("", "Secret", &mut secret);
    let slender = json!({
        "kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque", "data": {"tls.crt": "eQ==", "tls.key": "eg==", "ca.crt": "dw=="},
    });
    assert_eq!(secret, slender);
}

#[test]
fn endpoints_keep_where_and_how_they_are() {
    let mut slice = json!({
        "kind": "EndpointSlice", "addressType": "IPv4", "ports": [{"name": "", "port": 80}],
        "metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "web"}, "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "now"}},
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": {"uid": "x"}, "zone": "a", "nodeName": "n1"}],
    });
    slim("discovery.k8s.io", "EndpointSlice", &mut slice);
    let slender = json!({
        "kind": "EndpointSlice", "addressType": "IPv4", "ports": [{"name": "", "port": 80}],
        "metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "zone": "a", "nodeName": "n1"}],
    });
    assert_eq!(slice, slender);
}
