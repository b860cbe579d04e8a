//! `organza trace`: the last traces of the mesh as a list, and one of them as a waterfall, made of what proxies told the control plane. Pure but for
//! one question: a trace in, text out.

use crate::answer;
use crate::ask_flag::AskFlag;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::table::{self, Tone, paint};
use crate::units;
use clap::Args;
use model::url::escaped;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wire::api::{Span, SpanKind, Trace, TraceList, path};

const EXAMPLES: &str = "\
Examples:
  organza trace
  organza trace --failed --service catalog
  organza trace --slower 250ms
  organza trace 4bf92f3577b34da6a3ce929d0e0e4736
  organza trace 4bf92f3577b34da6a3ce929d0e0e4736 -o json | jq '.spans[] | {workload, duration_millis}'

Kept are the last ten minutes of what was sampled, failed, or took a second or more. The identifier of a
trace is in the access log (trace_id) and in the header traceparent.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TraceArgs {
    /// The trace to show; without it the last ones are listed
    id: Option<String>,
    /// Only those in which this workload or service took part: NAME or NAMESPACE/NAME
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    service: Option<String>,
    /// Only those in which something failed
    #[arg(long, conflicts_with = "id")]
    failed: bool,
    /// Only those that took so long or longer
    #[arg(long, value_name = "DURATION", value_parser = units::duration, conflicts_with = "id")]
    slower: Option<Duration>,
    /// For people, or as the API tells it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    ask: AskFlag,
}

pub async fn run(args: TraceArgs) -> Outcome {
    let client = args.ask.client().await?;
    let json = |value: serde_json::Result<String>| value.map_err(|error| Failure::problem("cannot write JSON").why(error));
    match &args.id {
        Some(id) => {
            let trace: Trace = client.get(&path::trace(&escaped(&id.to_ascii_lowercase()))).await?;
            match args.output {
                Output::Text => print!("{}", waterfall(&trace, table::cut())),
                Output::Json => println!("{}", json(serde_json::to_string_pretty(&trace))?),
            }
        }
        None => {
            let list: TraceList = client.get(&asked(&args)).await?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            match args.output {
                Output::Text => print!("{}", listed(&list, now, table::cut())),
                Output::Json => println!("{}", json(serde_json::to_string_pretty(&list))?),
            }
        }
    }
    Ok(())
}

fn asked(args: &TraceArgs) -> String {
    let mut parts = Vec::new();
    parts.extend(args.service.as_ref().map(|name| format!("service={}", escaped(name))));
    parts.extend(args.failed.then(|| "failed=true".to_owned()));
    parts.extend(args.slower.map(|slower| format!("slower={}", slower.as_millis())));
    if parts.is_empty() { path::TRACES.to_owned() } else { format!("{}?{}", path::TRACES, parts.join("&")) }
}

fn listed(list: &TraceList, now: Duration, width: usize) -> String {
    if list.items.is_empty() {
        return "no trace is remembered: nothing was called in the last minutes, or nothing of it was sampled\n".into();
    }
    let rows: Vec<Vec<String>> = list
        .items
        .iter()
        .map(|trace| {
            let ago = now.saturating_sub(span_of(trace.started_millis));
            vec![
                trace.trace_id.clone(),
                format!("{} s ago", ago.as_secs()),
                units::short(span_of(trace.duration_millis)),
                trace.spans.to_string(),
                trace.failed.to_string(),
                format!("{} {}", trace.service, trace.name),
            ]
        })
        .collect();
    table::columns(&["TRACE", "BEGAN", "TOOK", "SPANS", "FAILED", "WHAT"], &rows, width)
}

/// Nonsense is no time.
fn span_of(millis: f64) -> Duration {
    Duration::try_from_secs_f64(millis / 1e3).unwrap_or_default()
}

/// One line a span: who, what, when as a bar, how long; below it why, where it failed.
fn waterfall(trace: &Trace, width: usize) -> String {
    let names: Vec<String> = trace.spans.iter().map(called).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(width / 2);
    let bar = width.saturating_sub(longest + 18).clamp(10, 60);
    let mut out = format!("trace {}, {} in all\n", trace.trace_id, units::short(span_of(trace.duration_millis)));
    for (span, name) in trace.spans.iter().zip(&names) {
        let tone = if span.failed { Tone::Bad } else { Tone::Good };
        let took = units::short(span_of(span.duration_millis));
        // Writing to a string does not fail.
        let _ = writeln!(out, "{}  {} {took:>8}  {}", fitted(name, longest), paint(tone, &drawn(span, trace, bar)), status(span));
        if let Some(why) = why(span) {
            let _ = writeln!(out, "{:1$}{why}", "", usize::try_from(span.depth).unwrap_or(0).min(20) * 2 + 4);
        }
    }
    if trace.left_out > 0 {
        let _ = writeln!(out, "{} more spans found no room", trace.left_out);
    }
    out
}

/// `  web-v1 → catalog  GET /items` for a call, `  catalog-v1  GET /items` for who is called.
fn called(span: &Span) -> String {
    let indent = " ".repeat(usize::try_from(span.depth).unwrap_or(0).min(20) * 2);
    match (span.kind, span.service.as_str()) {
        (SpanKind::Client, service) if !service.is_empty() => format!("{indent}{} → {service}  {}", span.workload, span.name),
        _ => format!("{indent}{}  {}", span.workload, span.name),
    }
}

fn fitted(text: &str, width: usize) -> String {
    match text.chars().count() {
        length if length > width => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        length => format!("{text}{}", " ".repeat(width - length)),
    }
}

/// At least one mark, wherever it is.
fn drawn(span: &Span, trace: &Trace, width: usize) -> String {
    let whole = trace.duration_millis.max(0.001);
    let cell = |millis: f64| ((millis / whole).clamp(0.0, 1.0) * width as f64).round() as usize;
    let begin = cell(span.start_millis).min(width - 1);
    let end = cell(span.start_millis + span.duration_millis).clamp(begin + 1, width);
    format!("{}{}{}", "·".repeat(begin), "█".repeat(end - begin), "·".repeat(width - end))
}

fn status(span: &Span) -> String {
    answer::of(&span.record).unwrap_or_else(|| if span.status == 0 { "–".into() } else { span.status.to_string() })
}

fn why(span: &Span) -> Option<String> {
    let word = |name: &str| span.record.get(name).and_then(|value| value.as_str()).filter(|text| !text.is_empty());
    let told: Vec<&str> = [word("fault"), word("reason")].into_iter().flatten().collect();
    let by = word("verdict_by").map(|by| format!(" (by {by})")).unwrap_or_default();
    (span.failed && !told.is_empty()).then(|| format!("{}{by}", told.join(": ")))
}

#[cfg(test)]
mod tests;
