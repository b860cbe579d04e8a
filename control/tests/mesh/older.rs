//! A proxy of a release that does not know what guards: it is given what lets nobody in, and everybody is told.

use super::succession::eventually;
use super::{Peer, register, save, start};
use model::access::{AccessTarget, Action, Enforcement, Tier};
use model::{Change, Resource};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::api::{ProblemList, ProxyList, path};

pub const CONSUMER: &str = "
apiVersion: organza.dev/v1alpha1
kind: Consumer
metadata: {name: acme, namespace: shop}
spec:
  targetRefs: [{group: '', kind: Service, name: orders}]
  keys: [{sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}]
---
apiVersion: organza.dev/v1alpha1
kind: Consumer
metadata: {name: guest, namespace: shop}
spec:
  targetRefs: [{group: '', kind: Service, name: orders}]
  required: false
  keys: [{sha256: 88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589}]
";
pub const ACME: &str = "files/consumer/shop/consumer.acme";
const GUEST: &str = "files/consumer/shop/consumer.guest";
const INSTEAD: &str = "files/access/shop/consumer.acme";

/// What the control socket answers, as `organza check` and `organza get` ask it.
async fn ask<T: serde::de::DeserializeOwned>(folder: &Path, path: &str) -> T {
    let mut stream = tokio::net::UnixStream::connect(folder.join("state/control.sock")).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: o\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(super::PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// By object, what is said of proxies of an older release; and what this proxy lacks.
async fn told(folder: &Path, proxy: &str) -> (Vec<(String, String)>, Vec<String>) {
    let problems: ProblemList = ask(folder, path::PROBLEMS).await;
    let proxies: ProxyList = ask(folder, path::PROXIES).await;
    let older = problems.items.into_iter().filter(|problem| problem.reason == "OlderRelease");
    let lacks = proxies.items.into_iter().filter(|known| known.name == proxy).flat_map(|known| known.refused.into_keys());
    (older.map(|problem| (problem.object, problem.message)).collect(), lacks.collect())
}

#[tokio::test]
async fn a_proxy_that_knows_no_consumers_lets_nobody_in_where_a_key_is_demanded_and_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let control = start(folder.path()).await;
    let (core, address) = (&control.core, control.xds_address);
    let proxy = register(core, "orders", Some("orders"), 9001);
    let mut older = Peer::older(core, address, &proxy).await;
    older.step().await.unwrap();
    save(folder.path(), "consumers.yaml", CONSUMER);
    let step = older.step().await.unwrap();
    let denial = step.changes.iter().find_map(|change| match change {
        Change::Put(Resource::Access(policy)) => Some(policy.clone()),
        _ => None,
    });
    let denial = denial.expect("something that it knows");
    assert_eq!(
        (denial.key.to_string().as_str(), denial.tier, denial.action, denial.enforcement),
        (INSTEAD, Tier::Admin, Action::Deny, Enforcement::Enforce)
    );
    assert!(denial.rules.len() == 1 && denial.rules[0].clauses.is_empty(), "whoever it is");
    assert!(
        matches!(&denial.targets[..], [AccessTarget::Service { service, port: None }] if *service.name == *"orders"),
        "{:?}",
        denial.targets
    );
    assert_eq!(denial.origin.object.to_string(), "Consumer shop/acme", "the log says for whom");
    assert!(!older.held().iter().any(|name| name.contains("/consumer/")), "{:?}", older.held());
    // Whoever demands no key closes nothing.
    let withheld = || core.lock().sessions[&proxy].withheld.clone();
    eventually("it is known", || withheld().keys().map(String::as_str).eq([ACME, GUEST])).await;
    assert!(withheld()[ACME].contains("lets nobody in") && withheld()[GUEST].contains("no key is read there"), "{:?}", withheld());
    let (older_ones, lacks) = told(folder.path(), &proxy).await;
    assert_eq!(older_ones.iter().map(|(object, _)| object.clone()).collect::<Vec<_>>(), vec![format!("Proxy {proxy}"); 2]);
    for (said, key) in older_ones.iter().zip([ACME, GUEST]) {
        assert!(said.1.contains("is of release \"0.1.0\"") && said.1.contains(key), "{said:?}");
    }
    assert_eq!(lacks, [ACME, GUEST]);
    let objects: wire::api::ObjectList = ask(folder.path(), path::OBJECTS).await;
    let acme = objects.items.iter().find(|object| object.kind == "Consumer" && object.name == "acme").unwrap();
    assert_eq!((acme.applied, acme.concerned), (0, 1), "nobody has what it says");

    // Upgraded, it is given what it knows now, and keeps nothing of the rest.
    drop(older);
    let mut newer = Peer::join(core, address, &proxy).await;
    newer.step().await.unwrap();
    let held = newer.held();
    assert!(held.contains(ACME) && held.contains(GUEST) && !held.contains(INSTEAD), "{held:?}");
    eventually("nothing is withheld", || withheld().is_empty()).await;
    assert_eq!(told(folder.path(), &proxy).await, (Vec::new(), Vec::new()));
    control.stop().await;
}

#[tokio::test]
async fn a_proxy_of_a_release_that_is_gone_back_to_is_closed_again() {
    let folder = tempfile::tempdir().unwrap();
    let control = start(folder.path()).await;
    let (core, address) = (&control.core, control.xds_address);
    save(folder.path(), "consumers.yaml", CONSUMER);
    let proxy = register(core, "orders", Some("orders"), 9001);
    let mut newer = Peer::join(core, address, &proxy).await;
    newer.until("a consumer", |held| held.contains(ACME)).await;
    drop(newer);
    let mut older = Peer::older(core, address, &proxy).await;
    older.until("what stands in", |held| held.contains(INSTEAD) && !held.contains(ACME)).await;
    // It goes with the consumer.
    std::fs::write(folder.path().join("files/consumers.yaml"), "").unwrap();
    older.until("nothing", |held| !held.contains(INSTEAD)).await;
    eventually("nothing is withheld", || core.lock().sessions[&proxy].withheld.is_empty()).await;
    control.stop().await;
}
