//! Floods at a gateway: the caller is told why, the connection is counted by its cause and recorded, and others are served on.

use crate::tests::resources::{self, HTTP};
use crate::tests::{Shop, bounded, key};
use model::{Kind, Target};
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_flood_is_ended_with_its_code_and_counted_by_its_name() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let target = Target::Listener(key(Kind::Listener, "edge.web"));
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        shop.mesh.put(vec![resources::listener(80, None), resources::route(target, rule)]);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        let mut stream = TcpStream::connect(door).await.unwrap();
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        // One more than the budget, and not a byte behind it that could turn our last word into a reset.
        let pings = [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[7; 8]].concat().repeat(transport::limits::H2_PING.burst as usize + 1);
        stream.write_all(&[transport::h2::CLIENT_PREFACE, &settings, &pings].concat()).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0];
        let at = all.windows(9).position(|window| window == goaway).expect("a GOAWAY");
        assert_eq!(all[at + 13..at + 17], [0, 0, 0, 0xb]);
        let record = gateway.record().await;
        assert_eq!(
            (&record["fault"], &record["reason"]),
            (&"malformed_request".into(), &"HTTP/2: more PING frames than their budget".into())
        );
        let metrics = gateway.worker.shared.metrics.encode();
        assert!(metrics.contains("organza_downstream_cx_ended_total{cause=\"h2_ping_flood\"} 1"), "{metrics}");
        assert_eq!(fetch(&Shot::get(door, "shop.example", "/")).await.unwrap().0.as_u16(), 200);
    })
    .await;
}
