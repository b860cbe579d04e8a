use super::*;
use wire::api::GraphEdge;

fn node(kind: NodeKind, id: &str, name: &str) -> Node {
    let figures = Figures::default();
    Node { id: id.into(), kind, namespace: "shop".into(), name: name.into(), figures, versions: Vec::new(), marks: Vec::new() }
}

pub fn edge(source: &str, destination: &str, figures: Figures) -> GraphEdge {
    GraphEdge {
        id: format!("{source}→{destination}/http"),
        source: source.into(),
        destination: destination.into(),
        protocol: "http".into(),
        security: Some(Security::Mtls),
        mixed: false,
        figures,
        opened: 0,
        open: 0,
        total_requests: 0,
        total_failures: 0,
        seen: 0,
        versions: Vec::new(),
    }
}

fn graph() -> Graph {
    let figures = Figures {
        requests: 20_000,
        failures: 1,
        requests_per_second: 47.5,
        success_rate: 0.99995,
        p50_millis: Some(1.5),
        ..Figures::default()
    };
    Graph {
        nodes: vec![node(NodeKind::Gateway, "gateway/shop/door", "door"), node(NodeKind::Service, "service/shop/web", "we\"b")],
        edges: vec![edge("gateway/shop/door", "service/shop/web", figures)],
        ..Graph::default()
    }
}

#[test]
fn a_call_is_a_line_and_one_failure_of_many_is_not_a_hundred_percent() {
    let text = text(&graph(), 120);
    let words: Vec<&str> = text.lines().last().unwrap().split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    assert_eq!(words, ["door (gateway)", "we\"b", "47.5", "99.99 %", "1.5 ms", "–", "–", "mTLS", "http"]);
    assert_eq!(super::text(&Graph::default(), 80), "nobody has called anybody yet\n");
}

#[test]
fn dot_keeps_names_within_their_quotes_and_marks_what_fails() {
    let dot = dot(&graph());
    assert!(dot.contains(r#""service/shop/web" [label="we\"b"];"#), "{dot}");
    assert!(dot.contains(r#""gateway/shop/door" -> "service/shop/web" [label="47.5/s, 99.99 %, mTLS", color=red];"#), "{dot}");
}
