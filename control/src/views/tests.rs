use super::*;
use crate::registry::Registry;
use crate::world::Ingredients;
use frontends::Object;
use model::{ObjectRef, SpiffeId, TrustDomain};
use serde_json::{Value, json};
use wire::discovery::DeltaDiscoveryRequest;

fn object(kind: &str, name: &str, spec: Value) -> Object {
    let group = if kind == "Service" { "" } else { "gateway.networking.k8s.io" };
    let api_version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    let value = json!({"metadata": {"namespace": "shop", "name": name}, "spec": spec});
    Object::new(ObjectRef::new(group, kind, "shop", name), &api_version, value)
}

fn objects(path: &str) -> Arc<Vec<Object>> {
    let door = json!({"gatewayClassName": "organza", "listeners": [{"name": "http", "port": 8080, "protocol": "HTTP"}]});
    let rule = json!({"matches": [{"path": {"value": path}}], "backendRefs": [{"name": "web", "port": 80}]});
    let way = json!({"parentRefs": [{"name": "edge"}], "rules": [rule]});
    let web = json!({"ports": [{"port": 80}]});
    Arc::new(vec![object("Gateway", "edge", door), object("HTTPRoute", "edge", way), object("Service", "web", web)])
}

fn next(before: &World, objects: &Arc<Vec<Object>>, registry: &Registry) -> World {
    later(before, objects, registry).unwrap()
}

fn later(before: &World, objects: &Arc<Vec<Object>>, registry: &Registry) -> Option<World> {
    let trust_domain = TrustDomain::parse("organza.local").unwrap();
    let (objects, roots) = (objects.clone(), vec![vec![1]]);
    let from = Ingredients { objects, registry, trust_domain: &trust_domain, roots, secret: None, in_cluster: true };
    before.next(from)
}

fn pod(registry: &mut Registry, name: &str) -> Entry {
    let identity = SpiffeId::parse("spiffe://organza.local/ns/shop/sa/gateway-edge").unwrap();
    registry.admit(name, &identity, 7).unwrap().0
}

fn asking() -> ServerSession {
    let mut session = ServerSession::new();
    let asks = vec![wire::SELF.to_owned()];
    session.on_request(DeltaDiscoveryRequest { resource_names_subscribe: asks, ..Default::default() }).unwrap();
    session
}

#[test]
fn proxies_of_one_gateway_share_what_they_hold_and_how_it_changes() {
    let (mut registry, views) = (Registry::default(), Views::default());
    let first = pod(&mut registry, "a.shop");
    let paths = objects("/a");
    let world = next(&World::default(), &paths, &registry);
    let held = views.of(&world, None, &first, &asking()).0.items;
    assert!(held.names().any(|name| name.contains("/route/")) && held.names().any(|name| name.contains("/trustbundle/")));
    assert_eq!(held.names().collect::<Vec<_>>(), view(&world, None, &first, [wire::SELF]).items.names().collect::<Vec<_>>());
    // Another comes, of which the first need hear nothing.
    let second = pod(&mut registry, "b.shop");
    assert!(later(&world, &paths, &registry).is_none(), "for whom no world is made");
    for entry in [&first, &second] {
        assert!(Arc::ptr_eq(&views.of(&world, None, entry, &asking()).0.items, &held));
    }
    let world = next(&world, &objects("/b"), &registry);
    let newer = views.of(&world, None, &first, &asking()).0.items;
    assert!(Arc::ptr_eq(&views.of(&world, None, &second, &asking()).0.items, &newer));
    let changed: Vec<_> = newer.since(&held).changed.iter().map(|item| item.name.to_string()).collect();
    assert_eq!(changed, ["files/route/shop/httproute.edge"]);
}

/// Nor is anything translated for it: objects that are equal and not the same are, and come to the same.
#[test]
fn a_proxy_of_a_gateway_is_in_no_world_and_in_the_way_of_no_short_one() {
    let mut registry = Registry::default();
    let paths = objects("/a");
    let before = next(&World::default(), &paths, &registry);
    pod(&mut registry, "a.shop");
    assert!(later(&before, &paths, &registry).is_none() && later(&before, &Arc::new(Vec::clone(&paths)), &registry).is_none());
    let identity = SpiffeId::parse("spiffe://organza.local/ns/shop/sa/web").unwrap();
    registry.admit("web.shop", &identity, 7).unwrap();
    assert!(!before.registry.is_alike(&registry), "who is no Gateway's is another matter");
}

/// A release that lacks a kind is as much one as the newest: what stands in for the kind is made once for all that lack it.
#[test]
fn proxies_of_an_older_release_share_what_stands_in_for_what_they_do_not_know() {
    let (mut registry, views) = (Registry::default(), Views::default());
    let entry = pod(&mut registry, "a.shop");
    let consumer = |name: &str| {
        let spec = json!({"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}], "required": true});
        let value = json!({"metadata": {"namespace": "shop", "name": name}, "spec": spec});
        Object::new(ObjectRef::new("organza.dev", "Consumer", "shop", name), "organza.dev/v1alpha1", value)
    };
    let mut all = Vec::clone(&objects("/a"));
    all.push(consumer("acme"));
    let world = next(&World::default(), &Arc::new(all.clone()), &registry);
    let older = |world: &World| views.of(world, None, &entry, &asking());
    let (held, withheld) = older(&world);
    assert_eq!(withheld.len(), 1);
    assert!(Arc::ptr_eq(&older(&world).0.items, &held.items), "and not anew for each");
    assert!(!held.items.names().any(|name| name.contains("/consumer/")));
    // Nor is all of it told again after a change of something else.
    all[1] = objects("/b")[1].clone();
    let changed = older(&next(&world, &Arc::new(all), &registry)).0.items;
    let names: Vec<_> = changed.since(&held.items).changed.iter().map(|item| item.name.to_string()).collect();
    assert_eq!(names, ["files/route/shop/httproute.edge"]);
}

/// Whoever says each time that it lacks something else fills no memory by it.
#[test]
fn what_proxies_hold_is_kept_for_so_many_releases_of_a_gateway() {
    let (mut registry, views) = (Registry::default(), Views::default());
    let entry = pod(&mut registry, "a.shop");
    let world = next(&World::default(), &objects("/a"), &registry);
    let gateway = entry.gateway().unwrap();
    let held = |lacks: &[Kind]| views.gateway(gateway.clone(), &world, &entry, lacks).items;
    let newest = held(&[]);
    let others = [Kind::Access, Kind::RateLimit, Kind::Consumer, Kind::Telemetry, Kind::TokenIssuer, Kind::AccessSettings];
    let first = held(&others[..1]);
    for kind in &others[1..] {
        held(&[*kind]);
        assert!(Arc::ptr_eq(&held(&[]), &newest), "who is asked for is kept");
    }
    assert_eq!(views.0.lock().unwrap().values().map(Vec::len).collect::<Vec<_>>(), [limits::RELEASES]);
    let again = held(&others[..1]);
    assert!(!Arc::ptr_eq(&again, &first) && again.names().eq(first.names()), "and made anew for who comes back");
}
