//! The root is replaced while proxies come and go, and the place of one that is away is kept.

use super::{event, register, start};
use crate::peer::{PATIENCE, Peer, credentials, secured};
use control::core::{Core, now};
use control::roots::CannotRotate;
use std::time::{Duration, Instant};
use wire::api::{Event, RootState};

async fn eventually(what: &str, done: impl Fn() -> bool) {
    let all = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, all).await.is_ok(), "{what}");
}

fn states(core: &Core) -> Vec<RootState> {
    core.roots().items.iter().map(|root| root.state).collect()
}

fn waiting(core: &Core) -> Vec<String> {
    core.roots().rotation.map(|rotation| rotation.waiting_for).unwrap_or_default()
}

#[tokio::test]
async fn a_rotation_waits_for_everybody_survives_a_restart_and_drops_nothing_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    let (web, db) = (register(&first.core, "web", None, 0), register(&first.core, "db", Some("db"), 9001));
    let (held_by_web, held_by_db) = (credentials(&first.core, &web), credentials(&first.core, &db));
    let mut peer = Peer::open(secured(first.xds_address, &held_by_web).await, &web).await.unwrap();
    peer.step().await.unwrap();
    let old = first.core.roots().items[0].fingerprint.clone();

    first.core.rotate().unwrap();
    assert!(matches!(first.core.rotate(), Err(CannotRotate::UnderWay)));
    peer.step().await.unwrap();
    eventually("web believes the next root", || waiting(&first.core) == ["db"]).await;
    first.core.rotation_step(now());
    assert_eq!(states(&first.core), [RootState::Signing, RootState::Next], "db is away and could not come back");
    first.stop().await;
    drop(peer);

    let second = start(folder.path()).await;
    let core = &second.core;
    assert_eq!(states(core), [RootState::Signing, RootState::Next]);
    let mut peers = Vec::new();
    for (name, held) in [(&web, &held_by_web), (&db, &held_by_db)] {
        let mut peer = Peer::open(secured(second.xds_address, held).await, name).await.unwrap();
        peer.step().await.unwrap();
        peers.push(peer);
    }
    eventually("the next root signs", || states(core) == [RootState::Signing, RootState::Retiring]).await;
    let roots = core.roots();
    assert_ne!(roots.items[0].fingerprint, old);
    let renewed = credentials(core, &db);
    let der = identity::Signer::roots(&core.lock().authority);
    assert!(renewed.svid().unwrap().is_under(&der[0]) && !renewed.svid().unwrap().is_under(&der[1]));
    // Whoever believes the new root alone is answered by it.
    eventually("the control plane shows a certificate under the new root", || core.roots().items[0].used_until > 0).await;
    renewed.trust.put(&core.trust_domain, &der[..1]).unwrap();
    Peer::open(secured(second.xds_address, &renewed).await, &db).await.unwrap();

    core.rotation_step(now());
    assert_eq!(states(core).len(), 2, "certificates under the old root are still valid");
    core.rotation_step(now() + Duration::from_secs(700));
    assert_eq!(states(core), [RootState::Signing]);
    assert_eq!(core.roots().rotation, None);
    second.stop().await;
}

#[tokio::test]
async fn the_place_of_one_that_is_away_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let control = start(folder.path()).await;
    let core = &control.core;
    let db = register(core, "db", Some("db"), 9001);
    let held = credentials(core, &db);
    let mut peer = Peer::open(secured(control.xds_address, &held).await, &db).await.unwrap();
    peer.step().await.unwrap();
    let key = model::Key::parse("organza/workload/shop/db").unwrap();
    let mut events = core.events.subscribe();
    drop(peer);
    event(&mut events, |event| matches!(event, Event::ProxyDisconnected { .. }).then_some(())).await;
    core.sweep();
    assert!(core.world().get(&key).is_some(), "a moment is no absence");
    core.lock().sessions.get_mut(&db).unwrap().gone_since = Instant::now().checked_sub(Duration::from_secs(10));
    core.sweep();
    assert!(core.world().get(&key).is_none(), "nobody is sent to it");
    assert!(core.world().get(&model::Key::parse("files/service/shop/db").unwrap()).is_some(), "its service is still there");

    // It comes back by what it holds, without being registered anew.
    let mut peer = Peer::open(secured(control.xds_address, &held).await, &db).await.unwrap();
    peer.until("its own workload", |held| held.contains("organza/workload/shop/db")).await;
    control.stop().await;
}
