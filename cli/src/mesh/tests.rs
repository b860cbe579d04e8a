use super::*;

fn edge(source: &str, security: Security, rate: f64) -> Edge {
    Edge {
        source_namespace: "default".into(),
        source: source.into(),
        source_version: "v1".into(),
        service_namespace: "default".into(),
        service: "catalog".into(),
        destination_namespace: "default".into(),
        destination: "catalog".into(),
        destination_version: "v2".into(),
        protocol: "http".into(),
        security,
        requests: 10,
        failures: 1,
        retries: 0,
        requests_per_second: rate,
        success_rate: 0.9,
        p50_millis: Some(1.0),
        p99_millis: Some(rate),
    }
}

#[test]
fn callers_of_one_version_add_up_and_plain_text_is_not_hidden() {
    let shown = rows(&[edge("web", Security::Mtls, 5.0), edge("batch", Security::Mtls, 2.0)]);
    assert_eq!(shown.len(), 1);
    assert_eq!((shown[0].requests, shown[0].failures, shown[0].rate, &*shown[0].security), (20, 2, 7.0, "mTLS"));
    assert_eq!(shown[0].p99, Some(Duration::from_millis(5)));
    assert_eq!(rows(&[edge("web", Security::Mtls, 5.0), edge("batch", Security::Plain, 2.0)])[0].security, "mixed");
}

#[test]
fn versions_of_one_service_are_rows_and_a_refused_stranger_is_none() {
    let other = Edge { destination: "catalog-v3".into(), destination_version: "v3".into(), ..edge("web", Security::Mtls, 1.0) };
    let stranger = Edge { requests: 1, failures: 1, service: String::new(), ..edge("unknown", Security::Plain, 0.5) };
    let shown = rows(&[edge("web", Security::Mtls, 5.0), other, stranger]);
    let names: Vec<(&str, &str, &str)> = shown.iter().map(|row| (&*row.service, &*row.version, &*row.security)).collect();
    assert_eq!(names, [("catalog", "v2", "mTLS"), ("catalog", "v3", "mTLS")]);
}
