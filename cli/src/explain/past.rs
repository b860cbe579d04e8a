//! `organza explain --request ID`: what became of a request that was sent, as each proxy on its way recorded it: decided by which object and rule, answered by
//! whom, or why not. Lines of the access log in, words out.

use crate::answer;
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use model::url::escaped;
use serde_json::Value;
use std::fmt::Write;
use wire::api::{FlowList, path};

pub async fn tell(client: &Client, id: &str, output: Output) -> Outcome {
    let told: FlowList = client.get(&path::request(&escaped(id))).await?;
    match output {
        Output::Text => print!("{}", text(&told.items)),
        Output::Json => {
            let json = serde_json::to_string_pretty(&told.items);
            println!("{}", json.map_err(|e| Failure::problem("cannot write JSON").why(e))?);
        }
    }
    Ok(())
}

/// Nothing that a stranger sent steers the terminal.
fn word(line: &Value, name: &str) -> Option<String> {
    let text = match &line[name] {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect())
}

fn text(lines: &[Value]) -> String {
    let mut out = String::new();
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        hop(line, &mut out);
    }
    out
}

fn hop(line: &Value, out: &mut String) {
    let get = |name: &str| word(line, name);
    let or = |name: &str, else_: &str| get(name).unwrap_or_else(|| else_.to_owned());
    let what = match get("method") {
        Some(method) => format!("{method} {}{}", or("authority", ""), or("path", "")),
        None => or("protocol", "bytes").to_uppercase(),
    };
    let _ = writeln!(out, "{} at {} ({}, {})", what, or("proxy", "a proxy"), or("reporter", "source"), or("security", "none"));
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(out, "  {name:<10} {value}");
        }
    };
    let called = get("destination_service").or_else(|| get("destination_workload"));
    say(
        "from",
        answer::stranger(line)
            .or_else(|| get("source_principal").filter(|text| text.starts_with("spiffe://")).or_else(|| get("source_workload"))),
    );
    let whose = |by| get("token_subject").map_or_else(|| format!("issued by {by}"), |subject| format!("{subject}, issued by {by}"));
    say("token", get("token_issuer").map(whose));
    say("to", called);
    say("listener", get("listener"));
    let rule = get("rule").map(|rule| format!(", {rule}, match {}", or("match_index", "0")));
    say("decided by", get("route").map(|route| format!("{route}{}", rule.unwrap_or_default())));
    let filters = line["filters"].as_array().filter(|filters| !filters.is_empty());
    say("filters", filters.map(|all| all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")));
    say("backend", get("backend").map(|backend| format!("{backend}{}", get("endpoint").map(|at| format!(" at {at}")).unwrap_or_default())));
    let attempts = line["attempt"].as_u64().filter(|attempt| *attempt > 1);
    say("tries", attempts.map(|attempt| format!("{attempt}, the last was answered")));
    say("answer", answer::of(line).map(|answer| format!("{answer} after {} ms", or("duration_ms", "?"))));
    say("why", why(line));
    say("dry run", get("dry_run"));
    say("trace", get("trace_id"));
    say("generation", get("generation"));
}

/// Each thing once: a reason may name its fault, its object and the rule itself.
fn why(line: &Value) -> Option<String> {
    let mut all = word(line, "reason").unwrap_or_default();
    let says = |all: &str, what: &str| all.contains(what);
    if let Some(fault) = word(line, "fault").filter(|fault| !all.starts_with(fault.as_str())) {
        all = if all.is_empty() { fault } else { format!("{fault}: {all}") };
    }
    if all.is_empty() {
        return None;
    }
    let by = word(line, "verdict_by").filter(|by| !says(&all, by));
    let rule = word(line, "verdict_rule").filter(|rule| !says(&all, &format!("rule {rule}")));
    by.iter().for_each(|by| all.push_str(&format!(", by {by}")));
    rule.iter().for_each(|rule| all.push_str(&format!(", rule {rule}")));
    Some(all)
}

#[cfg(test)]
mod tests;
