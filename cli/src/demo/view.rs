//! What the demo shows: a table that is drawn anew each second on a terminal, a line now and then elsewhere, or an object per line. Pure: rows
//! in, text out.

use crate::load::Tally;
use crate::table::{self, Tone, paint};
use crate::units::short;
use serde_json::{Value, json};
use std::time::Duration;

/// One version of one service as its callers saw it.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub service: String,
    pub version: String,
    /// Requests per second, over the last seconds.
    pub rate: f64,
    pub requests: u64,
    pub failures: u64,
    pub retries: u64,
    pub p50: Option<Duration>,
    pub p99: Option<Duration>,
    /// As seen in the handshake: `mTLS`, `TLS`, `plain`.
    pub security: String,
}

/// All that is shown at one moment.
#[derive(Debug)]
pub struct Moment<'a> {
    pub mesh: &'a str,
    pub address: &'a str,
    pub elapsed: Duration,
    pub rows: &'a [Row],
    pub load: &'a Tally,
    pub proxies: (u32, u32),
    pub generation: u64,
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let shown = |value: Option<Duration>| value.map_or("–".into(), short);
        vec![
            self.service.clone(),
            self.version.clone(),
            format!("{:.1}", self.rate),
            success(self.requests, self.failures),
            self.retries.to_string(),
            shown(self.p50),
            shown(self.p99),
            self.security.clone(),
        ]
    }
}

fn success(requests: u64, failures: u64) -> String {
    match requests {
        0 => "–".into(),
        // Rounding must not call a hundred what is not.
        _ if failures == 0 => "100 %".into(),
        _ => format!("{:.2} %", ((requests - failures.min(requests)) as f64 * 100.0 / requests as f64).min(99.99)),
    }
}

pub fn screen(moment: &Moment<'_>, width: usize) -> String {
    let head = ["SERVICE", "VERSION", "REQ/S", "SUCCESS", "RETRIES", "P50", "P99", "SECURITY"];
    let rows: Vec<Vec<String>> = moment.rows.iter().map(|row| row.cells()).collect();
    let title = format!(
        "mesh {} · {} · generation {} · {}/{} proxies",
        moment.mesh, moment.address, moment.generation, moment.proxies.0, moment.proxies.1
    );
    let failed = moment.load.failed();
    let total = format!("{} requests in {} s, {} failed at the first try", moment.load.requests, moment.elapsed.as_secs(), failed);
    let tone = if failed == 0 { Tone::Good } else { Tone::Bad };
    let table: String = table::columns(&head, &rows, width).lines().map(secured).collect();
    let cut = |text: &str| text.chars().take(width).collect::<String>();
    format!("{}\n\n{}\n{}\n", paint(Tone::Strong, &cut(&title)), table, paint(tone, &cut(&total)))
}

/// A line of the table with its last word in colour: a hop in plain text must not be overlooked.
fn secured(line: &str) -> String {
    let toned = [("mTLS", Tone::Good), ("plain", Tone::Bad), ("mixed", Tone::Bad)];
    let found = toned.iter().find_map(|(word, tone)| Some((line.strip_suffix(word)?, paint(*tone, word))));
    found.map_or_else(|| format!("{line}\n"), |(rest, word)| format!("{rest}{word}\n"))
}

/// At most 80 columns, for logs and pipes.
pub fn line(moment: &Moment<'_>) -> String {
    let rate = moment.load.requests as f64 / moment.elapsed.as_secs_f64().max(0.001);
    let quantile = |q| moment.load.latency.quantile(q).map_or("–".into(), short);
    let secured = moment.rows.iter().filter(|row| row.security == "mTLS").count();
    format!(
        "{:>4} s  {rate:.0} req/s  {} ok  p50 {}  p99 {}  mTLS {secured}/{}",
        moment.elapsed.as_secs(),
        success(moment.load.requests, moment.load.failed()),
        quantile(0.5),
        quantile(0.99),
        moment.rows.len(),
    )
}

pub fn object(moment: &Moment<'_>) -> Value {
    let micros = |value: Option<Duration>| value.map(|d| d.as_micros() as u64);
    let rows: Vec<Value> = moment
        .rows
        .iter()
        .map(|row| {
            json!({
                "service": row.service, "version": row.version, "rate": row.rate, "requests": row.requests,
                "failures": row.failures, "retries": row.retries, "security": row.security,
                "p50_us": micros(row.p50), "p99_us": micros(row.p99),
            })
        })
        .collect();
    json!({
        "mesh": moment.mesh, "address": moment.address, "generation": moment.generation,
        "proxies": {"applied": moment.proxies.0, "total": moment.proxies.1},
        "load": moment.load.to_json(moment.elapsed), "services": rows,
    })
}

#[cfg(test)]
mod tests;
