//! Traces across the mesh: each proxy's span below the one that called it, whatever the caller speaks.

use super::resources::{self, HTTP};
use super::{Shop, bounded, key};
use crate::flows::ContextCounts;
use model::telemetry::{
    CollectorProtocol, Exporter, Hidden, Lines, Parents, Pattern, RedactedField, Redaction, SpanValue, SpanWords, SpansTo, TelemetryPolicy,
    TelemetrySettings, TelemetryTarget,
};
use model::{HeaderMatch, Kind, Resource, ServiceRef, Target, ValueMatch};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn told(address: std::net::SocketAddr, headers: &[(&str, &str)]) -> Shot {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Shot { headers, ..Shot::get(address, "catalog", "/headers") }
}

/// How many spans wait to be told the control plane.
fn spans(proxy: &super::Proxy) -> usize {
    proxy.worker.shared.flows.take(Instant::now()).0.iter().filter(|flow| flow.taps.contains(&u64::MAX)).count()
}

#[tokio::test]
async fn a_callers_trace_goes_on_from_proxy_to_proxy() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        let parent = format!("00-{TRACE}-{CALLER}-01");
        let single = format!("{TRACE}-{CALLER}-1");
        let several = [("X-B3-TraceId", TRACE), ("X-B3-SpanId", CALLER), ("X-B3-Sampled", "1")];
        for headers in [&[("traceparent", &*parent)][..], &[("b3", &*single)], &several] {
            let (status, _, body) = fetch(&told(door, headers)).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap().to_lowercase();
            assert!(status.as_u16() == 200 && body.contains(&format!("{}: ", headers[0].0.to_lowercase())), "{body}");
            assert!(body.contains(&format!("traceparent: 00-{TRACE}-")), "{body}");
            let (web, catalog) = (shop.web.record().await, shop.catalog.record().await);
            assert_eq!((&web["trace_id"], &web["parent_span_id"], &web["sampled"]), (&TRACE.into(), &CALLER.into(), &true.into()));
            assert_eq!((&catalog["trace_id"], &catalog["parent_span_id"]), (&TRACE.into(), &web["span_id"]), "{headers:?}");
            assert_eq!((spans(&shop.web), spans(&shop.catalog)), (1, 1));
        }
        // Who was not to be recorded is not.
        let parent = format!("00-{TRACE}-{CALLER}-00");
        fetch(&told(door, &[("traceparent", &parent)])).await.unwrap();
        assert_eq!(shop.catalog.record().await["sampled"], false);
        shop.web.record().await;
        assert_eq!((spans(&shop.web), spans(&shop.catalog)), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_gateway_begins_a_trace_and_makes_two_spans() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        shop.mesh.put(vec![resources::listener(80, None), resources::route(Target::Listener(key(Kind::Listener, "edge.web")), rule)]);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        fetch(&told(door, &[])).await.unwrap();
        let (edge, catalog) = (gateway.record().await, shop.catalog.record().await);
        // The first of a second is recorded.
        assert_eq!((&edge["sampled"], &edge["parent_span_id"]), (&true.into(), &Value::Null));
        assert_eq!(
            (&catalog["trace_id"], &catalog["parent_span_id"], &catalog["sampled"]),
            (&edge["trace_id"], &edge["span_id"], &true.into())
        );
        assert!(edge["server_span_id"].is_string() && edge["server_span_id"] != edge["span_id"]);
        assert!(edge["dialled_ms"].as_f64().unwrap() <= edge["duration_ms"].as_f64().unwrap());
    })
    .await;
}

#[tokio::test]
async fn calls_with_and_without_a_trace_are_told_apart() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        let parent = format!("00-{TRACE}-{CALLER}-01");
        fetch(&told(door, &[])).await.unwrap();
        fetch(&told(door, &[])).await.unwrap();
        fetch(&told(door, &[("traceparent", &parent)])).await.unwrap();
        let counted = |proxy: &super::Proxy| {
            proxy.worker.tell_context();
            proxy.worker.shared.flows.take_context()
        };
        assert_eq!(counted(&shop.web), ContextCounts { served: 0, passed_on: 1, dropped: 2 });
        assert_eq!(counted(&shop.catalog), ContextCounts { served: 3, passed_on: 0, dropped: 0 });
    })
    .await;
}

