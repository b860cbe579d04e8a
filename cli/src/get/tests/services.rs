//! Lines of services and of their endpoints.

use super::*;

fn endpoint(id: &str, more: Value) -> Value {
    let mut value = json!({"id": id, "address": "127.0.0.1:1", "workload": "", "revision": "", "healthy": true, "tunnel": "organza"});
    if let (Some(fields), Value::Object(more)) = (value.as_object_mut(), more) {
        fields.extend(more);
    }
    value
}

fn ejected(millis: u64) -> Value {
    json!([{"proxy": "web-1", "cause": "5 × 503", "since_millis": millis, "left_millis": 2100}])
}

fn service(endpoints: &[Value]) -> Value {
    json!({"namespace": "default", "name": "catalog", "hostnames": ["catalog"], "ports": [{"number": 80, "protocol": "http"}], "identities": [],
        "endpoints": endpoints})
}

#[test]
fn each_endpoint_has_a_line_with_its_state_and_why_and_a_document_says_the_same() {
    let unhealthy = json!([{"proxy": "edge-1", "cause": "GET /healthz answered 503 (3 in a row)", "since_millis": 12_000, "left_millis": 0, "unhealthy": true}]);
    let check = |passed: bool| json!({"proxy": "edge-1", "passed": passed, "said": "GET /healthz answered 200 in 1.2 ms", "at": 1});
    let item = service(&[
        endpoint("well", json!({})),
        endpoint("checked", json!({"checks": [check(true)], "tunnel": "none"})),
        endpoint("doubted", json!({"checks": [check(true), check(false)]})),
        endpoint("out", json!({"ejected": ejected(12_900)})),
        endpoint("sick", json!({"ejected": unhealthy})),
        endpoint("gone", json!({"healthy": false, "ejected": ejected(1)})),
    ]);
    let shown = tables::shown(Kind::Services, &item, false).expect("a service");
    assert_eq!(tables::head(Kind::Services, false), ["NAME", "PORTS", "HEALTHY", "SECURED", "STATE"]);
    assert_eq!(shown.cells[..5], ["catalog", "80/http", "3/6", "5/6", "–"], "who is left out is not counted");
    let lines: Vec<[&str; 4]> = shown.below.iter().map(|line| [0, 2, 3, 4].map(|cell| line.cells[cell].as_str())).collect();
    let expected = [
        ["  well", "yes", "organza", "healthy: no proxy leaves it out"],
        ["  checked", "yes", "no", "healthy: no proxy leaves it out, and its checks pass"],
        ["  doubted", "yes", "organza", "healthy: no proxy leaves it out, but its last check failed for 1 of 2"],
        ["  out", "no", "organza", "ejected 12 s ago after 5 × 503 by web-1; tried again in 3 s"],
        ["  sick", "no", "organza", "unhealthy for 12 s: GET /healthz answered 503 (3 in a row) by edge-1"],
        ["  gone", "no", "organza", "withdrawn: not ready, or ending, as who declares it says"],
    ];
    assert_eq!(lines, expected);
    assert!(shown.below.iter().all(|line| line.cells.len() == shown.cells.len()));
    let document = manifest::joined(&serde_json::from_value(item).expect("a service"));
    for (line, told) in expected.iter().zip(document["status"]["endpoints"].as_array().expect("endpoints")) {
        let (state, why) = (told["state"].as_str().expect("a state"), told["why"].as_str().expect("why"));
        assert!(line[3].starts_with(state) && line[3].ends_with(why), "{line:?} and {told}");
    }
}

