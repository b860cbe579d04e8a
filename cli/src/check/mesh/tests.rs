use super::super::fact::Mark;
use super::*;
use serde_json::json;

const NOW: u64 = 1_790_000_000;

fn good() -> Told {
    let certificate = |kind: &str, proxy: &str, end: u64| json!({"identity": format!("{kind} x"), "kind": kind, "proxy": proxy, "issuer": "x", "not_before": NOW - 60, "not_after": end});
    let proxy = |name: &str| {
        json!({
            "name": name, "role": "workload", "namespace": "shop", "service": name, "revision": "", "identity": "spiffe://x/ns/shop/sa/a",
            "version": "0.1.0", "connected": true, "acknowledged": 12, "resources": 3, "mtls": true, "since": NOW,
        })
    };
    let edge = json!({
        "source_namespace": "shop", "source": "web", "source_version": "", "service_namespace": "shop", "service": "api",
        "destination_namespace": "shop", "destination": "api", "destination_version": "", "protocol": "http", "security": "mtls",
        "requests": 1, "failures": 0, "retries": 0, "requests_per_second": 1.0, "success_rate": 1.0, "p50_millis": null, "p99_millis": null,
    });
    let status = json!({
        "mesh": "shop", "trust_domain": "organza.local", "version": "0.1.0", "pid": 7, "started": NOW, "generation": 12,
        "proxies_connected": 2, "proxies_current": 2, "xds_address": "127.0.0.1:15012",
    });
    let proxies = json!({"generation": 12, "items": [proxy("web"), proxy("api")]});
    let ends = [
        certificate("root", "", NOW + 3000 * 86_400),
        certificate("issuing", "", NOW + 86_400),
        certificate("workload", "web", NOW + 3600),
    ];
    Told {
        status: serde_json::from_value(status).unwrap(),
        proxies: serde_json::from_value(proxies).unwrap(),
        certificates: serde_json::from_value(json!({ "items": ends })).unwrap(),
        edges: serde_json::from_value(json!({"generation": 12, "items": [edge]})).unwrap(),
        problems: Default::default(),
    }
}

fn wrong(told: &Told) -> Vec<(Mark, String)> {
    let facts = facts(told, "0.1.0", NOW);
    facts.into_iter().filter(|fact| fact.mark != Mark::Good).map(|fact| (fact.mark, fact.says)).collect()
}

type Break = fn(&mut Told);

#[test]
fn each_thing_that_is_wrong_is_one_fact() {
    assert_eq!(wrong(&good()), []);
    let broken: &[(Break, Mark, &str)] = &[
        (
            |t| {
                let told = json!({"severity": "warning", "file": "m.yaml", "line": 1, "column": 1, "object": "MeshConfig shop/default", "path": "spec.mtls", "reason": "Plaintext", "message": ""});
                t.problems.items.push(serde_json::from_value(told).unwrap());
            },
            Mark::Warning,
            "by MeshConfig shop/default",
        ),
        (
            |t| {
                t.status.version = "0.0.9".into();
                t.proxies.items.iter_mut().for_each(|proxy| proxy.version = "0.0.9".into());
            },
            Mark::Warning,
            "release 0.0.9",
        ),
        (|t| t.proxies.items[1].connected = false, Mark::Bad, "not connected: api"),
        (
            |t| {
                t.proxies.items[1].acknowledged = Some(11);
                t.status.proxies_current = 1;
            },
            Mark::Bad,
            "behind: api",
        ),
        (|t| drop(t.proxies.items[0].refused.insert("key".into(), "why".into())), Mark::Bad, "refusing what they were sent: web"),
        (
            |t| {
                let told = json!({"severity": "error", "file": "", "line": 0, "column": 0, "object": "Proxy web", "path": "", "reason": "OlderRelease",
                    "message": "it is of release \"0.0.9\" and cannot be given files/consumer/shop/consumer.acme: it lets nobody in"});
                t.problems.items.push(serde_json::from_value(told).unwrap());
                t.proxies.items[0].refused.insert("files/consumer/shop/consumer.acme".into(), "it lets nobody in".into());
            },
            Mark::Bad,
            "(OlderRelease): Proxy web: it is of release \"0.0.9\" and cannot be given files/consumer/shop/consumer.acme: it lets nobody in",
        ),
        (
            |t| {
                let told = json!({"severity": "error", "file": "a.yaml", "line": 1, "column": 1, "object": "TokenIssuer shop/corp", "path": "spec.jwks.uri", "reason": "KeysNotFetched",
                    "message": "edge cannot fetch its keys", "fix": "mend it"});
                t.status.problems.push(serde_json::from_value(told.clone()).unwrap());
                t.problems.items.push(serde_json::from_value(told).unwrap());
            },
            Mark::Bad,
            "TokenIssuer shop/corp: edge cannot fetch its keys",
        ),
        (|t| t.proxies.items[0].mtls = false, Mark::Bad, "without a certificate of their own: web"),
        (|t| t.proxies.items[0].version = "0.0.9".into(), Mark::Warning, "of another release: web"),
        (|t| t.certificates.items[0].not_after = NOW + 86_400, Mark::Warning, "ends in 24 h"),
        (|t| t.certificates.items[0].not_after = NOW, Mark::Warning, "ends in 0 s"),
        (|t| t.certificates.items[0].not_after = NOW - 1, Mark::Bad, "is over"),
        (|t| t.certificates.items[2].not_after = NOW, Mark::Bad, "not renewed: web"),
        (|t| t.certificates.items[1].not_after = NOW, Mark::Bad, "not renewed: issuing x"),
        (|t| t.certificates.items[2].not_before = NOW + 301, Mark::Bad, "not valid yet"),
        (|t| t.edges.items[0].security = Security::Plain, Mark::Warning, "web → api"),
    ];
    for (break_it, mark, says) in broken {
        let mut told = good();
        break_it(&mut told);
        let wrong = wrong(&told);
        let is_told = wrong.len() == 1 && wrong[0].0 == *mark && wrong[0].1.contains(says);
        assert!(is_told, "expected one fact {mark:?} with {says:?}, got {wrong:?}");
    }
}

#[test]
fn what_never_left_a_proxy_went_not_in_plain() {
    let mut told = good();
    (told.edges.items[0].security, told.edges.items[0].destination) = (Security::Plain, String::new());
    assert_eq!(wrong(&told), []);
}

#[test]
fn errors_of_what_is_read_fail_and_warnings_do_not() {
    let problem = |severity: &str| {
        let problem = json!({"severity": severity, "file": "a.yaml", "line": 1, "column": 1, "object": "", "path": "", "reason": "X", "message": "no", "fix": null});
        serde_json::from_value(problem).unwrap()
    };
    let mut told = good();
    told.status.problems = vec![problem("warning")];
    assert_eq!(wrong(&told), []);
    told.status.problems.push(problem("error"));
    assert_eq!(wrong(&told), [(Mark::Bad, "it reads an error: no".to_owned())]);
}