fn policy(target: TelemetryTarget, says: TelemetrySettings) -> Resource {
    let origin = resources::origin("TelemetryPolicy", "p");
    Resource::Telemetry(Arc::new(TelemetryPolicy { key: key(Kind::Telemetry, "p.0"), origin, target, says }))
}

#[tokio::test]
async fn a_policy_chooses_what_is_recorded_and_what_has_a_line() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        let wanted = HeaderMatch { name: "x-debug".into(), value: ValueMatch::Exact("yes".into()) };
        let says = TelemetrySettings {
            share: Some(0),
            always: Some(vec![wanted]),
            lines: Some(Lines::ErrorsAndSlower(Duration::from_secs(3600))),
            ..TelemetrySettings::default()
        };
        shop.mesh.put(vec![policy(TelemetryTarget::Service(key(Kind::Service, "catalog")), says)]);
        let lines = |shop: &Shop| (shop.web.records().count(), shop.catalog.records().count());
        // Without the policy the first of a second would be recorded, and each has a line.
        fetch(&told(door, &[])).await.unwrap();
        shop.web.counted(1).await;
        shop.catalog.counted(1).await;
        assert_eq!((spans(&shop.web), spans(&shop.catalog), lines(&shop)), (0, 0, (0, 0)));
        fetch(&told(door, &[("x-debug", "yes")])).await.unwrap();
        shop.web.counted(2).await;
        shop.catalog.counted(2).await;
        assert_eq!((spans(&shop.web), spans(&shop.catalog), lines(&shop)), (1, 1, (0, 0)));
        // Whose caller decided is not asked again.
        let parent = format!("00-{TRACE}-{CALLER}-00");
        fetch(&told(door, &[("x-debug", "yes"), ("traceparent", &parent)])).await.unwrap();
        shop.web.counted(3).await;
        shop.catalog.counted(3).await;
        assert_eq!((spans(&shop.web), spans(&shop.catalog)), (0, 0));
        // A failure is told whatever was decided, as a span and as a line.
        let nobody = format!("127.0.0.1:{}", testkit::free_port()).parse().unwrap();
        shop.mesh.put(resources::catalog(&[resources::Place::organza("catalog-2", nobody, 80)]));
        fetch(&told(door, &[])).await.unwrap();
        shop.web.counted(4).await;
        assert_eq!((spans(&shop.web), lines(&shop)), (1, (1, 0)));
    })
    .await;
}

#[tokio::test]
async fn heads_are_recorded_as_far_as_a_policy_names_them_and_made_unreadable_as_it_says() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        let names = |names: &[&str]| Some(names.iter().map(|name| Arc::from(*name)).collect());
        let redaction = |field, pattern: &str| Redaction { field, pattern: Pattern::new(pattern).unwrap(), replacement: "#".into() };
        let says = TelemetrySettings {
            request_headers: names(&["x-tenant", "cookie", "user-agent"]),
            response_headers: names(&["content-length", "set-cookie"]),
            redactions: Some(
                [redaction(RedactedField::Path, "[0-9]+"), redaction(RedactedField::RequestHeader("x-tenant".into()), "-.*")].into(),
            ),
            ..TelemetrySettings::default()
        };
        shop.mesh.put(vec![policy(TelemetryTarget::Mesh, says)]);
        let shot =
            Shot { target: "/headers/4111".into(), ..told(door, &[("X-Tenant", "acme-4711"), ("Cookie", "id=secret"), ("X-Other", "x")]) };
        fetch(&shot).await.unwrap();
        for proxy in [&shop.web, &shop.catalog] {
            let record = proxy.record().await;
            assert_eq!(record["path"], "/headers/#", "{record}");
            assert_eq!(record["request_headers"], serde_json::json!({"x-tenant": "acme#"}), "{record}");
            assert!(record["response_headers"]["content-length"].is_string(), "{record}");
            assert!(!record.to_string().contains("secret") && !record.to_string().contains("4711"), "{record}");
        }
    })
    .await;
}

