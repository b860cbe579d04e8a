//! `organza top`: the busiest services of the mesh, drawn anew each second; without a terminal one table and no more. Pure but for its questions to
//! the control plane.

use crate::ask_flag::AskFlag;
use crate::failure::Outcome;
use crate::graph::{self, called, millis, success};
use crate::lifeline::Lifeline;
use crate::namespace_flag::NamespaceFlag;
use crate::output::Output;
use crate::{limits, table, units};
use clap::{Args, ValueEnum};
use std::collections::HashSet;
use std::io::Write;
use std::time::Duration;
use wire::api::{Figures, Graph, Node, NodeKind};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  organza top\n  organza top --sort p99 --window 1m\n  organza top -n shop\n  organza top -o json | jq .nodes[].figures"
)]
pub struct TopArgs {
    /// What comes first
    #[arg(long, value_enum, default_value_t = Order::Rate)]
    sort: Order,
    /// Over which time figures are told, at most 1h
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = units::duration)]
    window: Duration,
    #[command(flatten)]
    namespace: NamespaceFlag,
    /// One table, and end
    #[arg(long)]
    once: bool,
    /// For people, or one graph of the API a line
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    ask: AskFlag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    Rate,
    Failures,
    P99,
    Name,
}

pub async fn run(args: TopArgs) -> Outcome {
    let client = args.ask.client().await?;
    let mut lifeline = Lifeline::new(false).map_err(|error| crate::failure::Failure::problem("cannot listen to signals").why(error))?;
    let live = table::is_terminal() && args.output == Output::Text;
    let mut drawn = 0;
    loop {
        let graph = of(graph::ask(&client, args.window).await?, &args.namespace);
        match args.output {
            Output::Json => println!("{}", serde_json::to_string(&graph).unwrap_or_default()),
            Output::Text => {
                let text = picture(&graph, args.sort, table::cut());
                let back = if drawn > 0 { format!("\x1b[{drawn}A\r\x1b[J") } else { String::new() };
                drawn = text.lines().count();
                let mut out = std::io::stdout().lock();
                // A terminal that is gone ends us by SIGHUP.
                let _ = write!(out, "{back}{text}").and_then(|()| out.flush());
            }
        }
        if args.once || !live && args.output == Output::Text {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = lifeline.ended() => return Ok(()),
            () = tokio::time::sleep(limits::TOP_EVERY) => {}
        }
    }
}

/// Nodes of these namespaces, and calls that begin or end there.
fn of(mut graph: Graph, namespace: &NamespaceFlag) -> Graph {
    graph.nodes.retain(|node| namespace.shows(&[&node.namespace]));
    let shown: HashSet<&str> = graph.nodes.iter().map(|node| &*node.id).collect();
    graph.edges.retain(|edge| shown.contains(&*edge.source) || shown.contains(&*edge.destination));
    graph
}

fn picture(graph: &Graph, order: Order, width: usize) -> String {
    let head = ["NAME", "REQ/S", "SUCCESS", "ACTUAL", "DENIED", "RETRIES", "P50", "P95", "P99", "HEALTHY", "MARKS"];
    let mut nodes: Vec<&Node> = graph.nodes.iter().filter(|node| node.kind != NodeKind::Outside).collect();
    let p99 = |node: &Node| node.figures.p99_millis.unwrap_or(0.0);
    nodes.sort_by(|a, b| {
        let first = match order {
            Order::Rate => b.figures.requests_per_second.total_cmp(&a.figures.requests_per_second),
            Order::Failures => b.figures.failures.cmp(&a.figures.failures),
            Order::P99 => p99(b).total_cmp(&p99(a)),
            Order::Name => std::cmp::Ordering::Equal,
        };
        first.then_with(|| (&a.name, &a.id).cmp(&(&b.name, &b.id)))
    });
    let mut rows = Vec::new();
    for node in nodes {
        let (endpoints, healthy) = node.versions.iter().fold((0, 0), |sum, one| (sum.0 + one.endpoints, sum.1 + one.healthy));
        rows.push(row(called(node), &node.figures, endpoints, healthy, node.marks.join(",")));
        if node.versions.len() > 1 {
            for one in &node.versions {
                let weight = one.weight_percent.map_or(String::new(), |percent| format!(" {percent:.0} %"));
                rows.push(row(format!("  {}{weight}", one.version), &one.figures, one.endpoints, one.healthy, String::new()));
            }
        }
    }
    let failing = graph.nodes.iter().filter(|node| node.kind != NodeKind::Outside && node.figures.failures > 0).count();
    let state = if failing == 0 { "all succeed".into() } else { format!("{failing} with failures") };
    format!("generation {} · last {} s · {state}\n{}", graph.generation, graph.window_seconds, table::columns(&head, &rows, width))
}

fn row(name: String, figures: &Figures, endpoints: u32, healthy: u32, marks: String) -> Vec<String> {
    vec![
        name,
        format!("{:.1}", figures.requests_per_second),
        success(figures),
        graph::actual(figures),
        figures.denied.to_string(),
        figures.retries.to_string(),
        millis(figures.p50_millis),
        millis(figures.p95_millis),
        millis(figures.p99_millis),
        if endpoints == 0 { "–".into() } else { format!("{healthy}/{endpoints}") },
        marks,
    ]
}

#[cfg(test)]
mod tests;
