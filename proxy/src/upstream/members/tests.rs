use crate::limits::MEMBERS_LOOKED_AT;
use crate::tests::resources::TCP;
use crate::tests::{Shop, bounded, id, key};
use crate::upstream::{UpstreamKey, Via};
use model::Kind;
use testkit::backend::Backend;
use transport::preface::Framing;

#[tokio::test]
async fn connections_that_have_ended_are_let_go_of() {
    bounded(async {
        let backend = Backend::tcp("hello\n").await;
        let shop = Shop::new(backend.address);
        let (worker, tunnel) = (&shop.web.worker, shop.tunnel);
        let open = async || {
            let via = Via::Organza { expected: [id("catalog")].into(), service: key(Kind::Service, "catalog"), port: TCP };
            worker.connect(&UpstreamKey { address: tunnel, via, framing: Framing::Http2, counted: None, told: None }, true).await.unwrap()
        };
        for _ in 0..2 * MEMBERS_LOOKED_AT {
            drop(open().await);
            assert!(worker.members.known() <= MEMBERS_LOOKED_AT);
        }
        let mut kept = Vec::new();
        for _ in 0..MEMBERS_LOOKED_AT + 1 {
            kept.push(open().await);
            assert!(worker.members.known() >= kept.len());
        }
    })
    .await;
}
