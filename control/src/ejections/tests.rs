use super::*;

fn found(ejections: Vec<Ejection>, breakers: Vec<OpenBreaker>) -> Findings {
    Findings { ejections, breakers, ..Findings::default() }
}

#[test]
fn each_report_is_the_whole_and_old_ones_are_forgotten() {
    let one = |endpoint: &str| Ejection {
        namespace: "shop".into(),
        service: "catalog".into(),
        endpoint: endpoint.into(),
        cause: "5 × 503".into(),
        since_millis: 1000,
        left_millis: 0,
        unhealthy: false,
    };
    let mut all = Ejections::default();
    all.report(("web", 1), found(vec![one("a"), one("b")], Vec::new()), 10);
    all.report(("edge", 1), found(vec![one("a")], Vec::new()), 10);
    assert_eq!(all.of("shop", "catalog", "a", 11).iter().map(|(proxy, _)| *proxy).collect::<Vec<_>>(), ["edge", "web"]);
    assert!(all.of("shop", "ratings", "a", 11).is_empty());
    all.report(("web", 1), found(vec![one("b")], Vec::new()), 12);
    assert_eq!(all.of("shop", "catalog", "a", 12).len(), 1);
    all.report(("edge", 1), found(Vec::new(), Vec::new()), 13);
    assert!(all.of("shop", "catalog", "a", 13).is_empty());
    assert!(all.of("shop", "catalog", "b", 12 + limits::EJECTION_SECONDS + 1).is_empty(), "a proxy that went away is not believed");
}

#[test]
fn one_may_be_left_out_twice_and_open_breakers_are_told_by_service() {
    let out = |unhealthy| Ejection {
        namespace: "shop".into(),
        service: "catalog".into(),
        endpoint: "a".into(),
        cause: if unhealthy { "GET /healthz answered 503 (3 in a row)" } else { "5 × 503" }.into(),
        since_millis: 1000,
        left_millis: 0,
        unhealthy,
    };
    let open =
        OpenBreaker { namespace: "shop".into(), service: "ratings".into(), percent: 60, requests: 20, since_millis: 1500, half_open: true };
    let mut all = Ejections::default();
    all.report(("web", 1), found(vec![out(true), out(false)], vec![open.clone()]), 10);
    all.report(("edge", 1), found(Vec::new(), vec![open.clone()]), 10);
    assert_eq!(all.of("shop", "catalog", "a", 10), [("web", &out(false)), ("web", &out(true))]);
    assert_eq!(all.breakers("shop", "ratings", 10).into_iter().collect::<Vec<_>>(), [("edge", &open), ("web", &open)]);
    assert!(all.breakers("shop", "catalog", 10).is_empty());
    all.report(("web", 1), found(Vec::new(), Vec::new()), 11);
    assert_eq!(all.breakers("shop", "ratings", 11).len(), 1);
    assert!(all.breakers("shop", "ratings", 11 + limits::EJECTION_SECONDS).is_empty(), "a proxy that went away is not believed");
}

#[test]
fn two_processes_of_one_proxy_have_each_a_word_of_their_own() {
    let one = |endpoint: &str| Ejection {
        namespace: "shop".into(),
        service: "catalog".into(),
        endpoint: endpoint.into(),
        cause: "5 × 503".into(),
        since_millis: 1000,
        left_millis: 0,
        unhealthy: false,
    };
    let mut all = Ejections::default();
    all.report(("web", 1), found(vec![one("a")], Vec::new()), 10);
    all.report(("web", 2), found(Vec::new(), Vec::new()), 10);
    assert_eq!(all.of("shop", "catalog", "a", 10).len(), 1, "the younger says nothing of what the elder leaves out");
    all.report(("web", 2), found(vec![one("a")], Vec::new()), 11);
    assert_eq!(all.of("shop", "catalog", "a", 11).len(), 1, "and together they are one proxy");
    all.report(("web", 1), found(Vec::new(), Vec::new()), 12);
    assert_eq!(all.of("shop", "catalog", "a", 12).len(), 1);
}

#[test]
fn of_two_processes_of_a_proxy_the_one_with_more_connections_is_told() {
    let full = |open| Crowded { namespace: "shop".into(), service: "catalog".into(), open, limit: 10, waiting: 1 };
    let mut all = Ejections::default();
    for (incarnation, open) in [(1, 3), (2, 7), (3, 1)] {
        all.report(("web", incarnation), Findings { crowded: vec![full(open)], ..Findings::default() }, 10);
    }
    assert_eq!(all.crowded("shop", "catalog", 10).into_iter().collect::<Vec<_>>(), [("web", &full(7))]);
    assert!(all.crowded("shop", "ratings", 10).is_empty());
    all.report(("web", 2), Findings::default(), 11);
    assert_eq!(all.crowded("shop", "catalog", 11)["web"].open, 3);
    assert!(all.crowded("shop", "catalog", 11 + limits::EJECTION_SECONDS).is_empty(), "a proxy that went away is not believed");
}

#[test]
fn so_much_is_remembered_of_one_proxy() {
    let out = Ejection {
        namespace: "shop".into(),
        service: "catalog".into(),
        endpoint: "a".into(),
        cause: "5 × 503".into(),
        since_millis: 1000,
        left_millis: 0,
        unhealthy: false,
    };
    let mut all = Ejections::default();
    all.report(("web", 1), found(vec![out; limits::EJECTIONS + 1], Vec::new()), 10);
    assert_eq!(all.0[&("web".to_owned(), 1)].found.ejections.len(), limits::EJECTIONS);
}

#[test]
fn of_two_processes_of_a_proxy_the_one_without_keys_is_told() {
    let one = |older_hold, why: &str| Keyless { issuer: "a".into(), why: why.into(), since_millis: 0, older_hold };
    let mut all = Ejections::default();
    for (incarnation, older_hold) in [(1, true), (2, false), (3, true)] {
        all.report(("web", incarnation), Findings { keyless: vec![one(older_hold, "why")], ..Findings::default() }, 10);
    }
    assert_eq!(all.keyless("a", 10).into_iter().collect::<Vec<_>>(), [("web", &one(false, "why"))]);
    assert!(all.keyless("b", 10).is_empty() && all.keyless("a", 11 + limits::EJECTION_SECONDS).is_empty());
    all.report(("web", 2), Findings { keyless: vec![one(false, &"é".repeat(limits::CHECK_SAID))], ..Findings::default() }, 10);
    assert_eq!(all.keyless("a", 10)["web"].why.len(), limits::CHECK_SAID);
}
