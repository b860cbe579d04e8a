//! What callers send.

use super::backend::{Believes, Witness, careless};
use super::cases::{self, Case};
use super::{exchange, statuses};
use crate::tests::resources::{self, HTTP};
use crate::tests::{Proxy, Shop, key, within};
use model::{Kind, Target};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

const CASES: &str = include_str!("../../../testdata/http1-requests.txt");
const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
const INNOCENT: &[u8] = b"GET /innocent HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn proxies_and_backend_see_the_same_requests() {
    within(Duration::from_secs(120), async {
        let witness = Witness::start().await;
        let mut shop = Shop::new(witness.address);
        let target = Target::Listener(key(Kind::Listener, "edge.web"));
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        shop.mesh.put(vec![resources::listener(80, None), resources::route(target, rule)]);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        let cases = cases::read(CASES);
        let mut wrong = Vec::new();
        for case in &cases {
            let complaints = play(case, door, &gateway, &shop.catalog, &witness).await;
            wrong.extend(complaints.iter().map(|complaint| format!("{}: {complaint}", case.name)));
        }
        assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
        assert!(cases.len() >= 220, "{} cases", cases.len());
    })
    .await;
}

/// What is wrong with a case.
async fn play(case: &Case, door: SocketAddr, gateway: &Proxy, sidecar: &Proxy, witness: &Witness) -> Vec<String> {
    let got = exchange(door, &[&case.bytes, PROBE].concat()).await;
    let innocent = exchange(door, INNOCENT).await;
    let mut wrong = Vec::new();
    let mut must = |what: &str, is: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug| {
        if format!("{is:?}") != format!("{wanted:?}") {
            wrong.push(format!("{what} is {is:?}, should be {wanted:?}"));
        }
    };
    must("what the caller gets", &statuses(&got), &case.list("gets", " "));
    must("an innocent caller's answer", &innocent.ends_with("saw GET /innocent 0\n"), &true);
    let forwarded = records(gateway, "/innocent").await;
    let received = records(sidecar, "/innocent").await;
    let (mut seen, bytes) = witness.take();
    must("the backend's last request", &seen.pop(), &Some("GET /innocent 0"));
    must("what the backend saw", &seen, &case.list("saw", ";"));
    // Each proxy's records say the same of every request that went to its end; they hold no queries.
    let whole: Vec<_> = seen.iter().filter(|line| !line.ends_with('!')).cloned().collect();
    let recorded: Vec<_> = whole.iter().map(|line| line.replace("?y", "")).collect();
    must("what the gateway says that it forwarded", &forwarded, &recorded);
    must("what the other proxy says that it forwarded", &received, &recorded);
    // And each answer went to the one who asked.
    let answers: Vec<_> = got.lines().filter_map(|line| line.strip_prefix("saw ")).collect();
    let asked: Vec<_> = whole.iter().filter(|line| !line.starts_with("HEAD ")).collect();
    must("the answers' own words", &answers, &asked);
    // However carelessly the bytes are read: whole requests are these, and no others.
    for believes in [Believes::Length, Believes::Chunks] {
        let mut read: Vec<_> = bytes.iter().flat_map(|bytes| careless(bytes, believes)).collect();
        let mut all = seen.clone();
        all.push("GET /innocent 0".to_owned());
        read.sort();
        all.sort();
        must(&format!("what a reader that believes in {believes:?} sees"), &read, &all);
    }
    let text = bytes.concat().to_ascii_lowercase();
    must("whether h2c was asked for", &(memchr(&text, b"h2c") || memchr(&text, b"http2-settings")), &false);
    wrong
}

fn memchr(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// `METHOD PATH BYTES` of what was forwarded and answered, up to the request with this path.
async fn records(proxy: &Proxy, last: &str) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let record: Value = proxy.record().await;
        let text = |name: &str| record[name].as_str().unwrap_or("").to_owned();
        if record["fault"].is_null() {
            if record["path"] == last {
                return all;
            }
            all.push(format!("{} {} {}", text("method"), text("path"), record["bytes_received"]));
        }
    }
}
