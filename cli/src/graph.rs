//! `organza graph`: who calls whom now, as lines, as Graphviz' DOT, or as the API tells it. Pure but for one question to the control plane: a graph
//! in, text out.

use crate::ask_flag::AskFlag;
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::table;
use crate::units;
use clap::{Args, ValueEnum};
use std::fmt::Write;
use std::time::Duration;
use wire::api::{Figures, Graph, Node, NodeKind, Security, path};

const EXAMPLES: &str = "\
Examples:
  organza graph
  organza graph --window 5m
  organza graph -o dot | dot -Tsvg > graph.svg
  organza graph -o json | jq '.edges[] | {id, figures}'";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GraphArgs {
    /// Lines for people, DOT for Graphviz, JSON for programs
    #[arg(short, long, value_enum, default_value_t = Shape::Text)]
    output: Shape,
    /// Over which time figures are told, at most 1h
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = units::duration)]
    window: Duration,
    #[command(flatten)]
    ask: AskFlag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shape {
    Text,
    Dot,
    Json,
}

pub async fn run(args: GraphArgs) -> Outcome {
    let graph = ask(&args.ask.client().await?, args.window).await?;
    match args.output {
        Shape::Text => print!("{}", text(&graph, table::cut())),
        Shape::Dot => print!("{}", dot(&graph)),
        Shape::Json => {
            let text = serde_json::to_string_pretty(&graph).map_err(|error| Failure::problem("cannot write JSON").why(error))?;
            println!("{text}");
        }
    }
    Ok(())
}

/// The graph over the last seconds.
pub async fn ask(client: &Client, window: Duration) -> Outcome<Graph> {
    client.get(&format!("{}?seconds={}", path::GRAPH, window.as_secs().max(1))).await
}

/// What a node is called where its kind must be seen.
pub fn called(node: &Node) -> String {
    match node.kind {
        NodeKind::Gateway => format!("{} (gateway)", node.name),
        NodeKind::Outside if node.name != "strangers" => format!("{} (outside)", node.name),
        NodeKind::Service | NodeKind::Client | NodeKind::Outside => node.name.clone(),
    }
}

pub fn success(figures: &Figures) -> String {
    match figures.requests {
        0 => "–".into(),
        // Rounding must not call a hundred what is not.
        _ if figures.failures == 0 => "100 %".into(),
        _ => format!("{:.2} %", (figures.success_rate * 100.0).min(99.99)),
    }
}

/// As [`success`], of everything that was sent: what callers would have seen if nothing had been tried again.
pub fn actual(figures: &Figures) -> String {
    // An older control plane does not tell.
    if figures.requests > 0 && figures.attempts == 0 {
        return "–".into();
    }
    let failures = figures.failures + figures.retries;
    success(&Figures { requests: figures.attempts, failures, success_rate: figures.actual_success_rate, ..Figures::default() })
}

pub fn millis(value: Option<f64>) -> String {
    value.map_or("–".into(), |ms| units::short(Duration::from_secs_f64(ms.max(0.0) / 1e3)))
}

fn secured(security: Option<Security>, mixed: bool) -> &'static str {
    match (security, mixed) {
        (_, true) => "mixed",
        (None, _) => "–",
        (Some(Security::Plain), _) => "plain",
        (Some(Security::Tls), _) => "TLS",
        (Some(Security::Mtls), _) => "mTLS",
    }
}

fn name(graph: &Graph, id: &str) -> String {
    graph.nodes.iter().find(|node| node.id == id).map_or_else(|| id.to_owned(), called)
}

fn text(graph: &Graph, width: usize) -> String {
    if graph.edges.is_empty() {
        return "nobody has called anybody yet\n".into();
    }
    let head = ["FROM", "TO", "REQ/S", "SUCCESS", "P50", "P95", "P99", "SECURITY", "PROTOCOL"];
    let rows: Vec<Vec<String>> = graph
        .edges
        .iter()
        .map(|edge| {
            vec![
                name(graph, &edge.source),
                name(graph, &edge.destination),
                format!("{:.1}", edge.figures.requests_per_second),
                success(&edge.figures),
                millis(edge.figures.p50_millis),
                millis(edge.figures.p95_millis),
                millis(edge.figures.p99_millis),
                secured(edge.security, edge.mixed).into(),
                if edge.protocol == "tcp" { format!("tcp, {} open", edge.open) } else { edge.protocol.clone() },
            ]
        })
        .collect();
    table::columns(&head, &rows, width)
}

/// A name as DOT writes it: whatever stands in it, it stays within its quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
}

fn dot(graph: &Graph) -> String {
    let mut out = String::from(
        "digraph mesh {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n",
    );
    for node in &graph.nodes {
        let shape = match node.kind {
            NodeKind::Gateway => ", shape=house",
            NodeKind::Outside => ", style=dashed",
            NodeKind::Service | NodeKind::Client => "",
        };
        // Writing to a string does not fail.
        let _ = writeln!(out, "  {} [label={}{shape}];", quoted(&node.id), quoted(&called(node)));
    }
    for edge in &graph.edges {
        let label =
            format!("{:.1}/s, {}, {}", edge.figures.requests_per_second, success(&edge.figures), secured(edge.security, edge.mixed));
        let colour = if edge.figures.failures > 0 { ", color=red" } else { "" };
        let _ = writeln!(out, "  {} -> {} [label={}{colour}];", quoted(&edge.source), quoted(&edge.destination), quoted(&label));
    }
    out.push_str("}\n");
    out
}

#[cfg(test)]
pub mod tests;
