use super::*;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

const NOW: u64 = 1_790_000_000;

/// A Prometheus that answers this, and what it was asked.
async fn answering(
    status: StatusCode,
    answer: impl Fn(&str) -> Value + Clone + Send + Sync + 'static,
) -> (Prometheus, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    let ask = move |Query(query): Query<HashMap<String, String>>| {
        let question = query["query"].clone();
        heard.lock().unwrap().push(question.clone());
        async move { (status, Json(answer(&question))) }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/base/api/v1/query_range", get(ask));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (at(address), asked)
}

fn at(address: SocketAddr) -> Prometheus {
    Prometheus::new(BaseUrl::parse(&format!("http://{address}/base")).unwrap()).unwrap()
}

fn series(value: &str) -> Value {
    json!({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1_789_999_920, value], [1_789_999_980.0, "NaN"]]}]}})
}

#[tokio::test]
async fn a_nodes_history_is_asked_by_its_labels_and_read_as_figures() {
    let answer = |question: &str| match question {
        q if q.contains("response_flags") => series("0.5"),
        q if q.contains("0.99") => series("NaN"),
        q if q.contains("quantile") => series("4"),
        _ => series("10"),
    };
    let (prometheus, asked) = answering(StatusCode::OK, answer).await;
    let told = prometheus.history("service/shop/catalog", 6, NOW).await.unwrap();
    assert_eq!(told.slot_seconds, 60);
    let point = &told.points[0];
    assert_eq!((told.points.len(), point.time, point.requests_per_second, point.failures_per_second), (1, 1_789_999_920, 10.0, 0.5));
    assert_eq!((point.p50_millis, point.p95_millis, point.p99_millis), (Some(4.0), Some(4.0), None));
    let asked = asked.lock().unwrap();
    let labels = "reporter=\"source\",destination_service_name=\"catalog\",destination_service_namespace=\"shop\"";
    assert!(asked.len() == 5 && asked.iter().all(|question| question.contains(labels) && question.contains(" or ")), "{asked:?}");
}

#[test]
fn nodes_are_asked_for_as_they_are_labelled_and_names_cannot_leave_their_quotes() {
    let labels = |id: &str| Of::node(id).map(|of| of.labels);
    assert_eq!(labels("gateway/shop/edge").as_deref(), Some("source_workload=\"gateway-edge\",source_workload_namespace=\"shop\""));
    assert_eq!(labels("client/shop/cron").as_deref(), Some("source_workload=\"cron\",source_workload_namespace=\"shop\""));
    assert_eq!(labels("outside//api.example").as_deref(), Some("destination_service_name=\"api.example\""));
    assert_eq!(
        labels("client/a/b\"} or vector(1) # \\").as_deref(),
        Some("source_workload=\"b\\\"} or vector(1) # \\\\\",source_workload_namespace=\"a\"")
    );
    for id in ["", "service", "service/shop", "service/shop/", "outside//strangers", "node/a/b"] {
        assert_eq!(labels(id), None, "{id}");
    }
    assert_eq!((step(1), step(24), step(720)), (30, 240, 7200));
}

#[tokio::test]
async fn no_more_than_a_month_is_asked_for_and_each_point_tells_of_two_scrapes_at_least() {
    let (prometheus, asked) = answering(StatusCode::OK, |_| series("1")).await;
    prometheus.history("service/shop/catalog", 1, NOW).await.unwrap();
    let window = format!("[{}s]", limits::LONG_WINDOW);
    assert!(asked.lock().unwrap().iter().all(|question| question.contains(&window)), "{asked:?}");
    let told = prometheus.history("service/shop/catalog", limits::LONG_HOURS * 10, NOW).await.unwrap();
    assert_eq!(told.slot_seconds, step(limits::LONG_HOURS));
}

#[tokio::test]
async fn what_prometheus_refuses_and_what_is_none_is_said() {
    let refusal = json!({"status": "error", "errorType": "bad_data", "error": "too many points"});
    let why = |told: Result<LongHistory, Trouble>| told.unwrap_err().to_string();
    let (refusing, _) = answering(StatusCode::BAD_REQUEST, move |_| refusal.clone()).await;
    assert!(why(refusing.history("service/a/b", 1, NOW).await).ends_with("refuses: too many points"));
    let wordy = json!({"status": "error", "error": "\u{e9}".repeat(limits::PROMETHEUS_WORDS + 1)});
    let (wordy, _) = answering(StatusCode::BAD_REQUEST, move |_| wordy.clone()).await;
    let cut = format!("refuses: {}", "\u{e9}".repeat(limits::PROMETHEUS_WORDS));
    assert!(why(wordy.history("service/a/b", 1, NOW).await).ends_with(&cut), "no more of its words");
    let (other, _) = answering(StatusCode::OK, |_| json!("hello")).await;
    assert!(why(other.history("service/a/b", 1, NOW).await).ends_with("does not answer as Prometheus does"));
    let (broken, _) = answering(StatusCode::INTERNAL_SERVER_ERROR, |_| json!({})).await;
    assert!(why(broken.history("service/a/b", 1, NOW).await).contains("answers 500"));
    assert_eq!(other.history("a", 1, NOW).await, Err(Trouble::Node("a".into())));
    let gone = at(SocketAddr::from(([127, 0, 0, 1], 1)));
    assert!(why(gone.history("service/a/b", 1, NOW).await).contains("is not reached"));
}

