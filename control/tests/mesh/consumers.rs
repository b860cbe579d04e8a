//! What consumers used is told by who was given them, counted once, and outlives the control plane.

use super::older::{ACME, CONSUMER};
use super::{Peer, credentials, register, save, secured, start};
use control::Control;
use wire::v1;
use wire::v1::report_request::Consumed;

#[tokio::test]
async fn what_consumers_used_is_told_by_who_read_their_keys_and_outlives_the_control_plane() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    save(folder.path(), "consumers.yaml", CONSUMER);
    let (orders, web) = (register(&first.core, "orders", Some("orders"), 9001), register(&first.core, "web", None, 0));
    let mut peer = Peer::join(&first.core, first.xds_address, &orders).await;
    peer.until("a consumer", |held| held.contains(ACME)).await;
    super::succession::eventually("that it has it is known", || first.core.lock().sessions[&orders].held.get(ACME).is_some()).await;
    let used =
        |consumer: &str, api: &str| Consumed { consumer: consumer.into(), api: api.into(), requests: 5, refused: 2, ..Consumed::default() };
    let (held, other) = (credentials(&first.core, &orders), credentials(&first.core, &web));
    let mut telemetry = wire::grpc::TelemetryClient::new(secured(first.xds_address, &held).await);
    for sequence in [1, 1, 2] {
        let mut consumed =
            vec![used("shop/acme", "Service shop/orders"), used("shop/nobody", "Service shop/orders"), used("shop/acme", "")];
        // What is more than a report may tell is not read.
        consumed.resize(control::limits::CONSUMED_OF_ONE, used("shop/nobody", "x"));
        consumed.push(used("shop/acme", "Service shop/more"));
        telemetry
            .report(v1::ReportRequest { proxy: orders.clone(), incarnation: 7, sequence, consumed, ..Default::default() })
            .await
            .unwrap();
    }
    // Who was not given a consumer read no key of it.
    let mut telemetry = wire::grpc::TelemetryClient::new(secured(first.xds_address, &other).await);
    let consumed = vec![used("shop/acme", "Service shop/orders")];
    telemetry.report(v1::ReportRequest { proxy: web, incarnation: 7, sequence: 1, consumed, ..Default::default() }).await.unwrap();
    let told = |control: &Control| -> Vec<(String, u64, u64)> {
        let inner = control.core.lock();
        let one = |(api, used): (&str, &control::consumption::Used)| (api.to_owned(), used.counts().requests, used.counts().refused);
        assert_eq!(inner.consumption.of("shop/nobody").count(), 0);
        inner.consumption.of("shop/acme").map(one).collect()
    };
    let want = [("Service shop/orders".to_owned(), 10, 4)];
    assert_eq!(told(&first), want);
    first.stop().await;
    let second = start(folder.path()).await;
    assert_eq!(told(&second), want);
    second.stop().await;
}
