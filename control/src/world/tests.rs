mod edited;

use super::*;
use crate::summary;
use crate::view::view;
use frontends::Place;
use model::{Kind, ObjectRef, Tunnel};
use serde_json::{Value, json};
use wire::api::{ChangeKind, RegistrationRequest, WorkloadPort};

fn object(kind: &str, name: &str, spec: Value) -> Object {
    let group = if kind == "Service" { "" } else { "gateway.networking.k8s.io" };
    let api_version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    Object {
        object: ObjectRef::new(group, kind, "shop", name),
        value: Arc::new(json!({"apiVersion": api_version, "kind": kind, "metadata": {"namespace": "shop", "name": name}, "spec": spec})),
        api_version,
        place: Place { file: "all.yaml".into(), line: 1, column: 1 },
        spans: Arc::default(),
        written: 0,
    }
}

fn route(weight: u32) -> Object {
    let spec = json!({
        "parentRefs": [{"group": "", "kind": "Service", "name": "catalog"}],
        "rules": [{"backendRefs": [
            {"name": "catalog-v1", "port": 80, "weight": weight},
            {"name": "catalog-v2", "port": 80, "weight": 100 - weight},
        ]}],
    });
    object("HTTPRoute", "catalog", spec)
}

fn gateway() -> Vec<Object> {
    let door = json!({"gatewayClassName": "organza", "listeners": [{"name": "http", "port": 8080, "protocol": "HTTP"}]});
    let way = json!({"parentRefs": [{"name": "front"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]});
    vec![object("Gateway", "front", door), object("HTTPRoute", "front", way)]
}

fn members() -> Registry {
    let mut registry = Registry::default();
    let domain = TrustDomain::parse("organza.local").unwrap();
    for (name, service, port) in
        [("c1", "catalog-v1", 9001), ("c2", "catalog-v2", 9003), ("c", "catalog", 9005), ("web", "web", 9007), ("gateway-front", "", 0)]
    {
        let serves = !service.is_empty();
        let request = RegistrationRequest {
            name: name.into(),
            namespace: "shop".into(),
            service_account: name.into(),
            service: serves.then(|| service.to_owned()),
            ports: if serves { vec![WorkloadPort { service: 80, target: port }] } else { Vec::new() },
            protocol: Some("http".into()),
            labels: BTreeMap::new(),
            addresses: if serves { vec![format!("127.0.0.1:{}", port + 1)] } else { Vec::new() },
        };
        registry.register(request, None, &domain, 7).unwrap();
    }
    registry
}

fn next(world: &World, objects: Vec<Object>) -> Option<World> {
    of(world, objects, &members())
}

fn of(world: &World, objects: Vec<Object>, registry: &Registry) -> Option<World> {
    let trust_domain = TrustDomain::parse("organza.local").unwrap();
    world.next(Ingredients {
        objects: Arc::new(objects),
        registry,
        trust_domain: &trust_domain,
        roots: vec![vec![1, 2, 3]],
        secret: Some(&[9; 32]),
        in_cluster: false,
    })
}

#[test]
fn a_service_that_nobody_declares_is_there_all_the_same_and_routes_may_use_it() {
    let world = next(&World::default(), vec![route(90)]).unwrap();
    let key = Key::parse("files/endpoints/shop/catalog-v1").unwrap();
    let Some(Resource::Endpoints(endpoints)) = world.get(&key).map(|item| &item.resource) else { panic!("no endpoints") };
    let [endpoint] = &endpoints.endpoints[..] else { panic!("{endpoints:?}") };
    assert_eq!(endpoint.target_port(80), Some(9001));
    assert_eq!(endpoint.tunnel, Tunnel::Organza(([127, 0, 0, 1], 9002).into()));
    let routes = world.resources().filter_map(|r| if let Resource::Route(route) = r { Some(route) } else { None });
    let backends: Vec<_> = routes.flat_map(|r| &r.rules).flat_map(|rule| &rule.backends).map(|b| &b.backend).collect();
    assert_eq!(backends.len(), 2);
    assert!(backends.iter().all(|b| matches!(b, model::Backend::Service(_))), "{backends:?}");
}

#[test]
fn the_same_makes_no_new_generation_and_an_edit_encodes_only_what_it_touches() {
    let first = next(&World::default(), vec![route(90)]).unwrap();
    assert_eq!(first.generation, 1);
    assert!(next(&first, vec![route(90)]).is_none());
    let second = next(&first, vec![route(50)]).unwrap();
    let anew = second.items.iter().filter(|(key, item)| !Arc::ptr_eq(&item.encoded, &first.items[*key].encoded));
    let anew: Vec<_> = anew.map(|(key, item)| (key.to_string(), item.modified)).collect();
    assert_eq!(anew, [("files/route/shop/httproute.catalog".to_owned(), 2)]);
    let told = summary::changes(&first, &second);
    assert_eq!((told.len(), told[0].change, &*told[0].summary), (1, ChangeKind::Changed, "HTTPRoute catalog 90/10 → 50/50"));
}

fn seen(proxy: &str, subscriptions: &[&str]) -> (Vec<String>, Vec<Option<String>>) {
    let objects = gateway().into_iter().chain([route(90)]).collect();
    let world = next(&World::default(), objects).unwrap();
    let members = members();
    let view = view(&world, None, members.get(proxy).unwrap(), subscriptions.iter().copied());
    let answers = view.answers.values().map(|answer| answer.as_ref().map(ToString::to_string)).collect();
    (view.items.names().map(ToString::to_string).collect(), answers)
}

#[test]
fn a_workload_backs_what_has_it_among_its_endpoints_in_that_world() {
    let mut registry = members();
    let first = of(&World::default(), vec![route(90)], &registry).unwrap();
    let [web, version, gateway] = ["web", "c1", "gateway-front"].map(|proxy| registry.get(proxy).unwrap().workload_key());
    let backed = |world: &World| [&web, &version, &gateway].map(|workload| world.services_of(workload).join(" "));
    assert_eq!(backed(&first), ["files/service/shop/web", "files/service/shop/catalog-v1", ""]);
    registry.remove("web", Vec::new()).unwrap();
    let second = of(&first, vec![route(90)], &registry).unwrap();
    assert_eq!(backed(&second), ["", "files/service/shop/catalog-v1", ""]);
    assert_eq!(backed(&first)[0], "files/service/shop/web");
}

#[test]
fn who_was_taken_out_finishes_what_it_has_as_what_it_was() {
    let mut registry = members();
    let first = of(&World::default(), vec![route(90)], &registry).unwrap();
    let entry = registry.remove("web", Vec::new()).unwrap();
    let policy = |name: &str, kind: &str| Object {
        object: ObjectRef::new("organza.dev", "AccessPolicy", "shop", name),
        ..object(
            "AccessPolicy",
            name,
            json!({"rules": [], "targetRefs": [{"kind": kind, "name": if kind == "Service" { "web" } else { "shop" }}]}),
        )
    };
    let second = of(&first, vec![route(90), policy("later", "Namespace"), policy("service", "Service")], &registry).unwrap();
    let names = |last| view(&second, last, &entry, ["self"]).items.names().map(ToString::to_string).collect::<Vec<_>>();
    let own = ["organza/workload/shop/web", "files/endpoints/shop/web"];
    assert!(own.iter().all(|name| names(Some(&first)).iter().any(|n| n == name)), "{:?}", names(Some(&first)));
    assert!(own.iter().all(|name| second.get(&Key::parse(name).unwrap()).is_none()), "nobody else hears of it");
    // What was decided meanwhile is for it too.
    assert!(names(Some(&first)).iter().any(|name| name.ends_with("accesspolicy.later")), "{:?}", names(Some(&first)));
    assert!(!own.iter().any(|name| names(None).iter().any(|n| n == name)), "{:?}", names(None));
}

fn has(kind: Kind, names: &[String]) -> Vec<&str> {
    let start = format!("files/{}/shop/", kind.as_str());
    names.iter().filter_map(|name| name.strip_prefix(&start)).collect()
}

#[test]
fn a_workload_sees_itself_and_its_own_services_until_it_asks() {
    let (names, _) = seen("web", &["self"]);
    assert_eq!(has(Kind::Service, &names), ["web"]);
    assert_eq!(has(Kind::Route, &names), [""; 0]);
    assert!(names.iter().any(|name| name == "organza/workload/shop/web"), "{names:?}");
    assert!(names.iter().any(|name| name == "organza/trustbundle//organza.local"), "{names:?}");
}

#[test]
fn a_host_brings_its_service_its_routes_and_where_they_lead() {
    let (names, answers) = seen("web", &["host/shop/catalog"]);
    assert_eq!(has(Kind::Service, &names), ["catalog", "catalog-v1", "catalog-v2"]);
    assert_eq!(has(Kind::Endpoints, &names), ["catalog", "catalog-v1", "catalog-v2"]);
    assert_eq!(has(Kind::Route, &names), ["httproute.catalog"]);
    assert_eq!(answers, [Some("files/service/shop/catalog".to_owned())]);
}

#[test]
fn a_stranger_and_another_namespace_are_answered_with_nothing() {
    let (names, answers) = seen("web", &["host/other/catalog.shop", "host/shop/nobody", "files/service/shop/catalog"]);
    assert_eq!(names, ["organza/trustbundle//organza.local"]);
    assert_eq!(answers, [None, None]);
}

#[test]
fn a_gateway_sees_its_doors_its_routes_and_their_backends_and_nothing_else() {
    let (names, _) = seen("gateway-front", &["self"]);
    assert_eq!(has(Kind::Listener, &names), ["front.http"]);
    assert_eq!(has(Kind::Route, &names), ["httproute.front"]);
    assert_eq!(has(Kind::Service, &names), ["web"]);
    assert_eq!(has(Kind::Endpoints, &names), ["web"]);
}

#[test]
fn who_was_forgotten_is_registered_again_under_its_name_and_nobody_elses() {
    let (mut registry, domain) = (members(), TrustDomain::parse("organza.local").unwrap());
    let again = |registry: &mut Registry, proxy: &str, request| registry.register_again(proxy, request, None, &domain, 9);
    let request = registry.get("c1").unwrap().request.clone();
    let second = registry.register(request.clone(), None, &domain, 8).unwrap();
    assert_eq!(second.proxy, "c1-2");
    assert_eq!(again(&mut registry, "c1-2", request.clone()), Ok(None), "it is known");
    registry.remove("c1-2", Vec::new());
    let back = again(&mut registry, "c1-2", request.clone()).unwrap().unwrap();
    assert_eq!((&*back.proxy, back.identity), ("c1-2", second.identity));
    assert!(again(&mut registry, "web", request.clone()).is_err(), "another process has the name");
    registry.remove("web", Vec::new());
    assert!(again(&mut registry, "web", request.clone()).is_err(), "it never had that name");
    assert!(again(&mut registry, "c1-2-x", request).is_err());
    assert!(registry.get("web").is_none());
}

#[test]
fn private_keys_go_to_the_gateway_that_refers_to_them_and_to_nobody_else() {
    let pem = |label: &str| format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
    let secret = |name: &str| Object {
        object: ObjectRef::new("", "Secret", "shop", name),
        api_version: "v1".into(),
        value: Arc::new(json!({"type": "kubernetes.io/tls", "stringData": {"tls.crt": pem("CERTIFICATE"), "tls.key": pem("PRIVATE KEY")}})),
        ..object("Secret", name, json!({}))
    };
    let gateway = |name: &str, secret: &str| {
        let listener = json!({"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": secret}]}, "hostname": "a.test"});
        object("Gateway", name, json!({"gatewayClassName": "organza", "listeners": [listener]}))
    };
    // What is shown to hosts outside goes to gateways too, and to nobody else who calls there.
    let mut back = gateway("back", "two");
    Arc::make_mut(&mut back.value)["spec"]["tls"] = json!({"backend": {"clientCertificateRef": {"name": "mine"}}});
    let tls = json!({"mode": "ClientAndServer", "clientCertificateRef": {"name": "theirs"},
        "validation": {"hostname": "a.test", "wellKnownCACertificates": "System"}});
    let spec = json!({"type": "ExternalHostname", "externalHostname": {"hostname": "a.test"}, "port": {"port": 443}, "tls": tls});
    let outside = Object {
        object: ObjectRef::new("gateway.networking.x-k8s.io", "XBackend", "shop", "x"),
        api_version: "gateway.networking.x-k8s.io/v1alpha1".into(),
        ..object("XBackend", "x", spec)
    };
    let to = json!([{"group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": "x"}]);
    let parents = json!([{"name": "back"}, {"group": "", "kind": "Service", "name": "web"}]);
    let way = object("HTTPRoute", "out", json!({"parentRefs": parents, "rules": [{"backendRefs": to}]}));
    let mut objects: Vec<Object> = ["one", "two", "nobodys", "mine", "theirs"].map(secret).into();
    objects.extend([gateway("front", "one"), back, outside, way]);
    let world = next(&World::default(), objects).unwrap();
    let (mut members, domain) = (members(), TrustDomain::parse("organza.local").unwrap());
    let request = RegistrationRequest {
        name: "gateway-back".into(),
        service_account: "gateway-back".into(),
        ..members.get("gateway-front").unwrap().request.clone()
    };
    members.register(request, None, &domain, 7).unwrap();
    // Whatever is asked for: names of keys are no subscriptions.
    let asked = ["self", "files/certificate/shop/one", "files/certificate/shop/two", "host/shop/web"];
    let keys = |proxy: &str| {
        let names: Vec<String> =
            view(&world, None, members.get(proxy).unwrap(), asked.iter().copied()).items.names().map(ToString::to_string).collect();
        has(Kind::Certificate, &names).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        ["gateway-front", "gateway-back", "web", "c"].map(keys),
        [vec!["one".to_owned()], ["mine", "theirs", "two"].map(str::to_owned).into(), vec![], vec![]]
    );
}

