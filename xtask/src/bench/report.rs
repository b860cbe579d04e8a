//! Medians of rounds, as a table for people and as JSON.

use super::Round;
use super::idle::Idle;
use std::collections::BTreeMap;

/// A case, and its rounds by proxy.
pub type Result = (&'static str, BTreeMap<String, Vec<Round>>);

/// Whom the others are compared with.
const REFERENCE: &str = "haproxy";

fn median(rounds: &[Round], read: impl Fn(&Round) -> f64) -> f64 {
    let mut all: Vec<f64> = rounds.iter().map(read).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

/// The ratio within each round, so that a machine whose speed drifts does not matter; then the median of those.
fn ratio(rounds: &[Round], reference: &[Round], read: impl Fn(&Round) -> f64) -> f64 {
    let mut all: Vec<f64> = rounds.iter().zip(reference).map(|(one, other)| read(one) / read(other)).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

pub fn table((case, by_proxy): &Result) -> String {
    let mut out =
        format!("{case:<15} CPU µs  × {REFERENCE}   user  machine µs  requests/s    p50 µs    p99 µs  p99.9 µs   idle MB   load MB\n");
    let reference = by_proxy.get(REFERENCE);
    for (proxy, rounds) in by_proxy {
        let m = |read: fn(&Round) -> f64| median(rounds, read);
        out.push_str(&format!(
            "  {proxy:<13} {:>6.1} {:>10.2} {:>6.2} {:>11.1} {:>11.0} {:>9.0} {:>9.0} {:>9.0} {:>9.1} {:>9.1}\n",
            m(|r| r.cpu_us),
            reference.map_or(f64::NAN, |reference| ratio(rounds, reference, |r| r.cpu_us)),
            m(|r| r.user_share),
            m(|r| r.machine_us),
            m(|r| r.shot.rate),
            m(|r| r.shot.p50_us),
            m(|r| r.shot.p99_us),
            m(|r| r.shot.p999_us),
            m(|r| r.idle_kb) / 1024.0,
            m(|r| r.loaded_kb) / 1024.0,
        ));
    }
    let corrected = |rounds: &Vec<Round>| rounds.first().is_some_and(|round| round.shot.p99_corrected_us.is_some());
    if by_proxy.values().any(corrected) {
        out.push_str("  p99 with pauses counted as wrk counts them, µs:");
        for (proxy, rounds) in by_proxy {
            out.push_str(&format!(" {proxy} {:.0}", median(rounds, |r| r.shot.p99_corrected_us.unwrap_or(0.0))));
        }
        out.push('\n');
    }
    out
}

pub fn idle(waiting: &[Idle]) -> String {
    let mut out = "waiting   proxy             number   idle MB   none MB    all MB  KB each\n".to_owned();
    for one in waiting {
        let (case, proxy, number, each) = (one.case, &one.proxy, one.number, one.kb_each());
        let [idle, none, all] = [one.idle_mb, one.none_mb, one.all_mb];
        out.push_str(&format!("{case:<9} {proxy:<16} {number:>7} {idle:>9.1} {none:>9.1} {all:>9.1} {each:>8.2}\n"));
    }
    out
}

pub fn json(results: &[Result], waiting: &[Idle]) -> String {
    let row = |case: &str, proxy: &str, rounds: &[Round], reference: Option<&Vec<Round>>| {
        let m = |read: fn(&Round) -> f64| median(rounds, read);
        serde_json::json!({
            "case": case, "proxy": proxy, "rounds": rounds.len(), "cpu_us_per_request": m(|r| r.cpu_us),
            "ratio": reference.map(|reference| ratio(rounds, reference, |r| r.cpu_us)), "user_share": m(|r| r.user_share),
            "machine_us_per_request": m(|r| r.machine_us), "requests_per_second": m(|r| r.shot.rate), "p50_us": m(|r| r.shot.p50_us),
            "p99_us": m(|r| r.shot.p99_us),
            "p99_ratio": reference.map(|reference| ratio(rounds, reference, |r| r.shot.p99_us)),
            "p99_corrected_us": rounds.iter().map(|r| r.shot.p99_corrected_us).collect::<Option<Vec<f64>>>().map(|_| m(|r| r.shot.p99_corrected_us.unwrap_or(0.0))),
            "p999_us": m(|r| r.shot.p999_us), "idle_mb": m(|r| r.idle_kb) / 1024.0,
            "loaded_mb": m(|r| r.loaded_kb) / 1024.0,
        })
    };
    let rows = results.iter().flat_map(|(case, by_proxy)| {
        by_proxy.iter().map(move |(proxy, rounds)| row(case, proxy, rounds, by_proxy.get(REFERENCE).filter(|_| proxy != REFERENCE)))
    });
    let idle = waiting.iter().map(|one| {
        serde_json::json!({
            "case": one.case, "proxy": one.proxy, "number": one.number, "idle_mb": one.idle_mb, "none_mb": one.none_mb, "loaded_mb": one.all_mb, "kb_each": one.kb_each(),
        })
    });
    format!("{:#}\n", serde_json::json!({ "results": rows.chain(idle).collect::<Vec<_>>() }))
}
