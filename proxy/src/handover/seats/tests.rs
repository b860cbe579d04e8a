//! Two processes of one proxy, as far as seats go: each on its own state, with a socket between them.

use super::*;
use crate::tests::bounded;
use crate::tests::connections::{Scene, doors, fetch_one, policy};
use crate::tests::resources::{HTTP, TCP};
use model::Tunnel;
use testkit::backend::Backend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::{spawn_local, yield_now};

/// From now on the younger counts for the elder.
async fn succeed(elder: &Arc<Shared>, younger: &Arc<Shared>) -> [JoinHandle<()>; 2] {
    let (a, b) = UnixStream::pair().unwrap();
    let lending = spawn_local(lend(Channel::new(a), elder.clone()));
    let mut channel = Channel::new(b);
    let (Word::Seats(told), _) = hear(&mut channel, EVER).await.unwrap() else { panic!("seats come first") };
    [lending, Elder { channel, told }.count(younger.clone())]
}

async fn echo(mut stream: TcpStream) -> TcpStream {
    stream.write_all(b"a").await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();
    stream
}

fn counts(shared: &Shared) -> (u32, u32) {
    shared.guards.crowded().first().map_or((0, 0), |full| (full.open, full.waiting))
}

async fn until(shared: &Shared, what: (u32, u32)) {
    while counts(shared) != what {
        yield_now().await;
    }
}

#[tokio::test]
async fn both_have_no_more_connections_than_one_may_and_each_gets_what_comes_free() {
    bounded(async {
        let backend = Backend::tcp("").await;
        let mut scene = Scene::new(Some(Tunnel::Organza), backend.address, policy(Some(2), 8)).await;
        let mut younger = scene.mesh.proxy("web");
        let (old, new) = (doors(&mut scene.web, 1, TCP), doors(&mut younger, 2, TCP));
        let (elders, youngers) = (scene.web.worker.shared.clone(), younger.worker.shared.clone());
        let dial = async |doors: &[(std::net::SocketAddr, crate::doors::Doors)]| TcpStream::connect(doors[0].0).await.unwrap();
        let (first, second) = (echo(dial(&old).await).await, echo(dial(&old).await).await);
        let [lending, counting] = succeed(&elders, &youngers).await;
        // Nobody has called by the younger yet, which knows the limit all the same.
        let eager = spawn_local(echo(dial(&old).await));
        until(&youngers, (2, 1)).await;
        drop(first);
        let first = eager.await.unwrap();
        // The younger has none of its own, and waits for the elder's.
        let third = spawn_local(echo(dial(&new).await));
        until(&youngers, (2, 1)).await;
        drop(first);
        let third = third.await.unwrap();
        // The elder asks for another.
        let fourth = spawn_local(echo(dial(&old).await));
        until(&youngers, (2, 1)).await;
        drop(third);
        let fourth = fourth.await.unwrap();
        assert_eq!((scene.relay.most.get(), counts(&youngers).0), (2, 2));
        // One that ends without a word gives back all that it had.
        lending.abort();
        until(&youngers, (0, 0)).await;
        drop((second, fourth));
        drop((echo(dial(&new).await).await, counting));
    })
    .await;
}

#[tokio::test]
async fn what_lies_idle_at_the_elder_is_the_youngers() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut scene = Scene::new(None, backend.address, policy(Some(1), 8)).await;
        let mut younger = scene.mesh.proxy("web");
        let (old, new) = (doors(&mut scene.web, 2, HTTP), doors(&mut younger, 2, HTTP));
        assert_eq!(fetch_one(old[0].0).await, 200);
        let (elders, youngers) = (scene.web.worker.shared.clone(), younger.worker.shared.clone());
        let [_lending, counting] = succeed(&elders, &youngers).await;
        for door in [&new[0], &old[0], &new[1], &old[1], &new[0]] {
            assert_eq!(fetch_one(door.0).await, 200);
        }
        assert_eq!(scene.relay.most.get(), 1);
        // The younger is gone: the elder counts for itself.
        counting.abort();
        assert_eq!(fetch_one(old[1].0).await, 200);
    })
    .await;
}

#[tokio::test]
async fn a_predecessor_that_ends_behind_its_last_word_costs_nobody_the_doors() {
    bounded(async {
        let (a, b) = UnixStream::pair().unwrap();
        let successor = crate::handover::Successor { channel: Channel::new(a), seats: true, datagrams: false };
        let predecessor = async {
            let mut channel = Channel::new(b);
            hear(&mut channel, EVER).await.unwrap();
            say(&mut channel, &Word::Yours, &[]).await.unwrap();
        };
        let (taken, ()) = futures_util::future::join(successor.taken(), predecessor).await;
        assert!(taken.is_ok_and(|rest| rest.elder.is_none()));
    })
    .await;
}
