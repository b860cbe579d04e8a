//! Objects as `-o yaml` and `-o json` show them: what the user wrote, then `status` in the shapes of the Gateway API, with what only the mesh
//! knows beside it. Pure: answers of the API in, documents out.

use serde_json::{Map, Value, json};
use wire::api::{Condition, Consumer, Endpoint, Listener, Object, Parent, Service};

/// The object as it was written, with its status.
pub fn whole(object: &Object, service: Option<&Service>, consumer: Option<&Consumer>) -> Value {
    let mut written = match &object.manifest {
        Some(Value::Object(fields)) => fields.clone(),
        _ => Map::new(),
    };
    written.remove("status");
    let mut status = Map::new();
    if !object.conditions.is_empty() {
        status.insert("conditions".into(), object.conditions.iter().map(condition).collect());
    }
    if !object.parents.is_empty() {
        // Policies name the same things ancestors (GEP-713).
        let policy = object.kind.ends_with("Policy");
        let each = |object: &Parent| if policy { ancestor(object) } else { parent(object) };
        status.insert(if policy { "ancestors" } else { "parents" }.into(), object.parents.iter().map(each).collect());
    }
    if object.kind == "Gateway" {
        status.insert("listeners".into(), object.listeners.iter().map(listener).collect());
    }
    if let Some(service) = service {
        status.extend(served(service));
    }
    if let Some(consumer) = consumer {
        status.insert("used".into(), used(consumer));
    }
    written.insert("status".into(), Value::Object(status));
    Value::Object(written)
}

/// A Service that no file declares: its members did, when they joined.
pub fn joined(service: &Service) -> Value {
    let port = |port: &wire::api::ServicePort| {
        let mut value = json!({"port": port.number});
        if let Some(name) = &port.name {
            value["name"] = json!(name);
        }
        if port.protocol != "detect" {
            value["appProtocol"] = json!(port.protocol);
        }
        value
    };
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service.name, "namespace": service.namespace},
        "spec": {"ports": service.ports.iter().map(port).collect::<Vec<_>>()},
        "status": served(service),
    })
}

/// Who answers for the service.
fn served(service: &Service) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("hostnames".into(), json!(service.hostnames));
    fields.insert("identities".into(), json!(service.identities));
    let endpoint = |endpoint: &Endpoint| {
        let mut value = json!(endpoint);
        value["state"] = json!(endpoint.state());
        value["why"] = json!(endpoint.why());
        value
    };
    fields.insert("endpoints".into(), service.endpoints.iter().map(endpoint).collect());
    // Where all is well there is nothing to say.
    let told = [("breakers", json!(service.breakers)), ("crowded", json!(service.crowded))];
    fields.extend(told.into_iter().filter(|(_, all)| *all != json!([])).map(|(name, all)| (name.to_owned(), all)));
    fields
}

/// What a consumer used in the last month, and of which API.
fn used(consumer: &Consumer) -> Value {
    let mut value = json!(consumer.used);
    for (name, seen) in [("first_seen", consumer.first_seen), ("last_seen", consumer.last_seen)] {
        if let Some(seen) = seen {
            value[name] = json!(seen);
        }
    }
    value["apis"] = json!(consumer.apis);
    value
}

fn condition(condition: &Condition) -> Value {
    json!({"type": condition.kind, "status": condition.status, "reason": condition.reason, "message": condition.message})
}

fn parent(parent: &Parent) -> Value {
    let mut reference = json!({"group": parent.group, "kind": parent.kind, "namespace": parent.namespace, "name": parent.name});
    if let Some(section) = &parent.section {
        reference["sectionName"] = json!(section);
    }
    if let Some(port) = parent.port {
        reference["port"] = json!(port);
    }
    let conditions: Value = parent.conditions.iter().map(condition).collect();
    json!({"parentRef": reference, "controllerName": frontends::gateway_api::CONTROLLER, "conditions": conditions})
}

fn ancestor(one: &Parent) -> Value {
    let mut value = parent(one);
    if let Some(fields) = value.as_object_mut()
        && let Some(reference) = fields.remove("parentRef")
    {
        fields.insert("ancestorRef".into(), reference);
    }
    value
}

fn listener(listener: &Listener) -> Value {
    let kind = |text: &String| {
        let (group, kind) = text.split_once('/').unwrap_or(("", text));
        json!({"group": group, "kind": kind})
    };
    json!({
        "name": listener.name,
        "supportedKinds": listener.supported_kinds.iter().map(kind).collect::<Vec<_>>(),
        "attachedRoutes": listener.attached_routes,
        "conditions": listener.conditions.iter().map(condition).collect::<Vec<_>>(),
    })
}