#[test]
fn policies_of_access_reach_the_proxies_that_they_concern_and_no_others() {
    let policy = |name: &str, kind: &str, spec: Value| {
        let namespace = if kind == "AccessPolicy" { "shop" } else { "" };
        Object { object: ObjectRef::new("organza.dev", kind, namespace, name), ..object(kind, name, spec) }
    };
    let on = |target: Value| json!({"targetRefs": [target], "rules": []});
    let edge = |kind: &str, name: &str| json!({"group": "gateway.networking.k8s.io", "kind": kind, "name": name});
    let mut objects = gateway();
    objects.extend([
        policy("namespace", "AccessPolicy", on(json!({"kind": "Namespace", "name": "shop"}))),
        policy("web", "AccessPolicy", on(json!({"kind": "Service", "name": "web"}))),
        policy("catalog", "AccessPolicy", on(json!({"kind": "Service", "name": "catalog"}))),
        policy("canaries", "AccessPolicy", json!({"workloadSelector": {"matchLabels": {"track": "canary"}}, "rules": []})),
        policy("gateway", "AccessPolicy", on(edge("Gateway", "front"))),
        policy("route", "AccessPolicy", on(edge("HTTPRoute", "front"))),
        policy("mesh", "ClusterAccessPolicy", json!({"tier": "Admin", "rules": []})),
        policy(
            "elsewhere",
            "ClusterAccessPolicy",
            json!({"tier": "Admin", "rules": [], "targetRefs": [{"kind": "Namespace", "name": "other"}]}),
        ),
        Object {
            object: ObjectRef::new("organza.dev", "MeshConfig", "organza-system", "default"),
            ..object("MeshConfig", "default", json!({"defaultAccess": "Deny"}))
        },
        Object {
            object: ObjectRef::new("organza.dev", "MeshConfig", "other", "default"),
            ..object("MeshConfig", "default", json!({"defaultAccess": "Allow"}))
        },
    ]);
    let world = next(&World::default(), objects).unwrap();
    let members = members();
    let sees = |proxy: &str| {
        let view = view(&world, None, members.get(proxy).unwrap(), ["self"]);
        let keys =
            view.items.names().filter_map(|name| Key::parse(name)).filter(|key| matches!(key.kind, Kind::Access | Kind::AccessSettings));
        keys.map(|key| format!("{}/{}", key.namespace, key.name)).collect::<Vec<_>>()
    };
    let workload = |service: &str| {
        let mut all = ["/clusteraccesspolicy.mesh", "shop/accesspolicy.namespace", service, "/default"];
        all.sort_unstable();
        all.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let sorted = |proxy: &str| {
        let mut all = sees(proxy);
        all.sort();
        all
    };
    assert_eq!(sorted("web"), workload("shop/accesspolicy.web"));
    assert_eq!(sorted("c"), workload("shop/accesspolicy.catalog"));
    assert_eq!(sorted("gateway-front"), ["/default", "shop/accesspolicy.gateway", "shop/accesspolicy.route"]);
}

#[test]
fn policies_of_telemetry_reach_the_proxies_whose_requests_they_are_about() {
    let policy = |namespace: &str, name: &str, spec: Value| Object {
        object: ObjectRef::new("organza.dev", "TelemetryPolicy", namespace, name),
        ..object("TelemetryPolicy", name, spec)
    };
    let edge = |kind: &str, name: &str| json!({"group": "gateway.networking.k8s.io", "kind": kind, "name": name});
    let on = |target: Value| json!({"targetRefs": [target], "tracing": {"sampling": {"percent": 1}}});
    let mut objects = gateway();
    objects.extend([
        policy("organza-system", "mesh", json!({})),
        policy("shop", "namespace", json!({})),
        policy("other", "elsewhere", json!({})),
        policy("shop", "gateway", on(edge("Gateway", "front"))),
        policy("shop", "route", on(edge("HTTPRoute", "front"))),
        policy("shop", "catalog", on(json!({"group": "", "kind": "Service", "name": "catalog"}))),
    ]);
    let world = next(&World::default(), objects).unwrap();
    let members = members();
    let sees = |proxy: &str, asked: &[&str]| {
        let view = view(&world, None, members.get(proxy).unwrap(), asked.iter().copied());
        let keys = view.items.names().filter_map(|name| Key::parse(name)).filter(|key| key.kind == Kind::Telemetry);
        let mut names: Vec<String> = keys.map(|key| key.name.trim_end_matches(".0").to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(sees("web", &["self"]), ["mesh", "namespace"]);
    assert_eq!(sees("c", &["self"]), ["catalog", "mesh", "namespace"]);
    // Whoever calls a service tells of those calls too.
    assert_eq!(sees("web", &["self", "host/shop/catalog"]), ["catalog", "mesh", "namespace"]);
    let front = sees("gateway-front", &["self"]);
    assert!(["gateway", "mesh", "route"].iter().all(|name| front.contains(&(*name).to_owned())), "{front:?}");
    assert!(!front.contains(&"elsewhere".to_owned()), "{front:?}");
}

#[test]
fn whoever_asks_an_authorizer_can_reach_it_and_nobody_else_hears_of_it() {
    let to = |kind: &str, group: &str, name: &str| {
        let target = json!({"group": group, "kind": kind, "name": name});
        let spec = json!({"targetRefs": [target], "protocol": "HTTP", "backendRef": {"name": "catalog-v1", "port": 80}});
        let own = object("ExternalAuthorizer", name, spec);
        Object { object: ObjectRef::new("organza.dev", "ExternalAuthorizer", "shop", name), ..own }
    };
    let mut objects = gateway();
    objects.extend([to("Gateway", "gateway.networking.k8s.io", "front"), to("Service", "", "web"), route(90)]);
    let world = next(&World::default(), objects).unwrap();
    let members = members();
    let sees = |proxy: &str| {
        let view = view(&world, None, members.get(proxy).unwrap(), ["self"]);
        let names: Vec<String> = view.items.names().map(ToString::to_string).collect();
        let reaches = ["service", "endpoints"].iter().all(|kind| names.iter().any(|n| n.contains(kind) && n.ends_with("shop/catalog-v1")));
        let asks: Vec<String> = names.into_iter().filter(|name| name.contains("externalauthorizer")).collect();
        (asks.len(), asks.concat().contains("front"), reaches)
    };
    assert_eq!((sees("gateway-front"), sees("web"), sees("c")), ((1, true, true), (1, false, true), (0, false, false)));
}

fn slice(name: &str, service: Option<&str>, kind: &str, endpoints: &[(&str, bool)]) -> Object {
    let endpoints = endpoints.iter().map(|(address, ready)| json!({"addresses": [address], "conditions": {"ready": ready}}));
    let labels = service.map_or(json!({}), |service| json!({"kubernetes.io/service-name": service}));
    Object {
        object: ObjectRef::new("discovery.k8s.io", "EndpointSlice", "shop", name),
        value: Arc::new(json!({
            "metadata": {"namespace": "shop", "name": name, "labels": labels}, "addressType": kind,
            "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints.collect::<Vec<_>>(),
        })),
        ..object("EndpointSlice", name, json!({}))
    }
}

/// Whatever slices become, the short way makes the world that the whole translation makes; and it is taken where nothing else changed.
#[test]
fn slices_alone_make_the_world_that_all_objects_make() {
    let service = |name: &str| object("Service", name, json!({"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}));
    let others = || vec![service("api"), service("db"), route(90)];
    let plain = |name: &str, of: &str, endpoints: &[(&str, bool)]| slice(name, Some(of), "IPv4", endpoints);
    let one = || plain("api-1", "api", &[("10.0.0.1", true), ("10.0.0.2", true)]);
    let cases: Vec<(bool, Vec<Object>)> = vec![
        (true, vec![plain("api-1", "api", &[("10.0.0.1", false), ("10.0.0.2", true)])]),
        (true, vec![one(), plain("api-2", "api", &[("10.0.0.3", true)])]),
        (true, vec![one(), plain("db-1", "db", &[("10.0.1.1", true)])]),
        (true, vec![plain("api-1", "db", &[("10.0.0.1", true)])]),
        (true, Vec::new()),
        (false, vec![one(), plain("none-1", "nobody", &[("10.0.0.9", true)])]),
        (false, vec![one(), plain("mine", "web", &[("10.0.0.9", true)])]),
        (false, vec![slice("api-1", None, "IPv4", &[("10.0.0.1", true)])]),
        (false, vec![slice("api-1", Some("api"), "FQDN", &[("a.example.com", true)])]),
        (false, vec![plain("api-1", "api", &[("10.0.0.1", true), ("nowhere", true)])]),
        (false, vec![one(), plain("api-1", "api", &[("10.0.0.7", true)])]),
        (false, vec![plain("api-1", "api", &[("10.0.0.1", false)]), service("third")]),
    ];
    let first = next(&World::default(), others().into_iter().chain([one()]).collect()).unwrap();
    for (short, slices) in cases {
        let objects: Vec<Object> = others().into_iter().chain(slices).collect();
        let (members, domain) = (members(), TrustDomain::parse("organza.local").unwrap());
        let from = Ingredients {
            objects: Arc::new(objects.clone()),
            registry: &members,
            trust_domain: &domain,
            roots: vec![vec![1, 2, 3]],
            secret: Some(&[9; 32]),
            in_cluster: false,
        };
        assert_eq!(first.after_slices(&from).is_some(), short, "{objects:?}");
        let (after, whole) = (next(&first, objects.clone()).unwrap(), next(&World::default(), objects).unwrap());
        let resources = |world: &World| world.resources().cloned().collect::<Vec<_>>();
        assert_eq!(resources(&after), resources(&whole));
        assert_eq!((&after.reports, &after.statuses), (&whole.reports, &whole.statuses));
        let back = next(&after, others().into_iter().chain([one()]).collect()).unwrap();
        assert_eq!((resources(&back), &back.reports), (resources(&first), &first.reports));
        for (key, item) in &after.items {
            let was = first.get(key).filter(|was| was.resource == item.resource);
            assert_eq!(item.modified, was.map_or(after.generation, |was| was.modified), "{key}");
        }
    }
    let mut joined = members();
    joined.remove("web", Vec::new());
    let after = of(&first, others().into_iter().chain([plain("api-1", "api", &[("10.0.0.1", false)])]).collect(), &joined).unwrap();
    assert!(after.get(&Key::parse("organza/workload/shop/web").unwrap()).is_none(), "who left meanwhile is seen too");
}
