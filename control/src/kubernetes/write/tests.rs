use super::*;

fn gateway(addresses: &[&str]) -> Object {
    let api = "gateway.networking.k8s.io/v1";
    let addresses: Vec<Value> = addresses.iter().map(|value| json!({ "value": value })).collect();
    let value =
        json!({"apiVersion": api, "kind": "Gateway", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"addresses": addresses}});
    Object::new(ObjectRef::new("gateway.networking.k8s.io", "Gateway", "shop", "web"), api, value)
}

/// Reason of Programmed for a Gateway whose proxies say `(status, reason)`, that asks for some addresses and was given others.
fn programmed(says: (&str, &str), asks: &[&str], given: &[&str]) -> String {
    let condition = |kind: &str, (status, reason): (&str, &str)| Condition {
        kind: kind.into(),
        status: status.into(),
        reason: reason.into(),
        message: String::new(),
    };
    let told = api::Object {
        group: String::new(),
        kind: "Gateway".into(),
        namespace: String::new(),
        name: "web".into(),
        place: String::new(),
        labels: BTreeMap::new(),
        manifest: None,
        conditions: vec![condition("Accepted", ("True", "Accepted")), condition("Programmed", says)],
        parents: Vec::new(),
        listeners: Vec::new(),
        applied: 0,
        concerned: 0,
    };
    let ingress: Vec<Value> = given.iter().map(|value| json!({ "ip": value })).collect();
    let gateway = gateway(asks);
    let assigned = addresses::assigned(&gateway, &json!({"type": "LoadBalancer"}), &json!({"loadBalancer": {"ingress": ingress}}));
    assert_eq!(addressed(&told, &gateway, &assigned, true).conditions[2].kind, "AddressesAssigned");
    let told = addressed(&told, &gateway, &assigned, false);
    assert_eq!(told.conditions.len(), 2, "what the release does not know is not said");
    assert_eq!(told.conditions[0].status, "True", "what is asked for is another matter than whether it can be had");
    format!("{} {}", told.conditions[1].status, told.conditions[1].reason)
}

#[test]
fn who_is_not_reached_where_it_asks_to_be_is_not_programmed() {
    let done = ("True", "Programmed");
    assert_eq!(programmed(done, &[], &["192.0.2.1"]), "True Programmed");
    assert_eq!(programmed(done, &["192.0.2.1"], &["192.0.2.1"]), "True Programmed");
    assert_eq!(programmed(done, &[], &[]), "False AddressNotAssigned");
    // What cannot be had is said at once: an address may never come.
    assert_eq!(programmed(done, &["192.0.2.9"], &[]), "False AddressNotUsable");
    assert_eq!(programmed(done, &["192.0.2.1", "192.0.2.9"], &["192.0.2.1"]), "False AddressNotUsable");
    assert_eq!(programmed(("False", "Pending"), &["192.0.2.9"], &[]), "False AddressNotUsable");
    assert_eq!(programmed(("False", "Invalid"), &["192.0.2.9"], &[]), "False Invalid", "a worse fault goes before");
}
