use super::*;

#[test]
fn each_report_is_the_whole_and_old_ones_are_forgotten() {
    let one = |endpoint: &str| Ejection {
        namespace: "shop".into(),
        service: "catalog".into(),
        endpoint: endpoint.into(),
        cause: "5 × 503".into(),
        since_millis: 1000,
        left_millis: 0,
    };
    let mut all = Ejections::default();
    all.report("web", vec![one("a"), one("b")], 10);
    all.report("edge", vec![one("a")], 10);
    assert_eq!(all.of("shop", "catalog", "a", 11).keys().collect::<Vec<_>>(), [&"edge", &"web"]);
    assert!(all.of("shop", "ratings", "a", 11).is_empty());
    all.report("web", vec![one("b")], 12);
    assert_eq!(all.of("shop", "catalog", "a", 12).len(), 1);
    all.report("edge", Vec::new(), 13);
    assert!(all.of("shop", "catalog", "a", 13).is_empty());
    assert!(all.of("shop", "catalog", "b", 12 + limits::EJECTION_SECONDS + 1).is_empty(), "a proxy that went away is not believed");
}
