//! Floods at a gateway: the caller is told why, the connection is counted by its cause and recorded, and others are served on.

use crate::tests::resources::{self, HTTP};
use crate::tests::{Proxy, Shop, bounded, key};
use model::{Cidr, Front, FrontLimits, Kind, Listener, ProxyProtocol, Resource, Target};
use std::sync::Arc;
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A gateway that has the shop behind it at port 80, for as long as all of them are there.
async fn gateway() -> (Backend, Shop, Proxy) {
    let backend = Backend::http("catalog").await;
    let mut shop = Shop::new(backend.address);
    let target = Target::Listener(key(Kind::Listener, "edge.web"));
    let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
    shop.mesh.put(vec![resources::listener(80, None), resources::route(target, rule)]);
    let gateway = shop.mesh.proxy("gateway");
    (backend, shop, gateway)
}

#[tokio::test]
async fn a_flood_is_ended_with_its_code_and_counted_by_its_name() {
    bounded(async {
        let (_backend, _shop, mut gateway) = gateway().await;
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

#[tokio::test]
async fn requests_that_are_tricks_are_reset_and_counted_by_name_and_their_connection_goes_on() {
    bounded(async {
        let (_backend, _shop, mut gateway) = gateway().await;
        let mut stream = TcpStream::connect(gateway.gateway(80)).await.unwrap();
        let headers = |id: u8, block: &[u8]| [&[0, (block.len() >> 8) as u8, block.len() as u8, 1, 5, 0, 0, 0, id][..], block].concat();
        // GET http / of shop.example; and one whose path comes twice.
        let get = [&[0x82, 0x86, 0x84, 0x01, 12][..], b"shop.example"].concat();
        let twice = [&get[..], &[0x84]].concat();
        // A field of 4,000 bytes goes into the table, and is named a thousand times.
        let first = [&get[..], &[0x40, 1, b'x', 0x7f, 0xa1, 0x1e], &[b'v'; 4000]].concat();
        let bomb = [&get[..], &[0xbe; 1000]].concat();
        let all = [headers(1, &twice), headers(3, &first), headers(5, &bomb), headers(7, &get)].concat();
        stream.write_all(&[transport::h2::CLIENT_PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0], &all].concat()).await.unwrap();
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        while !seen.windows(6).any(|frame| frame[0] == 1 && frame[2..] == [0, 0, 0, 7]) {
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "{seen:?}");
            seen.extend_from_slice(&buffer[..count]);
        }
        let resets: Vec<u8> =
            seen.windows(13).filter(|f| f[..8] == [0, 0, 4, 3, 0, 0, 0, 0] && f[9..] == [0, 0, 0, 1]).map(|f| f[8]).collect();
        assert_eq!(resets, [1, 5]);
        let metrics = gateway.worker.shared.metrics.encode();
        for cause in ["h2_protocol_error", "h2_header_list_bomb"] {
            assert!(metrics.contains(&format!("organza_downstream_rq_reset_total{{cause=\"{cause}\"}} 1")), "{metrics}");
        }
        assert!(!metrics.contains("organza_downstream_cx_ended_total{"), "{metrics}");
    })
    .await;
}

#[tokio::test]
async fn who_a_trusted_load_balancer_names_is_the_caller_and_nobody_else_is_believed() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let target = Target::Listener(key(Kind::Listener, "edge.web"));
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        let Resource::Listener(plain) = resources::listener(80, None) else { panic!("a listener") };
        let from = |blocks: &str| {
            let trusted = ProxyProtocol::Require(vec![Cidr::parse(blocks).unwrap()]);
            let front = Front {
                proxy_protocol: trusted,
                limits: FrontLimits { connections: Some(1), ..FrontLimits::default() },
                ..Front::default()
            };
            Resource::Listener(Arc::new(Listener { front, ..Listener::clone(&plain) }))
        };
        shop.mesh.put(vec![from("127.0.0.0/8"), resources::route(target, rule)]);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        let request = "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
        let header = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
        let answer = super::exchange(door, format!("{header}{request}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-forwarded-for: 192.0.2.1\n"), "{answer}");
        assert_eq!(gateway.record().await["source_address"], "192.0.2.1:56324");
        // None, though it is required: not a byte is answered.
        assert_eq!(super::exchange(door, request.as_bytes()).await, "");
        assert_eq!(gateway.record().await["fault"], "malformed_request");
        // A stranger may write what it likes.
        shop.mesh.put(vec![from("10.0.0.0/8")]);
        assert_eq!(super::exchange(door, format!("{header}{request}").as_bytes()).await, "");
        assert_eq!(gateway.record().await["fault"], "access_denied");
        let metrics = gateway.worker.shared.metrics.encode();
        for cause in ["proxy_protocol_untrusted", "proxy_protocol_malformed"] {
            assert!(metrics.contains(&format!("organza_downstream_cx_ended_total{{cause=\"{cause}\"}} 1")), "{metrics}");
        }
        // The limit of one was learned with the first connection.
        let held = TcpStream::connect(door).await.unwrap();
        let _held = (held, TcpStream::connect(door).await.unwrap());
        while !gateway.worker.shared.metrics.encode().contains("organza_listener_full_total") {
            transport::rt::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
}
