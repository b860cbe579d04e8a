//! `organza tap`: requests as they end, anywhere in the mesh, narrowed by who calls whom, route and status. Never header values, queries or bodies:
//! proxies do not record them. Pure but for the stream: a line of JSON in, a line for people out.

use crate::answer;
use crate::ask_flag::AskFlag;
use crate::failure::{Failure, Outcome};
use crate::lifeline::Lifeline;
use crate::namespace_flag::NamespaceFlag;
use crate::output::Output;
use crate::table::{Tone, paint};
use bytes::Bytes;
use clap::Args;
use http_body_util::BodyExt;
use hyper::Method;
use model::url::escaped;
use serde_json::Value;
use wire::api::{StatusMatch, TapQuery, path};

const EXAMPLES: &str = "\
Examples:
  organza tap
  organza tap --from web-v1 --to catalog --status 5xx
  organza tap -n shop --status 5xx
  organza tap --route shop -o json | jq .reason
  organza tap --count 10

A proxy tells at most 100 requests a second; what is over is counted and said.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TapArgs {
    /// Only calls of this workload or app (all its versions): NAME or NAMESPACE/NAME
    #[arg(long, value_name = "NAME")]
    from: Option<String>,
    /// Only calls to this workload or service
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    #[command(flatten)]
    namespace: NamespaceFlag,
    /// Only what this route decided
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Only this status (503) or class of them (5xx)
    #[arg(long)]
    status: Option<StatusMatch>,
    /// End after so many
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// A line for people, or the record as JSON
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    ask: AskFlag,
}

pub async fn run(args: TapArgs) -> Outcome {
    let client = args.ask.client().await?;
    let mut lifeline = Lifeline::new(false).map_err(|error| Failure::problem("cannot listen to signals").why(error))?;
    let query = TapQuery { from: args.from, to: args.to, route: args.route, status: args.status };
    let mut answer = client.open(Method::GET, &asked(&query), Bytes::new()).await?;
    if !answer.status().is_success() {
        let body = answer.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        return Err(match serde_json::from_slice::<wire::api::Refused>(&body) {
            Ok(refused) => Failure { remedy: refused.fix, ..Failure::problem(refused.error) },
            Err(_) => Failure::problem("the control plane opens no tap").remedy("use the same version of organza for both"),
        });
    }
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut buffer = Vec::new();
    while left > 0 {
        let frame = tokio::select! {
            biased;
            () = lifeline.ended() => return Ok(()),
            frame = answer.body_mut().frame() => frame,
        };
        let Some(Ok(frame)) = frame else {
            return Err(Failure::unreachable("the control plane ended the tap").remedy("ask again"));
        };
        buffer.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let Ok(value) = serde_json::from_slice::<Value>(&line) else { continue };
            if !concerns(&value, &args.namespace) {
                continue;
            }
            match args.output {
                Output::Json => println!("{value}"),
                Output::Text => println!("{}", text(&value)),
            }
            if value.get("dropped").is_none() {
                left -= 1;
            }
            if left == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// A request from or to them. What was too much to be told may have been.
fn concerns(flow: &Value, namespace: &NamespaceFlag) -> bool {
    let word = |name: &str| flow.get(name).and_then(Value::as_str).unwrap_or_default();
    let of_service = word("destination_service").split('.').nth(1).unwrap_or_default();
    flow.get("dropped").is_some() || namespace.shows(&[word("source_namespace"), word("destination_namespace"), of_service])
}

fn asked(query: &TapQuery) -> String {
    let status = query.status.map(|status| status.to_string());
    let parts = [("from", &query.from), ("to", &query.to), ("route", &query.route), ("status", &status)];
    let parts: Vec<String> = parts.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", escaped(value.as_ref()?)))).collect();
    if parts.is_empty() { path::TAP.to_owned() } else { format!("{}?{}", path::TAP, parts.join("&")) }
}

/// Who was called, where nobody was.
const NOBODY: &str = "unknown";

/// `web-v1 → catalog  GET catalog/items  200  4.2 ms  mTLS  HTTPRoute shop/catalog split → shop/catalog-v1:80`.
fn text(flow: &Value) -> String {
    if let Some(dropped) = flow.get("dropped") {
        return paint(Tone::Bad, &format!("… {dropped} more were too many to be told"));
    }
    let word = |name: &str| flow.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| flow.get(name).and_then(Value::as_u64);
    let status = answer::of(flow).unwrap_or_else(|| "TCP".into());
    let failed = flow.get("fault").is_some() || number("response_code").is_some_and(|status| status >= 500);
    let called = word("destination_service").split('.').next().unwrap_or_default();
    let called = if called.is_empty() { word("destination_workload") } else { called };
    let took = flow.get("duration_ms").and_then(Value::as_f64).unwrap_or(0.0);
    let security = match word("security") {
        "mutual_tls" => "mTLS",
        "tls" => "TLS",
        _ => "plain",
    };
    // Nobody was called: it is the gateway that refused a stranger.
    let mut line = match answer::stranger(flow).filter(|_| called == NOBODY) {
        Some(stranger) => format!("{stranger} → {}  ", word("source_workload")),
        None => format!("{} → {called}  ", word("source_workload")),
    };
    if !word("method").is_empty() {
        line.push_str(&format!("{} {}{}  ", word("method"), word("authority"), word("path")));
    }
    line.push_str(&paint(if failed { Tone::Bad } else { Tone::Good }, &status));
    line.push_str(&format!("  {took:.1} ms  {security}  by {}", word("proxy")));
    if !word("route").is_empty() {
        line.push_str(&format!("  {} {} → {}", word("route"), word("rule"), word("backend")));
    }
    let why: Vec<&str> = [word("fault"), word("reason")].into_iter().filter(|text| !text.is_empty()).collect();
    if !why.is_empty() {
        line.push_str(&format!("\n    {}", why.join(": ")));
        if !word("verdict_by").is_empty() {
            line.push_str(&format!(" (by {})", word("verdict_by")));
        }
    }
    line
}

#[cfg(test)]
mod tests;
