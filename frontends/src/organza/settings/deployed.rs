//! What `GatewayParameters` say of how a Gateway's own proxies are deployed into a cluster. Only who deploys them asks; the schema has judged the values.

use super::{PARAMETERS, refers};
use crate::Object;
use crate::gateway_api::GROUP as GATEWAY_API;
use crate::organza::GROUP;
use serde_json::{Map, Value};

/// `spec.deployment` and `spec.service`, a Gateway's own fields before those of its class.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deployed {
    pub deployment: Map<String, Value>,
    pub service: Map<String, Value>,
}

impl Deployed {
    /// What holds for `gateway` by the parameters among `objects`.
    pub fn of(gateway: &Object, objects: &[Object]) -> Self {
        let class = gateway.at("/spec/gatewayClassName");
        let is_class = |object: &&Object| object.is(GATEWAY_API, "GatewayClass") && *class == *object.object.name;
        let mut all = Self::default();
        for from in [objects.iter().find(is_class), Some(gateway)].into_iter().flatten() {
            let parameters = objects.iter().filter(|object| object.is(GROUP, PARAMETERS)).find(|object| refers(from, object));
            let Some(parameters) = parameters else { continue };
            let fields = |pointer: &str| parameters.at(pointer).as_object().cloned().unwrap_or_default();
            all.deployment.extend(fields("/spec/deployment"));
            all.service.extend(fields("/spec/service"));
        }
        all
    }
}

#[cfg(test)]
mod tests;
