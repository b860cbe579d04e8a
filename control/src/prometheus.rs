//! Long history, read from a Prometheus that somebody else runs (`--prometheus`): a few fixed questions about one node of the graph, asked when somebody looks
//! at it, on a connection of its own. One that is down, slow or tells too much is said to be so within bounds. Nothing that a browser sends becomes part of
//! a question but the names of a node, escaped. It keeps nothing.

mod ask;

use crate::limits;
use ask::Door;
use model::BaseUrl;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use tokio::sync::Semaphore;
use wire::api::{LongHistory, LongPoint};

#[derive(Debug)]
pub struct Prometheus {
    door: Door,
    places: Semaphore,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("nothing is asked about {0:?}")]
    Node(String),
    #[error("{0} is asked by as many as may at once")]
    Busy(String),
    #[error("{0} {1}")]
    Down(String, String),
}

/// Whose calls are asked for, as Istio's labels say it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Of {
    /// Who tells it best, and who tells it where nobody else does.
    reporters: &'static [&'static str],
    labels: String,
}

impl Of {
    /// By the id of a node: `service/shop/catalog`.
    fn node(id: &str) -> Option<Self> {
        let mut parts = id.splitn(3, '/');
        let (kind, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
        if name.is_empty() {
            return None;
        }
        let pair = |labels: [&str; 2], name: &str| {
            let namespace = (!namespace.is_empty()).then(|| format!(",{}={}", labels[1], quoted(namespace)));
            format!("{}={}{}", labels[0], quoted(name), namespace.unwrap_or_default())
        };
        let called = ["destination_service_name", "destination_service_namespace"];
        let calls = ["source_workload", "source_workload_namespace"];
        Some(match kind {
            // Its callers saw what failed on the way; who has none in the mesh tells itself.
            "service" => Self { reporters: &["source", "destination"], labels: pair(called, name) },
            "gateway" => Self { reporters: &["source"], labels: pair(calls, &format!("gateway-{name}")) },
            "client" => Self { reporters: &["source"], labels: pair(calls, name) },
            "outside" if namespace.is_empty() && name == "strangers" => return None,
            "outside" => Self { reporters: &["source"], labels: format!("destination_service_name={}", quoted(name)) },
            _ => return None,
        })
    }

    /// The first of these that anybody tells.
    fn sum(&self, with: impl Fn(&str) -> String) -> String {
        let each = self.reporters.iter().map(|reporter| with(&format!("reporter=\"{reporter}\",{}", self.labels)));
        each.collect::<Vec<_>>().join(" or ")
    }

    /// In this order: requests and failures a second, then the three quantiles.
    fn questions(&self, window: u64) -> [String; 5] {
        let rate = |labels: &str, more: &str| format!("sum(rate(istio_requests_total{{{labels}{more}}}[{window}s]))");
        let requests = self.sum(|labels| rate(labels, ""));
        // Of one reporter both: where its callers saw nothing succeed, what the called side saw succeed is no answer.
        let failures = self.sum(|labels| {
            let (all, good) = (rate(labels, ""), rate(labels, SUCCESS));
            format!("({all} - ({good} or {all} * 0))")
        });
        let quantile = |q: f64| {
            let bucket = "istio_request_duration_milliseconds_bucket";
            self.sum(|labels| format!("histogram_quantile({q}, sum by (le) (rate({bucket}{{{labels}}}[{window}s])))"))
        };
        [requests, failures, quantile(0.5), quantile(0.95), quantile(0.99)]
    }
}

/// As the graph counts it: no fault of ours, no 5xx, no status of gRPC that means failure of the server.
const SUCCESS: &str = ",response_flags=\"-\",response_code!~\"5..\",grpc_response_status!~\"2|4|12|13|14|15\"";

/// A label's value as PromQL writes it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => _ = write!(out, "\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Steps of an answer, in seconds: as many points as a chart shows, and never closer than scrapes are.
fn step(hours: u64) -> u64 {
    (hours * 3600 / limits::LONG_POINTS).max(limits::LONG_STEP)
}

impl Prometheus {
    /// # Errors
    /// If its URL is by https and the machine has no authorities.
    pub fn new(url: BaseUrl) -> Result<Self, identity::Error> {
        Ok(Self { door: Door::new(url)?, places: Semaphore::new(limits::PROMETHEUS_ASKED) })
    }

    /// The last `hours` of a node, until `now` in seconds.
    ///
    /// # Errors
    /// If it is no node that Prometheus knows of, or does not answer.
    pub async fn history(&self, node: &str, hours: u64, now: u64) -> Result<LongHistory, Trouble> {
        let of = Of::node(node).ok_or_else(|| Trouble::Node(node.to_owned()))?;
        let _place = self.places.try_acquire().map_err(|_| Trouble::Busy(self.door.to_string()))?;
        let step = step(hours.clamp(1, limits::LONG_HOURS));
        let until = now - now % step;
        let from = until.saturating_sub(hours.clamp(1, limits::LONG_HOURS) * 3600);
        let window = (2 * step).max(limits::LONG_WINDOW);
        let questions = of.questions(window);
        let asked = futures_util::future::try_join_all(questions.iter().map(|question| self.series(question, from, until, step)));
        let answers = match tokio::time::timeout(limits::PROMETHEUS_TIME, asked).await {
            Ok(answers) => answers.map_err(|why| Trouble::Down(self.door.to_string(), why))?,
            Err(_) => {
                let why = format!("gave no answer within {} s", limits::PROMETHEUS_TIME.as_secs());
                return Err(Trouble::Down(self.door.to_string(), why));
            }
        };
        Ok(LongHistory { time: now, slot_seconds: step, points: points(&answers) })
    }

    async fn series(&self, question: &str, from: u64, until: u64, step: u64) -> Result<BTreeMap<u64, f64>, String> {
        let [start, end, step] = [from, until, step].map(|seconds| seconds.to_string());
        let query = [("query", question), ("start", &start), ("end", &end), ("step", &step)];
        read(&self.door.get("/api/v1/query_range", &query).await?)
    }
}

/// All of a time in one; what is not told is not there.
fn points(answers: &[BTreeMap<u64, f64>]) -> Vec<LongPoint> {
    let at = |answer: usize, time: u64| answers.get(answer).and_then(|values| values.get(&time)).copied();
    let Some(requests) = answers.first() else { return Vec::new() };
    let point = |(time, rate): (&u64, &f64)| LongPoint {
        time: *time,
        requests_per_second: *rate,
        failures_per_second: at(1, *time).unwrap_or(0.0).max(0.0),
        p50_millis: at(2, *time),
        p95_millis: at(3, *time),
        p99_millis: at(4, *time),
    };
    requests.iter().map(point).collect()
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
struct Data {
    #[serde(default)]
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// The values of the only series, by time; those that are no number (`NaN` where nothing was asked) are left out.
fn read(body: &[u8]) -> Result<BTreeMap<u64, f64>, String> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| "does not answer as Prometheus does".to_owned())?;
    if answer.status != "success" {
        return Err(format!("refuses: {}", answer.error.chars().take(limits::PROMETHEUS_WORDS).collect::<String>()));
    }
    let values = answer.data.result.into_iter().flat_map(|series| series.values).take(2 * limits::LONG_POINTS as usize);
    let number = |(time, text): (f64, String)| Some((time as u64, text.parse::<f64>().ok().filter(|value| value.is_finite())?));
    Ok(values.filter_map(number).collect())
}

#[cfg(test)]
mod tests;
