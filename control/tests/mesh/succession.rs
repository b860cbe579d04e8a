//! Two processes of one proxy: the younger serves, the elder finishes what it began, and neither is taken for the other.

use super::*;
use wire::delta::ClientSession;

fn leaving(core: &Core) -> usize {
    core.lock().leaving.len()
}

pub async fn eventually(what: &str, check: impl Fn() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !check() {
        assert!(std::time::Instant::now() < end, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn is_there(core: &Core, proxy: &str) -> bool {
    core.lock().sessions[proxy].connected && core.world().items.keys().any(|key| &*key.name == proxy)
}

#[tokio::test]
async fn the_end_of_an_elder_process_takes_nothing_from_its_successor() {
    let folder = tempfile::tempdir().unwrap();
    let control = start(folder.path()).await;
    let core = &control.core;
    let proxy = register(core, "web", Some("web"), 9001);
    let mut elder = Peer::join(core, control.xds_address, &proxy).await;
    elder.step().await.unwrap();
    let mut events = core.events.subscribe();
    let mut younger = Peer::join(core, control.xds_address, &proxy).await;
    younger.step().await.unwrap();
    eventually("both are there", || leaving(core) == 1).await;
    drop(elder);
    eventually("the elder is gone", || leaving(core) == 0).await;
    tokio::time::sleep(control::limits::GONE + Duration::from_millis(1500)).await;
    assert!(is_there(core, &proxy), "the successor's registration holds");
    let gone = std::iter::from_fn(|| events.try_recv().ok()).any(|event| matches!(event, Event::ProxyDisconnected { .. }));
    assert!(!gone, "nobody is told that the proxy is gone");
}

#[tokio::test]
async fn an_elder_that_comes_back_says_so_and_does_not_serve() {
    let folder = tempfile::tempdir().unwrap();
    let control = start(folder.path()).await;
    let core = &control.core;
    let proxy = register(core, "web", Some("web"), 9001);
    let mut younger = Peer::join(core, control.xds_address, &proxy).await;
    younger.step().await.unwrap();
    eventually("it has acknowledged", || core.lock().sessions[&proxy].acknowledged.is_some()).await;
    let said = core.lock().sessions[&proxy].since;
    let mut elder = Peer::rejoin(core, control.xds_address, &proxy, ClientSession::leave).await;
    elder.step().await.unwrap();
    eventually("the elder is known as such", || leaving(core) == 1).await;
    let session = core.lock().sessions[&proxy].clone();
    assert!(session.connected && session.since == said && session.acknowledged.is_some(), "the younger's state is the proxy's");
    drop(elder);
    eventually("it is gone", || leaving(core) == 0).await;
    assert!(is_there(core, &proxy));
    // And where the younger goes, nobody is sent to the elder.
    let mut elder = Peer::rejoin(core, control.xds_address, &proxy, ClientSession::leave).await;
    elder.step().await.unwrap();
    drop(younger);
    eventually("nobody is sent there", || core.lock().registry.is_withdrawn(&proxy)).await;
}

#[tokio::test]
async fn where_a_successor_ends_before_it_serves_the_elder_is_the_proxy_again() {
    let folder = tempfile::tempdir().unwrap();
    let control = start(folder.path()).await;
    let core = &control.core;
    let proxy = register(core, "web", Some("web"), 9001);
    let mut elder = Peer::join(core, control.xds_address, &proxy).await;
    elder.step().await.unwrap();
    let mut younger = Peer::join(core, control.xds_address, &proxy).await;
    younger.step().await.unwrap();
    eventually("both are there", || leaving(core) == 1).await;
    drop(younger);
    eventually("one is left", || leaving(core) == 0).await;
    tokio::time::sleep(control::limits::GONE + Duration::from_millis(1500)).await;
    assert!(is_there(core, &proxy), "the elder still serves");
}