/// Of so many requests with a parent that was to be recorded, how many were, and what the program was told.
async fn with_parents(says: TelemetrySettings, requests: usize) -> (usize, String) {
    let backend = Backend::http("catalog").await;
    let mut shop = Shop::new(backend.address);
    let door = shop.web.named("catalog", HTTP);
    shop.mesh.put(vec![policy(TelemetryTarget::Mesh, says)]);
    let (mut recorded, mut body) = (0, String::new());
    for n in 0..requests {
        let parent = format!("00-{n:032x}-{CALLER}-01").replace("-00000000000000000000000000000000-", &format!("-{TRACE}-"));
        body = String::from_utf8(fetch(&told(door, &[("traceparent", &parent)])).await.unwrap().2.to_vec()).unwrap();
        recorded += usize::from(shop.web.record().await["sampled"] == true);
        shop.catalog.record().await;
    }
    (recorded, body)
}

#[tokio::test]
async fn what_is_made_of_a_parents_decision_is_the_policys_to_say() {
    bounded(async {
        let says = |parents| TelemetrySettings { share: Some(0), parents, ..TelemetrySettings::default() };
        assert_eq!(with_parents(says(None), 4).await.0, 4);
        assert_eq!(with_parents(says(Some(Parents::Heeded(100_000))), 4).await.0, 4);
        assert_eq!(with_parents(says(Some(Parents::Heeded(0))), 4).await.0, 0);
        assert_eq!(with_parents(says(Some(Parents::Ignored)), 4).await.0, 0);
        let (some, _) = with_parents(says(Some(Parents::Heeded(50_000))), 60).await;
        assert!((10..=50).contains(&some), "about half of 60, which all have small numbers: {some}");
    })
    .await;
}

#[tokio::test]
async fn where_no_spans_are_made_the_head_goes_on_as_it_came_and_failures_make_none() {
    bounded(async {
        let off =
            TelemetrySettings { traced: Some(false), share: Some(0), parents: Some(Parents::Ignored), ..TelemetrySettings::default() };
        let (recorded, body) = with_parents(off.clone(), 1).await;
        assert!(recorded == 0 && body.contains(&format!("00-{TRACE}-{CALLER}-01")), "{body}");
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        shop.mesh.put(vec![policy(TelemetryTarget::Mesh, off)]);
        let body = String::from_utf8(fetch(&told(door, &[])).await.unwrap().2.to_vec()).unwrap().to_lowercase();
        assert!(!body.contains("traceparent"), "{body}");
        let nobody = format!("127.0.0.1:{}", testkit::free_port()).parse().unwrap();
        shop.mesh.put(resources::catalog(&[resources::Place::organza("catalog-2", nobody, 80)]));
        fetch(&told(door, &[])).await.unwrap();
        shop.web.counted(2).await;
        assert_eq!(spans(&shop.web), 0);
    })
    .await;
}

#[tokio::test]
async fn spans_go_to_a_collector_in_the_mesh_by_the_ways_of_the_mesh() {
    bounded(async {
        // The catalog's program stands for a collector: it is reached through its proxy, by mutual TLS.
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        let exporter = Exporter {
            backend: model::Backend::Service(ServiceRef { service: key(Kind::Service, "catalog"), port: HTTP, subset: None }),
            protocol: CollectorProtocol::Http,
            headers: vec![("x-key".into(), Hidden("of-a-tenant".into()))],
            words: SpanWords { attributes: vec![("env".into(), SpanValue::Literal("prod".into()))], ..SpanWords::default() },
        };
        let says =
            TelemetrySettings { share: Some(100_000), spans: Some(SpansTo::Exporter(Arc::new(exporter))), ..TelemetrySettings::default() };
        shop.mesh.put(vec![policy(TelemetryTarget::Mesh, says)]);
        let sending = crate::worker::Worker::new(shop.web.worker.shared.clone(), 9);
        transport::rt::spawn(crate::otlp::run(sending));
        // What ends before anybody asked for spans is not kept for one: so it is called until something came.
        let sent = loop {
            fetch(&told(door, &[])).await.unwrap();
            shop.web.record().await;
            let record = shop.catalog.record().await;
            if record["path"] == "/v1/traces" {
                break record;
            }
        };
        assert_eq!((&sent["method"], &sent["response_code"], &sent["security"]), (&"POST".into(), &200.into(), &"mutual_tls".into()));
        assert!(sent["source_principal"].as_str().unwrap().contains("web"), "{sent}");
    })
    .await;
}
