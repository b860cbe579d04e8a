use super::*;
use wire::api::NodeVersion;

fn node(name: &str, rate: f64, failures: u64, p99: f64) -> Node {
    let version = |version: &str, weight| NodeVersion {
        version: version.into(),
        endpoints: 1,
        healthy: 1,
        weight_percent: Some(weight),
        figures: Figures::default(),
    };
    Node {
        id: format!("service/shop/{name}"),
        kind: NodeKind::Service,
        namespace: "shop".into(),
        name: name.into(),
        figures: Figures {
            requests: 100,
            failures,
            requests_per_second: rate,
            success_rate: 0.5,
            p99_millis: Some(p99),
            ..Figures::default()
        },
        versions: if name == "catalog" { vec![version("v1", 90.0), version("v2", 10.0)] } else { Vec::new() },
        marks: vec!["split".into()],
    }
}

fn names(order: Order) -> Vec<String> {
    let graph =
        Graph { nodes: vec![node("catalog", 5.0, 9, 1.0), node("web", 50.0, 0, 2.0), node("api", 5.0, 1, 9.0)], ..Graph::default() };
    let text = picture(&graph, order, 200);
    text.lines().skip(2).filter(|line| !line.starts_with(' ')).map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn what_was_asked_for_comes_first_and_names_settle_the_rest() {
    assert_eq!(names(Order::Rate), ["web", "api", "catalog"]);
    assert_eq!(names(Order::Failures), ["catalog", "api", "web"]);
    assert_eq!(names(Order::P99), ["api", "web", "catalog"]);
    assert_eq!(names(Order::Name), ["api", "catalog", "web"]);
}

#[test]
fn what_callers_saw_stands_beside_what_was_really_sent() {
    let told = |figures| (graph::success(&figures), graph::actual(&figures));
    let retried = Figures { requests: 100, retries: 25, attempts: 125, success_rate: 1.0, actual_success_rate: 0.8, ..Figures::default() };
    assert_eq!(told(retried.clone()), ("100 %".into(), "80.00 %".into()));
    let plain = Figures { requests: 100, attempts: 100, success_rate: 1.0, actual_success_rate: 1.0, ..Figures::default() };
    assert_eq!(told(plain), ("100 %".into(), "100 %".into()));
    assert_eq!(told(Figures { attempts: 0, ..retried }).1, "–", "an older control plane does not tell");
    assert_eq!(told(Figures::default()), ("–".into(), "–".into()));
}

#[test]
fn versions_stand_below_their_service_with_their_weights() {
    let graph = Graph { nodes: vec![node("catalog", 5.0, 0, 1.0)], ..Graph::default() };
    let text = picture(&graph, Order::Rate, 200);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("all succeed"), "{text}");
    assert!(lines[2].starts_with("catalog") && lines[2].contains("2/2") && lines[2].ends_with("split"), "{text}");
    assert!(lines[3].starts_with("  v1 90 %") && lines[4].starts_with("  v2 10 %"), "{text}");
}

#[test]
fn one_namespace_is_shown_with_its_calls_to_others() {
    let edge = |source: &str, destination: &str| graph::tests::edge(source, destination, Figures::default());
    let other = Node { id: "service/dev/api".into(), namespace: "dev".into(), ..node("api", 1.0, 0, 1.0) };
    let edges = vec![edge("service/dev/api", "service/shop/web"), edge("service/dev/api", "service/dev/api")];
    let graph = Graph { nodes: vec![node("web", 1.0, 0, 1.0), other], edges, ..Graph::default() };
    let counts = |flags: &[&str]| {
        let graph = of(graph.clone(), &NamespaceFlag::of(flags));
        (graph.nodes.len(), graph.edges.len())
    };
    assert_eq!((counts(&["-n", "shop"]), counts(&["-n", "dev"]), counts(&["-A"])), ((1, 1), (1, 2), (2, 2)));
}
