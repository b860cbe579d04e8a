//! Keeps what each Gateway of ours is made of in the cluster as it should be, and the Services of XBackends: applied by the leader where it is another than was applied last, and once in
//! a while, since others may have changed it. What a Gateway owns goes with it.

use super::deploy::{self, Port, Settings};
use super::{Cluster, FIELD_MANAGER, Shared, backends, lock, watch};
use crate::core::Core;
use crate::limits;
use crate::shell::monotone;
use crate::world::World;
use frontends::Object;
use frontends::organza::settings::deployed::Deployed;
use kube::Api;
use kube::api::{ApiResource, Patch, PatchParams};
use kube::core::DynamicObject;
use model::{Condition, ConditionStatus, Key, Kind, ListenerProtocol, ObjectRef, Resource, Source};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

/// Kind, namespace and name.
type Name = (String, String, String);

/// What was applied, and when.
#[derive(Default)]
pub struct Gateways(HashMap<Name, (Value, Instant)>);

impl Gateways {
    /// Applies what is due; says whether all of it was taken.
    pub async fn round(&mut self, cluster: &Cluster, shared: &Shared, core: &Core) -> bool {
        let Some(settings) = settings(cluster, shared, core) else { return true };
        let mut done = true;
        let now = monotone();
        let wanted = wanted(&core.world(), shared, &settings);
        let names: BTreeSet<Name> = wanted.iter().map(name_of).collect();
        self.0.retain(|name, _| names.contains(name));
        for object in wanted {
            let name = name_of(&object);
            let is_fresh = self.0.get(&name).is_some_and(|(before, at)| *before == object && now.duration_since(*at) < limits::APPLY_AGAIN);
            if is_fresh {
                continue;
            }
            match apply(cluster, &object).await {
                Ok(()) => drop(self.0.insert(name, (object, now))),
                Err(e) => {
                    let (kind, namespace, name) = name;
                    tracing::warn!("{kind} {namespace}/{name}: {}", watch::told(&e));
                    done = false;
                }
            }
        }
        done
    }
}

/// Puts this replica behind a Service of the control plane's namespace that has no selector: that by which proxies find it, for one.
pub async fn announce(cluster: &Cluster, service: &str, port_name: &str, port: u16) -> Result<(), kube::Error> {
    let Some(ip) = cluster.deployment.as_ref().and_then(|deployment| deployment.pod_ip) else { return Ok(()) };
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": service, "namespace": cluster.namespace,
            "labels": {"kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": "organza.dev"},
        },
        "addressType": if ip.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{"addresses": [ip.to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
    });
    apply(cluster, &slice).await
}

fn name_of(object: &Value) -> Name {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&object["kind"]), text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
}

/// `None` where proxies would not find the control plane.
fn settings(cluster: &Cluster, shared: &Shared, core: &Core) -> Option<Settings> {
    use identity::Signer;
    let deployment = cluster.deployment.as_ref()?;
    let own = ObjectRef::new("", "Service", &cluster.namespace, super::SERVICE);
    let address = lock(&shared.cache).get(&own).and_then(|kept| kept.object.at("/spec/clusterIP").as_str().map(str::to_owned));
    let control = match deployment.control {
        Some(address) => address,
        None => std::net::SocketAddr::new(address?.parse().ok()?, super::PORT),
    };
    let roots = identity::pem::encode_chain(core.lock().authority.roots().iter().map(Vec::as_slice));
    Some(Settings {
        mesh: core.mesh.clone(),
        trust_domain: core.trust_domain.to_string(),
        image: deployment.image.clone(),
        service_type: deployment.service_type.clone(),
        control: control.to_string(),
        roots,
    })
}

fn wanted(world: &World, shared: &Shared, settings: &Settings) -> Vec<Value> {
    let mut ports: BTreeMap<Key, BTreeSet<Port>> = BTreeMap::new();
    for resource in world.resources() {
        let Resource::Listener(listener) = resource else { continue };
        if listener.broken.is_none() {
            let port = Port { number: listener.port, is_udp: listener.protocol == ListenerProtocol::Udp };
            ports.entry(listener.gateway.clone()).or_default().insert(port);
        }
    }
    let cache = lock(&shared.cache);
    let none = BTreeSet::new();
    let made = ours(world).into_iter().filter_map(|object| {
        let kept = cache.get(&object.object).filter(|kept| !kept.ending)?;
        let key = Key::new(Source::files(), Kind::Gateway, &object.object.namespace, &object.object.name);
        let asked = Deployed::of(object, &world.objects);
        Some(deploy::objects(object, &kept.uid, ports.get(&key).unwrap_or(&none), settings, &asked))
    });
    let mut made: Vec<Value> = made.flatten().collect();
    made.extend(backends::wanted(world, &cache));
    made
}

/// Gateways that are served, by their status.
pub fn ours(world: &World) -> Vec<&Object> {
    let is_accepted = |condition: &Condition| &*condition.kind == "Accepted" && condition.status == ConditionStatus::True;
    let accepted: BTreeSet<&ObjectRef> = world
        .statuses
        .iter()
        .filter(|status| &*status.object.kind == "Gateway" && status.conditions.iter().any(is_accepted))
        .map(|status| &status.object)
        .collect();
    world.objects.iter().filter(|object| accepted.contains(&object.object)).collect()
}

async fn apply(cluster: &Cluster, object: &Value) -> Result<(), kube::Error> {
    let (kind, namespace, name) = name_of(object);
    let (group, plural) = match kind.as_str() {
        "Deployment" => ("apps", "deployments"),
        "Service" => ("", "services"),
        "ServiceAccount" => ("", "serviceaccounts"),
        "PodDisruptionBudget" => ("policy", "poddisruptionbudgets"),
        "EndpointSlice" => ("discovery.k8s.io", "endpointslices"),
        _ => ("", "configmaps"),
    };
    let api_version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
    let resource = ApiResource { group: group.into(), version: "v1".into(), api_version, kind, plural: plural.into() };
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), &namespace, &resource);
    api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(object)).await.map(drop)
}