#[tokio::test]
async fn of_an_answer_so_many_bytes_are_read_and_no_more() {
    // The question itself, without the time that it may take: a busy machine is slow to carry megabytes.
    for (more, why) in [(0, "does not answer as Prometheus does"), (1, "answers more than 4194304 bytes")] {
        let spaces = bytes::Bytes::from(vec![b' '; limits::PROMETHEUS_BYTES + more]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/base/api/v1/query_range", get(move || async { spaces }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let told = at(address).series("up", 0, 60, 60).await.unwrap_err();
        assert!(told.starts_with(why), "{more}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_given_up_and_asked_by_few_at_once() {
    // It takes connections, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let prometheus = Arc::new(at(listener.local_addr().unwrap()));
    let ask = || {
        let prometheus = prometheus.clone();
        async move { prometheus.history("service/a/b", 1, NOW).await.unwrap_err().to_string() }
    };
    let told = futures_util::future::join_all((0..limits::PROMETHEUS_ASKED + 2).map(|_| ask())).await;
    assert_eq!(told.iter().filter(|why| why.ends_with("gave no answer within 5 s")).count(), limits::PROMETHEUS_ASKED, "{told:?}");
    assert_eq!(told.iter().filter(|why| why.contains("as many as may")).count(), 2, "{told:?}");
    assert!(ask().await.ends_with("gave no answer within 5 s"), "there is room again");
}

/// A question of sums alone as Prometheus answers it, where this is known by labels; `None` is a vector without anything in it.
fn either(rest: &mut &str, known: &dyn Fn(&str) -> Option<f64>) -> Option<f64> {
    let mut value = difference(rest, known);
    while let Some(after) = rest.strip_prefix(" or ") {
        *rest = after;
        let other = difference(rest, known);
        value = value.or(other);
    }
    value
}

fn difference(rest: &mut &str, known: &dyn Fn(&str) -> Option<f64>) -> Option<f64> {
    let mut value = product(rest, known);
    while let Some(after) = rest.strip_prefix(" - ") {
        *rest = after;
        let other = product(rest, known);
        value = value.zip(other).map(|(all, less)| all - less);
    }
    value
}

fn product(rest: &mut &str, known: &dyn Fn(&str) -> Option<f64>) -> Option<f64> {
    let value = if let Some(after) = rest.strip_prefix('(') {
        *rest = after;
        let value = either(rest, known);
        *rest = rest.strip_prefix(')').unwrap();
        value
    } else {
        let (labels, after) = rest.strip_prefix("sum(rate(istio_requests_total{").unwrap().split_once("}[").unwrap();
        *rest = after.split_once("]))").unwrap().1;
        known(labels)
    };
    let Some(after) = rest.strip_prefix(" * 0") else { return value };
    *rest = after;
    value.map(|value| value * 0.0)
}

#[tokio::test]
async fn what_callers_saw_fail_is_not_outweighed_by_what_the_called_side_saw_succeed() {
    // By the reporter: all, and what succeeded of it; nothing is told of what never was.
    for (source, destination, requests, failures) in [
        ((Some(10.0), None), (Some(10.0), Some(10.0)), 10.0, 10.0),
        ((Some(10.0), Some(7.0)), (Some(12.0), Some(12.0)), 10.0, 3.0),
        ((None, None), (Some(4.0), Some(3.0)), 4.0, 1.0),
        ((None, None), (Some(4.0), None), 4.0, 4.0),
    ] {
        let answer = move |question: &str| {
            if question.contains("quantile") {
                return series("4");
            }
            let known = |labels: &str| {
                let (all, good) = if labels.contains("reporter=\"source\"") { source } else { destination };
                if labels.contains("response_flags") { good } else { all }
            };
            let mut rest = question;
            let value: Option<f64> = either(&mut rest, &known);
            assert_eq!(rest, "", "{question}");
            series(&value.map_or_else(|| "NaN".to_owned(), |value| value.to_string()))
        };
        let (prometheus, _) = answering(StatusCode::OK, answer).await;
        let told = prometheus.history("service/shop/catalog", 6, NOW).await.unwrap();
        assert_eq!((told.points[0].requests_per_second, told.points[0].failures_per_second), (requests, failures));
    }
}