#[test]
fn of_many_endpoints_those_that_are_well_are_left_out_first_and_counted() {
    let mut endpoints: Vec<Value> = (0..20).map(|n| endpoint(&format!("e{n}"), json!({}))).collect();
    endpoints[19] = endpoint("e19", json!({"ejected": ejected(1000)}));
    let item = service(&endpoints);
    let narrow = tables::shown(Kind::Services, &item, false).expect("a service");
    assert_eq!((narrow.below.len(), narrow.below[0].key.as_str()), (13, "e19"));
    assert_eq!(narrow.below[12].cells[..5], ["  … 8 more", "–", "8/8", "–", "-o wide shows all"]);
    assert_eq!(narrow.below[12].cells.len(), narrow.cells.len());
    let wide = tables::shown(Kind::Services, &item, true).expect("a service");
    let keys: Vec<&str> = wide.below.iter().map(|line| line.key.as_str()).collect();
    assert!(keys.len() == 20 && keys[0] == "e0" && keys[19] == "e19", "{keys:?}");
}

#[test]
fn a_breaker_that_is_not_closed_and_connections_that_are_used_up_are_told_with_why() {
    let mut item = service(&[]);
    item["breakers"] = json!([{"proxy": "web-1", "percent": 60, "requests": 20, "since_millis": 4100, "half_open": false}]);
    item["crowded"] = json!([{"proxy": "edge-1", "open": 10, "limit": 10, "waiting": 3}]);
    let shown = tables::shown(Kind::Services, &item, false).expect("a service");
    let expected = "breaker open 4 s after 60 % of 20 requests failed by web-1, 10 of 10 connections, 3 waiting, by edge-1";
    assert_eq!(shown.cells[4], expected);
    let document = manifest::joined(&serde_json::from_value(item).expect("a service"));
    assert_eq!(document["status"]["breakers"][0]["proxy"], "web-1", "{document}");
    assert_eq!(document["status"]["crowded"][0]["waiting"], 3, "{document}");
}

#[test]
fn a_watch_tells_an_endpoint_that_changed_and_not_one_that_only_grew_older() {
    let args = <Typed as clap::Parser>::parse_from(["get", "services"]).args;
    let looked = |endpoints: &[Value]| {
        let shown = tables::shown(Kind::Services, &service(endpoints), false).expect("a service");
        let mut answer = Answer::empty(target::parse(&args.what).expect("targets").remove(0));
        answer.items.push(Item { shown, document: Value::Null });
        seen(&[answer], &args)
    };
    let of = |out: Value| looked(&[endpoint("a", json!({"ejected": out}))]);
    let told = |last: &Seen, now: &Seen| {
        let news = news(last, now, false);
        news.iter().map(|(_, cells, _)| [cells[0], cells[cells.len() - 1]].join(" / ")).collect::<Vec<_>>()
    };
    assert_eq!(told(&of(ejected(1000)), &of(ejected(9000))), Vec::<String>::new());
    let mut other = ejected(9000);
    other[0]["cause"] = json!("5 × 502");
    assert_eq!(told(&of(ejected(1000)), &of(other)), ["  a / ejected 9 s ago after 5 × 502 by web-1; tried again in 3 s"]);
    // Its service counts it again.
    assert_eq!(told(&of(ejected(1000)), &of(json!([]))), ["catalog / –", "  a / healthy: no proxy leaves it out"]);
    assert_eq!(told(&of(json!([])), &looked(&[])), ["  a / (gone)", "catalog / –"]);
}

#[test]
fn lines_of_endpoints_have_a_namespace_where_all_are_shown_and_stay_what_they_are_among_several_kinds() {
    let args = <Typed as clap::Parser>::parse_from(["get", "services", "-A"]).args;
    let shown = tables::shown(Kind::Services, &service(&[endpoint("catalog", json!({}))]), false).expect("a service");
    let item = Item { shown, document: Value::Null };
    let answer = Answer::empty(target::parse(&args.what).expect("targets").remove(0));
    let lines = rows(&item, &answer, &args, true);
    assert_eq!(lines[0].cells[..2], ["default", "service/catalog"]);
    assert_eq!(lines[1].cells[..2], ["default", "  catalog"]);
    assert!(lines.iter().all(|line| line.cells.len() == 6), "{lines:?}");
}
