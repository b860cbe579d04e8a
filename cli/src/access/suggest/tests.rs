use super::*;
use crate::access::called::{Brought, Called};
use frontends::Object;
use model::{Method, RequestHead};
use std::net::IpAddr;

fn call(source: &str, service: &str, method: &str, path: &str, allowed: u64, denied: u64) -> Call {
    Call {
        source: format!(
            "spiffe://organza.local/ns/{}/sa/{}",
            source.split('/').next().unwrap_or(""),
            source.split('/').nth(1).unwrap_or("")
        ),
        namespace: "shop".into(),
        service: service.into(),
        port: 80,
        protocol: "http".into(),
        method: method.into(),
        path: path.into(),
        allowed,
        denied,
        first_seen: 1_790_000_000,
        last_seen: 1_790_000_600,
        ..Call::default()
    }
}

const SERVICES: &str = "\
apiVersion: v1
kind: Service
metadata: {name: catalog, namespace: shop}
spec: {ports: [{name: http, port: 80, appProtocol: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: ledger, namespace: shop}
spec: {ports: [{name: bytes, port: 7000, appProtocol: tcp}]}
---
apiVersion: v1
kind: Service
metadata: {name: idle, namespace: shop}
spec: {ports: [{name: http, port: 80, appProtocol: http}]}
";

fn suggested(calls: &[Call]) -> String {
    let services = BTreeSet::from([("shop", "catalog"), ("shop", "ledger"), ("shop", "idle")]);
    let calls: Vec<&Call> = calls.iter().collect();
    written(&Seen { calls: &calls, services: &services, trust_domain: "organza.local", left_out: 0, now: 1_790_000_700, since: 0 })
}

fn objects(text: &str) -> Vec<Object> {
    let (read, broken) = frontends::file::parse("suggested.yaml", text);
    assert!(broken.is_empty(), "{broken:?}");
    let (good, refused) = frontends::schema::check(read);
    assert!(refused.is_empty(), "{refused:?}\n{text}");
    good
}

fn word(called: &Called, caller: &str, ask: Option<(&str, &str)>) -> &'static str {
    let head = ask.map(|(method, path)| {
        let mut head = RequestHead::default();
        head.method = Method::parse(method).expect("a method");
        head.set_authority("catalog");
        head.set_target(path);
        head
    });
    let id = SpiffeId::parse(caller).ok();
    let verdicts = called.verdicts(id.as_ref(), IpAddr::from([127, 0, 0, 1]), None, Brought::of(head.as_ref()));
    verdicts.first().expect("a port").1.word
}

#[test]
fn what_was_called_is_allowed_to_who_called_it_and_nothing_else_is() {
    let mut bytes = call("shop/web", "ledger", "", "", 3, 0);
    (bytes.port, bytes.protocol) = (7000, "tcp".into());
    let mut nameless = call("shop/web", "catalog", "GET", "/nameless", 5, 0);
    nameless.source = String::new();
    let text = suggested(&[
        call("shop/web", "catalog", "GET", "/items/{id}", 1200, 0),
        call("shop/web", "catalog", "GET", "/items", 7, 0),
        call("shop/web", "catalog", "POST", "/files/{**}", 1, 0),
        call("jobs/cron", "catalog", "GET", "/", 2, 0),
        call("dev/web", "catalog", "GET", "/items", 0, 9),
        call("shop/web", "catalog", "OPTIONS", "", 4, 0),
        nameless,
        bytes,
    ]);
    let all = objects(&format!("{SERVICES}---\n{text}"));
    let catalog = Called::of_files(&all, "shop", "catalog").expect("a service");
    let (web, cron, dev) =
        ("spiffe://organza.local/ns/shop/sa/web", "spiffe://organza.local/ns/jobs/sa/cron", "spiffe://organza.local/ns/dev/sa/web");
    let cases = [
        (web, "GET", "/items/17", "yes"),
        (web, "GET", "/items", "yes"),
        (web, "GET", "/items/17/price", "no"),
        (web, "POST", "/items", "no"),
        (web, "POST", "/files/a/b", "yes"),
        (web, "GET", "/nameless", "no"),
        (cron, "GET", "/", "yes"),
        (cron, "GET", "/items", "no"),
        (dev, "GET", "/items", "no"),
        ("nobody", "GET", "/items", "no"),
    ];
    for (who, method, path, want) in cases {
        assert_eq!(word(&catalog, who, Some((method, path))), want, "{who} {method} {path}\n{text}");
    }
    let ledger = Called::of_files(&all, "shop", "ledger").expect("a service");
    assert_eq!((word(&ledger, web, None), word(&ledger, cron, None)), ("yes", "no"));
    let idle = Called::of_files(&all, "shop", "idle").expect("a service");
    assert_eq!((word(&idle, web, None), word(&idle, dev, None)), ("no", "no"));
    for evidence in [
        "value: \"/items/{id}\"} # 1200 calls, last 2026-09-21 14:23 UTC",
        "# 9 calls to catalog were denied, and stay so.",
        "# Not covered, and shut out: 5 calls to catalog by callers that proved no identity.",
        "# Not covered, and shut out: 4 calls to catalog that name no path (OPTIONS *).",
        "# Nobody called idle.",
        "# spiffe://organza.local/ns/jobs/sa/cron: 2 calls",
        "ports: [7000] # bytes: 3 calls",
    ] {
        assert!(text.contains(evidence), "{evidence} is not in\n{text}");
    }
}

#[test]
fn no_two_policies_have_one_name() {
    let mut calls: Vec<Call> = (0..65).map(|n| call(&format!("shop/w{n}"), "a", "GET", "/", 1, 0)).collect();
    calls.extend(["a-2", "nothing-else"].map(|service| call("shop/web", service, "GET", "/", 1, 0)));
    let names: Vec<String> = objects(&suggested(&calls)).iter().map(|object| object.object.name.to_string()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 5, "{names:?}");
}

#[test]
fn names_that_are_yaml_stay_names() {
    let text = suggested(&[call("shop/web", "catalog", "GET", "/a: [b]#\"c", 1, 0), call("shop/web", "null", "GET", "/", 1, 0)]);
    let policies = objects(&text);
    assert_eq!(policies.len(), 3);
    assert_eq!(policies[0].value["spec"]["rules"][0]["destinations"][0]["paths"][0]["value"], "/a: [b]#\"c");
    assert_eq!(policies[1].value["spec"]["targetRefs"][0]["name"], "null");
}

#[test]
fn of_another_trust_domain_the_whole_identity_is_named() {
    let mut other = call("shop/web", "catalog", "GET", "/", 1, 0);
    other.source = "spiffe://elsewhere.org/ns/a/sa/b".into();
    let text = suggested(&[other]);
    assert!(text.contains("{type: Identity, identity: {value: \"spiffe://elsewhere.org/ns/a/sa/b\"}}"), "{text}");
    objects(&text);
}

#[test]
fn what_is_too_much_for_one_policy_or_rule_becomes_several() {
    let mut many: Vec<Call> = (0..70).map(|n| call(&format!("shop/w{n}"), "catalog", "GET", "/", 1, 0)).collect();
    for n in 0..40 {
        many.push(Call { port: 8000 + n, ..call("shop/web", "catalog", "GET", "/", 1, 0) });
    }
    many.extend((0..65).map(|n| call("shop/web", "catalog", "PUT", &format!("/p{n}"), 1, 0)));
    let all = objects(&suggested(&many));
    let rules: Vec<usize> = all.iter().map(|object| object.value["spec"]["rules"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(rules, [64, 8, 0], "70 callers and web's two rules, and what closes the rest");
}

#[test]
fn strict_cuts_whoever_proved_nothing_and_was_let_in() {
    let plain = |source: &str, allowed, denied| Call { source: source.into(), ..call("a/b", "catalog", "GET", "/", allowed, denied) };
    let told = |calls: &[Call]| mtls(&calls.iter().collect::<Vec<_>>(), 0, 0, 1_790_000_700);
    let (web, denied) = (call("shop/web", "catalog", "GET", "/", 5, 0), plain("10.0.0.9", 0, 7));
    assert!(told(&[web.clone(), denied.clone()]).trim_end().ends_with("mtls: Strict would cut nobody."), "who is denied is cut already");
    let early = Call { last_allowed: Some(1_790_000_000), ..plain("10.0.0.7", 2, 1) };
    let idle = call("shop/web", "idle", "GET", "/", 1, 0);
    let named = Call { source_services: vec!["shop/web".into()], ..plain("10.0.0.8", 2, 0) };
    let text = told(&[web, denied, early, plain("10.0.0.7", 3, 0), plain("", 1, 0), named, idle]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(
        lines[1].starts_with("  nobody by name to shop/catalog: 1 calls") && lines[2].starts_with("  10.0.0.7 to shop/catalog: 5 calls"),
        "{text}"
    );
    assert!(lines[3].starts_with("  10.0.0.8 (shop/web) to shop/catalog: 2 calls"), "{text}");
    assert_eq!(lines[4], "Nobody of those who called shop/idle.");
    assert!(mtls(&[], 7, 0, 1).ends_with("7 calls found no room and are not in it: it may cut more.\n"));
}

#[test]
fn no_policy_is_written_for_an_address() {
    let plain = Call { source: "10.0.0.7".into(), ..call("a/b", "catalog", "GET", "/", 3, 0) };
    let text = suggested(&[plain]);
    assert!(text.contains("3 calls to") && text.contains("proved no identity") && !text.contains("10.0.0.7"), "{text}");
}
