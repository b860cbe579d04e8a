//! What is to stand in the status of an object of a cluster: pure, from what `organza get` says of it and from what stands there. Others' words (another
//! controller's parents of the same route) are kept; times change only where the condition does.

use super::addresses::Address;
use frontends::gateway_api::CONTROLLER;
use serde_json::{Map, Value, json};
use wire::api::{self, Condition};

/// How the status of a kind is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// GatewayClass.
    Class,
    /// Gateway and ListenerSet: conditions of its own and its listeners'.
    Listening,
    /// Routes, and XBackends up to v1.6: what each parent of ours says, beside others' parents.
    Parents,
    /// Policies, and XBackends since v1.7: the same by another word.
    Ancestors,
    /// Our own policies and settings: nobody else writes there.
    Own,
}

impl Shape {
    /// `None`: nothing is written to objects of this kind. `renamed`: the CRDs are those of v1.7 or later.
    pub fn of(group: &str, kind: &str, renamed: bool) -> Option<Self> {
        match (group, kind) {
            ("" | "discovery.k8s.io", _) | (_, "ReferenceGrant" | "XMesh") => None,
            (_, "GatewayClass") => Some(Self::Class),
            (_, "Gateway" | "ListenerSet") => Some(Self::Listening),
            (frontends::organza::GROUP, _) => Some(Self::Own),
            (_, "XBackend") if renamed => Some(Self::Ancestors),
            (_, kind) if kind.ends_with("Policy") => Some(Self::Ancestors),
            (_, kind) if kind.ends_with("Route") || kind == "XBackend" => Some(Self::Parents),
            _ => None,
        }
    }

    /// Whether others write into the same list, so that it must not be overwritten unseen.
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Parents | Self::Ancestors)
    }
}

/// All that a status is made of.
pub struct Said<'a> {
    pub shape: Shape,
    pub told: &'a api::Object,
    /// `metadata.generation` of the object that was judged.
    pub generation: u64,
    /// Of a Gateway: where it is reached.
    pub addresses: &'a [Address],
    /// Whether the CRDs have a field for the reach of an address.
    pub says_reach: bool,
    /// ListenerSets that are attached to a Gateway.
    pub sets: Option<usize>,
    /// What is said of the object besides what translation says.
    pub besides: &'a [Condition],
    /// RFC 3339.
    pub now: &'a str,
}

/// The whole status as it should be, or `None` where `there` says the same.
pub fn wanted(said: &Said<'_>, there: &Value) -> Option<Value> {
    let own = || {
        // A class is no matter of proxies.
        let told = said.told.conditions.iter().filter(|c| said.shape != Shape::Class || c.kind != "organza.dev/Applied");
        conditions(said, told.chain(said.besides), &there["conditions"])
    };
    let wanted = match said.shape {
        Shape::Class => {
            let features: Vec<Value> = frontends::gateway_api::features::SUPPORTED.iter().map(|name| json!({ "name": name })).collect();
            json!({ "conditions": own(), "supportedFeatures": features })
        }
        Shape::Listening => {
            let mut status = json!({ "conditions": own(), "listeners": listeners(said, &there["listeners"]) });
            let addresses: Vec<Value> = said.addresses.iter().map(|one| address(one, said.says_reach)).collect();
            if !addresses.is_empty() {
                status["addresses"] = addresses.into();
            }
            if let Some(count) = said.sets {
                status["attachedListenerSets"] = count.into();
            }
            status
        }
        Shape::Parents => json!({ "parents": among_others(said, &there["parents"], "parentRef") }),
        Shape::Ancestors => json!({ "ancestors": among_others(said, &there["ancestors"], "ancestorRef") }),
        Shape::Own => {
            let mut status = json!({ "ancestors": among_others(said, &there["ancestors"], "ancestorRef") });
            if !said.told.conditions.is_empty() {
                status["conditions"] = own();
            }
            status
        }
    };
    let (should, is) = (normal(&wanted), normal(there));
    (should != is && !(is_empty(&should) && is_empty(&is))).then_some(wanted)
}

fn address(Address { kind, value, reach }: &Address, says_reach: bool) -> Value {
    let mut told = json!({ "type": kind, "value": value });
    if says_reach {
        told["routability"] = (*reach).into();
    }
    told
}

fn conditions<'c>(said: &Said<'_>, told: impl IntoIterator<Item = &'c Condition>, there: &Value) -> Value {
    let written = told.into_iter().map(|condition| {
        let before = there.as_array().into_iter().flatten().find(|before| before["type"] == *condition.kind);
        let since = before.filter(|before| before["status"] == *condition.status).and_then(|before| before["lastTransitionTime"].as_str());
        json!({
            "type": condition.kind,
            "status": condition.status,
            "reason": condition.reason,
            "message": condition.message,
            "observedGeneration": said.generation,
            "lastTransitionTime": since.unwrap_or(said.now),
        })
    });
    written.collect()
}

fn listeners(said: &Said<'_>, there: &Value) -> Value {
    let written = said.told.listeners.iter().map(|listener| {
        let before = there.as_array().into_iter().flatten().find(|before| before["name"] == *listener.name);
        let kinds = listener.supported_kinds.iter().filter_map(|kind| {
            let (group, kind) = kind.rsplit_once('/')?;
            Some(json!({ "group": group, "kind": kind }))
        });
        json!({
            "name": listener.name,
            "supportedKinds": kinds.collect::<Vec<_>>(),
            "attachedRoutes": listener.attached_routes,
            "conditions": conditions(said, &listener.conditions, before.map_or(&Value::Null, |before| &before["conditions"])),
        })
    });
    written.collect()
}

/// Our parents after those of others, which are left as they are.
fn among_others(said: &Said<'_>, there: &Value, field: &str) -> Value {
    let there = || there.as_array().into_iter().flatten();
    let ours = said.told.parents.iter().map(|parent| {
        let reference = reference(parent);
        let before = there().find(|before| before["controllerName"] == CONTROLLER && before[field] == reference);
        let conditions = conditions(said, &parent.conditions, before.map_or(&Value::Null, |before| &before["conditions"]));
        json!({ field: reference, "controllerName": CONTROLLER, "conditions": conditions })
    });
    there().filter(|entry| entry["controllerName"] != CONTROLLER).cloned().chain(ours).collect()
}

fn reference(parent: &api::Parent) -> Value {
    let mut reference = Map::new();
    reference.insert("group".into(), parent.group.clone().into());
    reference.insert("kind".into(), parent.kind.clone().into());
    if !parent.namespace.is_empty() {
        reference.insert("namespace".into(), parent.namespace.clone().into());
    }
    reference.insert("name".into(), parent.name.clone().into());
    reference.extend(parent.section.as_ref().map(|section| ("sectionName".to_owned(), section.clone().into())));
    reference.extend(parent.port.map(|port| ("port".to_owned(), port.into())));
    reference.into()
}

/// In one order, and without what is empty: lists that a server keeps by a key come back in any order.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<(String, Value)> = map.iter().map(|(name, value)| (name.clone(), normal(value))).collect();
            fields.retain(|(_, value)| !is_empty(value));
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            fields.into_iter().collect::<Map<_, _>>().into()
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(normal).collect();
            let key = |item: &Value| ["type", "name"].iter().find_map(|key| item[*key].as_str().map(str::to_owned));
            items.sort_by_key(key);
            items.into()
        }
        other => other.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
