use super::*;
use model::ObjectRef;
use serde_json::json;

fn object(group: &str, kind: &str, name: &str, spec: Value) -> Object {
    let namespace = if kind == "GatewayClass" { "" } else { "shop" };
    Object::new(ObjectRef::new(group, kind, namespace, name), "v1", json!({"metadata": {"name": name}, "spec": spec}))
}

#[test]
fn a_gateways_own_fields_go_before_those_of_its_class() {
    let reference = |name: &str| json!({"group": GROUP, "kind": PARAMETERS, "name": name, "namespace": "shop"});
    let gateway = |infrastructure: Value| {
        object(GATEWAY_API, "Gateway", "edge", json!({"gatewayClassName": "organza", "infrastructure": infrastructure}))
    };
    let objects = [
        object(GATEWAY_API, "GatewayClass", "organza", json!({"parametersRef": reference("all")})),
        object(GATEWAY_API, "GatewayClass", "other", json!({"parametersRef": reference("own")})),
        object(GROUP, PARAMETERS, "own", json!({"deployment": {"replicas": 3}, "service": {"type": "NodePort"}})),
        object(GROUP, PARAMETERS, "all", json!({"deployment": {"replicas": 2, "nodeSelector": {"edge": "yes"}}})),
    ];
    let own = Deployed::of(&gateway(json!({"parametersRef": reference("own")})), &objects);
    assert_eq!(Value::from(own.deployment), json!({"replicas": 3, "nodeSelector": {"edge": "yes"}}));
    assert_eq!(Value::from(own.service), json!({"type": "NodePort"}));
    let plain = Deployed::of(&gateway(Value::Null), &objects);
    assert_eq!((Value::from(plain.deployment), plain.service.len()), (json!({"replicas": 2, "nodeSelector": {"edge": "yes"}}), 0));
}
