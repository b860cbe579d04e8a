//! From what callers saw to a table: shares of success before, during and after, how much still went to the broken endpoint, how slow it was, and how
//! long it took until nothing failed any more.

use super::callers::Seen;
use super::scenarios::Scenario;
use std::time::{Duration, Instant};

pub struct Row {
    scenario: &'static Scenario,
    proxy: &'static str,
    requests: usize,
    /// Before, during, after.
    success: [f64; 3],
    /// Share of the requests during the fault that the first backend answered; those it left unanswered are not seen.
    share: f64,
    /// All backends' answers during the fault, per second.
    reached: f64,
    p99: Duration,
    p99_refused: Duration,
    /// From the fault to the last failure before it was mended.
    settled: Duration,
}

pub type Phase = (Instant, Instant);

pub fn row(scenario: &'static Scenario, proxy: &'static str, seen: &[Seen], phases: &[Phase; 3], backends: &[u16]) -> Row {
    let [before, during, after] = parts(seen, phases);
    let (begun, ended) = phases[1];
    let answered = during.iter().filter(|one| one.endpoint.is_some()).count();
    let of_first = during.iter().filter(|one| one.endpoint == backends.first().copied()).count();
    Row {
        scenario,
        proxy,
        requests: seen.len(),
        success: [success(&before), success(&during), success(&after)],
        share: of_first as f64 / during.len().max(1) as f64,
        reached: answered as f64 / ended.saturating_duration_since(begun).as_secs_f64().max(0.001),
        p99: p99(during.iter().filter(|one| one.status == 200)),
        p99_refused: p99(during.iter().filter(|one| one.status != 200 && one.endpoint.is_none())),
        settled: during
            .iter()
            .rfind(|one| one.status != 200)
            .map_or(Duration::ZERO, |one| (one.at + one.took).saturating_duration_since(begun)),
    }
}

/// Requests before, during and after. What was under way when it broke was met by the fault.
fn parts<'a>(seen: &'a [Seen], [before, during, after]: &[Phase; 3]) -> [Vec<&'a Seen>; 3] {
    let whole = |one: &&Seen| one.at >= before.0 && one.at + one.took < before.1;
    let met = |one: &&Seen| one.at + one.took >= before.1 && one.at < during.1;
    let later = |one: &&Seen| one.at >= after.0 && one.at < after.1;
    [seen.iter().filter(whole).collect(), seen.iter().filter(met).collect(), seen.iter().filter(later).collect()]
}

fn success(seen: &[&Seen]) -> f64 {
    seen.iter().filter(|one| one.status == 200).count() as f64 / seen.len().max(1) as f64
}

fn p99<'a>(seen: impl Iterator<Item = &'a &'a Seen>) -> Duration {
    let mut all: Vec<Duration> = seen.map(|one| one.took).collect();
    all.sort_unstable();
    all.get((all.len() * 99 / 100).min(all.len().saturating_sub(1))).copied().unwrap_or_default()
}

const HEAD: &str = "scenario     proxy    requests   before   during    after  to broken  answers/s   p99 ms  refused p99 ms  settled s\n";

pub fn line(row: &Row) -> String {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    format!(
        "{:<12} {:<8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>10.0} {:>8} {:>15} {:>10.1}",
        row.scenario.name,
        row.proxy,
        row.requests,
        percent(row.success[0]),
        percent(row.success[1]),
        percent(row.success[2]),
        percent(row.share),
        row.reached,
        row.p99.as_millis(),
        row.p99_refused.as_millis(),
        row.settled.as_secs_f64(),
    )
}

pub fn table(rows: &[Row]) -> String {
    rows.iter().fold(HEAD.to_owned(), |out, row| out + &line(row) + "\n")
}

pub fn json(rows: &[Row]) -> String {
    let results: Vec<_> = rows
        .iter()
        .map(|row| {
            serde_json::json!({
                "scenario": row.scenario.name, "proxy": row.proxy, "requests": row.requests, "success_before": row.success[0],
                "success_during": row.success[1], "success_after": row.success[2], "share_to_broken": row.share,
                "answers_per_second": row.reached, "p99_ms": row.p99.as_secs_f64() * 1e3,
                "p99_refused_ms": row.p99_refused.as_secs_f64() * 1e3, "settled_s": row.settled.as_secs_f64(),
            })
        })
        .collect();
    format!("{:#}\n", serde_json::json!({ "results": results }))
}

/// Organza's rows that are worse than they must be. The peer is shown, not judged.
pub fn broken(rows: &[Row]) -> Vec<String> {
    let told = |row: &Row| {
        let Scenario { during, after, answers, .. } = row.scenario;
        let answers = answers.as_ref().map_or(String::new(), |answers| format!(", answers/s {} to {}", answers.start(), answers.end()));
        format!("worse than it must be (before 1, during {during}, after {after}{answers}): {}", line(row))
    };
    rows.iter().filter(|row| row.proxy == "organza" && is_broken(row)).map(told).collect()
}

fn is_broken(row: &Row) -> bool {
    let ([before, during, after], must) = (row.success, row.scenario);
    let answers = must.answers.as_ref().is_none_or(|answers| answers.contains(&row.reached));
    before < 1.0 || during < must.during || after < must.after || !answers
}

#[cfg(test)]
mod tests;
