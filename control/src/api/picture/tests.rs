use super::*;
use crate::files::Read;
use crate::store::Memory;
use identity::Authority;
use model::TrustDomain;
use telemetry::EdgeDelta;
use telemetry::Protocol;
use wire::api::{RegistrationRequest, WorkloadPort};

const FILES: &str = "
apiVersion: v1
kind: Service
metadata: {name: catalog, namespace: shop}
spec: {selector: {app: catalog}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: catalog-v2, namespace: shop}
spec: {selector: {app: catalog, version: v2}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: catalog-v1, namespace: shop}
spec: {selector: {app: catalog, version: v1}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: catalog, namespace: shop}
spec:
  parentRefs: [{group: '', kind: Service, name: catalog}]
  rules:
  - backendRefs: [{name: catalog-v1, port: 80, weight: 3}, {name: catalog-v2, port: 80, weight: 1}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: door, namespace: shop}
spec: {gatewayClassName: organza, listeners: [{name: web, port: 8080, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: entry, namespace: shop}
spec:
  parentRefs: [{name: door}]
  rules: [{backendRefs: [{name: catalog-v2, port: 80}]}]
";

fn core() -> Core {
    let domain = TrustDomain::parse("organza.local").unwrap();
    let authority = Authority::create(domain.clone(), now()).unwrap();
    let core = Core::new("test".into(), domain, authority, None, Arc::new(Memory::default()));
    let (objects, problems) = frontends::file::parse("all.yaml", FILES);
    assert!(problems.is_empty());
    core.read(Read { objects, problems: Vec::new() });
    for (name, service, version, port) in
        [("catalog-v1", "catalog", "v1", 9001), ("catalog-v2", "catalog", "v2", 9003), ("job", "", "v1", 0), ("gateway-door", "", "", 0)]
    {
        let serves = !service.is_empty();
        let request = RegistrationRequest {
            name: name.into(),
            namespace: "shop".into(),
            service_account: if name.starts_with("gateway-") { name } else { "any" }.into(),
            service: serves.then(|| service.to_owned()),
            ports: if serves { vec![WorkloadPort { service: 80, target: port }] } else { Vec::new() },
            protocol: Some("http".into()),
            labels: [("app", if serves { service } else { name }), ("version", version)].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            addresses: if serves { vec![format!("127.0.0.1:{}", port + 1)] } else { Vec::new() },
        };
        core.register(request, None).unwrap();
    }
    core
}

/// As the proxy of `reporter`'s side would report it.
fn edge(source: &str, service: &str, destination: &str, requests: u64) -> (EdgeId, EdgeTotals) {
    let version = |name: &str| name.rsplit_once('-').map_or("unknown", |(_, version)| version).into();
    let id = EdgeId {
        reporter: Reporter::Source,
        source_namespace: if source == "unknown" { "unknown" } else { "shop" }.into(),
        source_workload: source.into(),
        source_version: version(source),
        service_namespace: if service.is_empty() { "" } else { "shop" }.into(),
        service: service.into(),
        destination_namespace: if destination == "unknown" { "unknown" } else { "shop" }.into(),
        destination_workload: destination.into(),
        destination_version: version(destination),
        protocol: Protocol::Http,
        security: telemetry::Security::MutualTls,
    };
    (id, EdgeTotals { requests, ..EdgeTotals::default() })
}

fn drawn(edges: Vec<(EdgeId, EdgeTotals)>) -> (Core, api::Graph) {
    let core = core();
    core.lock().graph.report("any", EdgeDelta { incarnation: 1, sequence: 1, edges, ..EdgeDelta::default() }, seconds(now()));
    let graph = graph(&core, 10, None, None);
    (core, graph)
}

fn lines(graph: &api::Graph) -> Vec<String> {
    graph.edges.iter().map(|edge| format!("{} {}", edge.id, edge.figures.requests)).collect()
}

#[test]
fn versions_are_drawn_as_one_service_with_their_weights_and_a_gateways_callers_as_strangers() {
    let edges = vec![
        edge("gateway-door", "catalog", "catalog-v1", 30),
        edge("gateway-door", "catalog", "catalog-v2", 10),
        edge("job", "catalog-v2", "catalog-v2", 5),
    ];
    let (_, graph) = drawn(edges);
    assert_eq!(
        lines(&graph),
        [
            "gateway/shop/door→service/shop/catalog/http 40",
            "client/shop/job→service/shop/catalog/http 5",
            "outside//strangers→gateway/shop/door/http 40",
        ]
    );
    let catalog = graph.nodes.iter().find(|node| node.id == "service/shop/catalog").unwrap();
    assert_eq!((catalog.figures.requests, &catalog.marks[..]), (45, &["split".to_owned()][..]));
    let told: Vec<_> = catalog.versions.iter().map(|v| (&*v.version, v.endpoints, v.weight_percent, v.figures.requests)).collect();
    assert_eq!(told, [("v1", 1, Some(75.0), 30), ("v2", 1, Some(25.0), 15)]);
    // Nobody knows how strangers came.
    assert_eq!(graph.edges[2].security, None);
    assert_eq!(graph.edges[0].security, Some(Security::Mtls));
}

#[test]
fn what_was_sent_to_nobody_counts_as_failed_and_says_nothing_of_how_calls_are_protected() {
    let (mut id, _) = edge("job", "catalog", "", 0);
    id.security = telemetry::Security::Plain;
    let refused = EdgeTotals { requests: 2, failures: 2, ..EdgeTotals::default() };
    let (_, graph) = drawn(vec![edge("job", "catalog", "catalog-v1", 5), (id, refused)]);
    let [edge] = &graph.edges[..] else { panic!("{:?}", lines(&graph)) };
    assert_eq!((edge.figures.requests, edge.figures.failures, edge.security, edge.mixed), (7, 2, Some(Security::Mtls), false));
}

#[test]
fn pods_of_a_gateway_are_drawn_as_the_gateway_whatever_they_are_called() {
    let core = core();
    for pod in ["hall-organza-6c497bb4f-svpdd", "hall-organza-6c497bb4f-x2b7k"] {
        let request = RegistrationRequest {
            name: pod.into(),
            namespace: "shop".into(),
            service_account: "gateway-hall".into(),
            service: None,
            ports: Vec::new(),
            protocol: None,
            labels: [("app".to_owned(), "gateway-hall".to_owned())].into(),
            addresses: Vec::new(),
        };
        core.register(request, None).unwrap();
    }
    let edges = vec![edge("gateway-hall", "catalog", "catalog-v1", 3)];
    core.lock().graph.report("any", EdgeDelta { incarnation: 1, sequence: 1, edges, ..EdgeDelta::default() }, seconds(now()));
    let graph = graph(&core, 10, None, None);
    assert_eq!(lines(&graph), ["gateway/shop/hall→service/shop/catalog/http 3", "outside//strangers→gateway/shop/hall/http 3"]);
    assert!(graph.nodes.iter().all(|node| node.kind != NodeKind::Client || node.name != "gateway-hall"));
}

#[test]
fn what_found_no_endpoint_is_drawn_at_the_service_it_was_meant_for_and_hosts_outside_as_such() {
    let edges = vec![
        edge("job", "catalog-v2", "unknown", 7),
        edge("job", "example.org", "unknown", 3),
        // Refused before anything was known of where it was meant to go.
        edge("gateway-door", "", "unknown", 2),
    ];
    let (_, graph) = drawn(edges);
    assert_eq!(
        lines(&graph),
        [
            "client/shop/job→service/shop/catalog/http 7",
            "client/shop/job→outside/shop/example.org/http 3",
            "outside//strangers→gateway/shop/door/http 2",
        ]
    );
}

#[test]
fn a_denial_is_known_from_who_denied_though_the_callers_word_counts() {
    let (id, counts) = edge("job", "catalog", "catalog-v1", 9);
    let callee = EdgeId { reporter: Reporter::Destination, ..id.clone() };
    let refused = EdgeTotals { denied: 4, failures: 4, requests: 9, ..EdgeTotals::default() };
    let (_, graph) = drawn(vec![(id, counts), (callee, refused)]);
    assert_eq!((graph.edges[0].figures.requests, graph.edges[0].figures.failures, graph.edges[0].figures.denied), (9, 0, 4));
    let catalog = graph.nodes.iter().find(|node| node.id == "service/shop/catalog").unwrap();
    assert!(catalog.marks.contains(&"denied".to_owned()), "{:?}", catalog.marks);
}

#[test]
fn a_denial_that_both_ends_know_of_is_one_and_those_of_several_callers_are_added() {
    let denied = |source: &str, callers: u64, callees: u64| {
        let (id, _) = edge(source, "catalog", "catalog-v1", 9);
        let counts = |denied| EdgeTotals { denied, requests: 9, ..EdgeTotals::default() };
        [(EdgeId { reporter: Reporter::Destination, ..id.clone() }, counts(callees)), (id, counts(callers))]
    };
    let (core, graph) = drawn([denied("job", 3, 4), denied("gateway-door", 2, 5)].concat());
    let told: Vec<_> = graph.edges.iter().filter(|edge| edge.destination.ends_with("catalog")).map(|edge| edge.figures.denied).collect();
    assert_eq!(told, [5, 4]);
    // Each node tells the same of the window and of its hour.
    let nodes = [("service/shop/catalog", 9), ("client/shop/job", 4), ("gateway/shop/door", 5), ("outside//strangers", 5)];
    for (id, denied) in nodes {
        let told = graph.nodes.iter().find(|node| node.id == id).unwrap().figures.denied;
        let hour: u64 = history(&core, Of::Node(id)).points.iter().map(|point| point.figures.denied).sum();
        assert_eq!((told, hour), (denied, denied), "{id}");
    }
}

#[test]
fn history_is_of_the_node_or_edge_that_was_asked_for() {
    let edges = vec![edge("gateway-door", "catalog", "catalog-v1", 30), edge("job", "catalog", "catalog-v2", 5)];
    let (core, graph) = drawn(edges);
    let requests = |of: Of<'_>| history(&core, of).points.iter().map(|point| point.figures.requests).sum::<u64>();
    for edge in &graph.edges {
        assert_eq!(requests(Of::Edge(&edge.id)), edge.figures.requests, "{}", edge.id);
    }
    for node in &graph.nodes {
        assert_eq!(requests(Of::Node(&node.id)), node.figures.requests, "{}", node.id);
    }
    // A workload that is called, one that calls alone, and none.
    let workloads = ["shop/catalog-v1", "shop/catalog-v2", "shop/job", "shop/none", "other/job", "job"];
    assert_eq!(workloads.map(|name| requests(Of::Workload(name))), [30, 5, 5, 0, 0, 0]);
    assert_eq!(requests(Of::Node("service/shop/none")), 0);
}

#[test]
fn what_proxies_say_of_a_service_marks_it_and_is_a_problem() {
    use crate::ejections::{Crowded, Findings, OpenBreaker};
    let (core, graph) = drawn(Vec::new());
    let marks = |graph: &api::Graph| graph.nodes.iter().find(|node| node.id == "service/shop/catalog").unwrap().marks.clone();
    assert_eq!(marks(&graph), ["split"]);
    assert!(super::super::beside::problems(&core).items.is_empty());
    let (namespace, service) = (String::from("shop"), String::from("catalog"));
    let found = Findings {
        breakers: vec![OpenBreaker {
            namespace: namespace.clone(),
            service: service.clone(),
            percent: 60,
            requests: 20,
            since_millis: 5,
            half_open: false,
        }],
        crowded: vec![Crowded { namespace, service, open: 8, limit: 8, waiting: 3 }],
        ..Findings::default()
    };
    core.lock().ejections.report(("job", 1), found, seconds(now()));
    assert_eq!(marks(&super::graph(&core, 10, None, None)), ["breaker", "crowded", "split"]);
    let reasons: Vec<String> = super::super::beside::problems(&core).items.into_iter().map(|problem| problem.reason).collect();
    assert_eq!(reasons, ["BreakerOpen", "Crowded"]);
}

/// A Service that no proxy stands beside, answered at these addresses.
fn legacy(name: &str, addresses: &[&str]) -> String {
    let endpoints: Vec<_> = addresses.iter().map(|address| format!("{{addresses: [{address}]}}")).collect();
    format!(
        "---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints: [{}]
",
        endpoints.join(", ")
    )
}

#[test]
fn who_calls_in_plaintext_has_the_names_that_its_address_has() {
    let core = core();
    let (objects, problems) = frontends::file::parse(
        "all.yaml",
        &[FILES, &legacy("legacy", &["10.1.0.7", "10.1.0.8"]), &legacy("other", &["10.1.0.8"])].concat(),
    );
    assert!(problems.is_empty(), "{problems:?}");
    core.read(Read { objects, problems: Vec::new() });
    let plain = |address: &str, requests| {
        let (id, counts) = edge(address, "catalog", "catalog-v1", requests);
        let unproven = EdgeId {
            reporter: Reporter::Destination,
            source_namespace: "unknown".into(),
            source_version: "unknown".into(),
            security: telemetry::Security::Plain,
            ..id
        };
        (unproven, counts)
    };
    let edges = vec![plain("10.1.0.7", 4), plain("10.1.0.8", 2), plain("10.1.0.9", 1)];
    core.lock().graph.report("any", EdgeDelta { incarnation: 1, sequence: 1, edges, ..EdgeDelta::default() }, seconds(now()));
    let mut drawn = lines(&graph(&core, 10, None, None));
    drawn.sort();
    let catalog = "service/shop/catalog/http";
    assert_eq!(
        drawn,
        [
            format!("client/unknown/10.1.0.8→{catalog} 2"),
            format!("client/unknown/10.1.0.9→{catalog} 1"),
            format!("service/shop/legacy→{catalog} 4"),
        ]
    );
    let called = |address: &str| {
        let call = wire::v1::Call {
            source: address.into(),
            namespace: "shop".into(),
            service: "catalog".into(),
            port: 80,
            protocol: "tcp".into(),
            allowed: 1,
            ..Default::default()
        };
        crate::calls::read(call).unwrap()
    };
    core.lock().calls.report(&["10.1.0.7", "10.1.0.8", "10.1.0.9", "127.0.0.1"].map(called), seconds(now()));
    let told = super::super::beside::calls(&core).items;
    let names: Vec<_> = told.iter().map(|call| (&*call.source, call.source_services.join(" "))).collect();
    assert_eq!(
        names,
        [
            ("10.1.0.7", "shop/legacy".to_owned()),
            ("10.1.0.8", "shop/legacy shop/other".into()),
            ("10.1.0.9", String::new()),
            ("127.0.0.1", String::new())
        ]
    );
}

#[test]
fn who_is_marked_for_having_no_endpoint_is_a_problem_too() {
    let (core, graph) = drawn(Vec::new());
    let marked = |graph: &api::Graph| {
        let without = graph.nodes.iter().filter(|node| node.marks.iter().any(|mark| mark == "no endpoint"));
        without.map(|node| format!("Service {}/{}", node.namespace, node.name)).collect::<Vec<_>>()
    };
    let told = || {
        let all = super::super::beside::problems(&core).items.into_iter();
        all.filter(|problem| problem.reason == "NoEndpoint").map(|problem| problem.object).collect::<Vec<_>>()
    };
    assert_eq!((marked(&graph), told()), (Vec::new(), Vec::new()));
    assert!(core.deregister("catalog-v2"));
    let graph = super::graph(&core, 10, None, None);
    let alone = vec!["Service shop/catalog-v2".to_owned()];
    assert_eq!((marked(&graph), told()), (alone.clone(), alone));
    assert!(core.deregister("catalog-v1"));
    let graph = super::graph(&core, 10, None, None);
    assert_eq!(marked(&graph), told());
    assert_eq!(told().len(), 3);
}

#[test]
fn what_was_tried_again_and_what_organza_ended_itself_is_told_apart() {
    let counts = EdgeTotals { requests: 100, failures: 4, denied: 1, faults: 2, retries: 25, ..EdgeTotals::default() };
    let told = figures(&counts, 10.0);
    assert_eq!((told.faults, told.attempts, told.success_rate, told.actual_success_rate), (2, 125, 0.96, 0.768));
    let (id, _) = edge("job", "catalog", "catalog-v1", 0);
    let marks = |counts: EdgeTotals| {
        let (_, graph) = drawn(vec![(id.clone(), counts)]);
        graph.nodes.iter().find(|node| node.id == "service/shop/catalog").unwrap().marks.clone()
    };
    assert_eq!(marks(counts), ["denied", "fault", "split"]);
    assert_eq!(marks(EdgeTotals { requests: 100, failures: 4, ..EdgeTotals::default() }), ["split"], "a program's own 500 is none of ours");
}

#[test]
fn the_last_check_of_an_endpoint_is_told_with_it() {
    let (core, _) = drawn(Vec::new());
    let told = |passed| crate::checks::Told {
        endpoint: ("shop".into(), "catalog".into(), "catalog-v1".into()),
        passed,
        said: "GET /healthz answered 200 in 1.2 ms".into(),
        age_millis: 0,
        again_millis: 5000,
    };
    core.lock().checks.report("job", [told(true)].into_iter(), seconds(now()));
    let services = super::super::told::services(&core).items;
    let catalog = services.iter().find(|service| service.name == "catalog").unwrap();
    let checks: Vec<_> = catalog.endpoints.iter().flat_map(|one| one.checks.iter().map(|check| (&*one.workload, check.passed))).collect();
    assert_eq!(checks, [("catalog-v1", true)], "{:?}", catalog.endpoints);
}

#[test]
fn tries_of_both_ends_of_a_call_add_up_to_what_the_program_was_really_asked() {
    let (id, _) = edge("job", "catalog", "catalog-v1", 0);
    let callee = EdgeId { reporter: Reporter::Destination, ..id.clone() };
    let counts = |requests, retries| EdgeTotals { requests, retries, ..EdgeTotals::default() };
    // Ten requests, three of them sent again by the caller; of the thirteen, two were sent again to the program.
    let (core, graph) = drawn(vec![(id, counts(10, 3)), (callee.clone(), counts(13, 2))]);
    let catalog = graph.nodes.iter().find(|node| node.id == "service/shop/catalog").unwrap();
    let told = [&graph.edges[0].figures, &graph.edges[0].versions[0].figures, &catalog.figures, &catalog.versions[0].figures];
    assert_eq!(told.map(|figures| (figures.requests, figures.retries, figures.attempts)), [(10, 5, 15); 4]);
    let hour = super::graph(&core, 3600, None, None);
    assert_eq!(hour.edges[0].figures.retries, 5);
    let job = graph.nodes.iter().find(|node| node.id == "client/shop/job").unwrap();
    assert_eq!((job.figures.requests, job.figures.retries, job.figures.attempts), (10, 5, 15));
    let told: u64 = history(&core, Of::Node(&job.id)).points.iter().map(|point| point.figures.retries).sum();
    assert_eq!(told, 5);
    // Of a caller that nobody speaks for, the called side's word is all there is, and is counted once.
    let (_, graph) = drawn(vec![(callee, counts(13, 2))]);
    assert_eq!((graph.edges[0].figures.retries, graph.edges[0].figures.attempts), (2, 15));
}

#[test]
fn of_one_process_its_own_calls_are_drawn_where_the_graph_draws_replicas_together() {
    let core = core();
    let failing = |failures| {
        let (id, counts) = edge("job", "catalog", "catalog-v1", 10);
        (id, EdgeTotals { failures, ..counts })
    };
    for (proxy, failures) in [("job-1", 0), ("job-2", 10)] {
        let delta = EdgeDelta { incarnation: 1, sequence: 1, edges: vec![failing(failures)], ..EdgeDelta::default() };
        core.lock().graph.report(proxy, delta, seconds(now()));
    }
    let told = |graph: &api::Graph| {
        graph.edges.iter().map(|edge| (edge.id.clone(), edge.figures.requests, edge.figures.failures)).collect::<Vec<_>>()
    };
    let id = || "client/shop/job→service/shop/catalog/http".to_owned();
    assert_eq!(told(&graph(&core, 10, None, None)), [(id(), 20, 10)]);
    let alone = of_workload(&core, "job-2");
    assert_eq!(told(&alone), [(id(), 10, 10)]);
    assert_eq!(alone.window_seconds, 120);
    assert_eq!(alone.nodes.iter().map(|node| &*node.id).collect::<Vec<_>>(), ["service/shop/catalog", "client/shop/job"]);
    assert_eq!(told(&of_workload(&core, "job-1")), [(id(), 10, 0)]);
    assert_eq!(told(&of_workload(&core, "nobody")), []);
}

#[test]
fn a_route_is_told_what_its_gateways_send_to_its_backends_and_all_that_its_services_are_asked() {
    let denied = |(id, counts): (EdgeId, EdgeTotals)| {
        (EdgeId { reporter: Reporter::Destination, ..id }, EdgeTotals { requests: 0, denied: 2, ..counts })
    };
    let edges = vec![
        edge("gateway-door", "catalog", "catalog-v1", 30),
        edge("gateway-door", "catalog-v2", "catalog-v2", 10),
        denied(edge("gateway-door", "catalog-v2", "catalog-v2", 0)),
        edge("job", "catalog-v2", "catalog-v2", 5),
        edge("job", "catalog", "catalog-v2", 3),
    ];
    let (core, _) = drawn(edges);
    let told = |route: &str| {
        let routed = Routed::of(&core.world(), route)?;
        let graph = graph(&core, 10, None, Some(&routed));
        let denied: u64 = graph.edges.iter().filter(|edge| edge.destination.starts_with("service/")).map(|edge| edge.figures.denied).sum();
        let hour: u64 = history(&core, Of::Route(&routed)).points.iter().map(|point| point.figures.requests).sum();
        Some((lines(&graph), denied, hour))
    };
    let entry = ["gateway/shop/door→service/shop/catalog/http 10".to_owned(), "outside//strangers→gateway/shop/door/http 10".to_owned()];
    assert_eq!(told("HTTPRoute/shop/entry"), Some((entry.to_vec(), 2, 10)));
    let catalog = [
        "gateway/shop/door→service/shop/catalog/http 30",
        "client/shop/job→service/shop/catalog/http 3",
        "outside//strangers→gateway/shop/door/http 30",
    ];
    assert_eq!(told("HTTPRoute/shop/catalog"), Some((catalog.map(str::to_owned).to_vec(), 0, 33)));
    for none in ["HTTPRoute/shop/other", "GRPCRoute/shop/entry", "HTTPRoute/entry", ""] {
        assert_eq!(told(none), None, "{none}");
    }
}
