//! HBONE both ways: what we send by it, and what strangers of the mesh may ask for.

use super::resources::{self, GRPC, HTTP, Place, TCP};
use super::{Shop, bounded, id};
use crate::upstream::{UpstreamKey, Via};
use std::time::Duration;
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use testkit::streams::{Kind as StreamKind, Streams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use transport::preface::Framing;

#[tokio::test]
async fn endpoints_that_speak_hbone_are_reached_by_it() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        shop.mesh.put(resources::catalog(&[Place::hbone("catalog-1", shop.tunnel, backend.address.port())]));
        let door = shop.web.named("catalog", HTTP);
        for _ in 0..3 {
            let (status, _, body) = fetch(&Shot::upload(door, "catalog", "/books", 300_000)).await.unwrap();
            assert_eq!(status.as_u16(), 200);
            assert!(body.starts_with(b"catalog POST /books 300000\n"));
            let record = shop.web.record().await;
            assert_eq!((&record["security"], &record["protocol"]), (&"mutual_tls".into(), &"http".into()));
        }
        let door = shop.web.named("catalog", GRPC);
        let streams = Streams::start(StreamKind::Grpc, door, "catalog", "/b.B/Watch", 2);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let tally = streams.finish().await;
        assert!(tally.total() >= 2 && tally.lost() == 0, "{tally:?}");
    })
    .await;
}

#[tokio::test]
async fn bytes_by_hbone_are_recorded_with_their_caller() {
    bounded(async {
        let backend = Backend::tcp("hello\n").await;
        let mut shop = Shop::new(backend.address);
        shop.mesh.put(resources::catalog(&[Place::hbone("catalog-1", shop.tunnel, backend.address.port())]));
        let mut stream = TcpStream::connect(shop.web.named("catalog", TCP)).await.unwrap();
        stream.write_all(&[7; 100_000]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.unwrap();
        assert_eq!(back.len(), 100_006);
        let record = shop.catalog.record().await;
        assert_eq!((&record["protocol"], &record["security"]), (&"tcp".into(), &"mutual_tls".into()));
        assert_eq!(record["source_principal"], "spiffe://organza.local/ns/shop/sa/web");
        assert_eq!((&record["source_workload"], &record["bytes_received"]), (&"web".into(), &100_000.into()));
    })
    .await;
}

#[tokio::test]
async fn a_forged_authority_leads_nowhere() {
    bounded(async {
        let backend = Backend::tcp("hello\n").await;
        let elsewhere = Backend::tcp("secret\n").await;
        let shop = Shop::new(backend.address);
        let open = async |authority: String| {
            let via = Via::Hbone { expected: [id("catalog")].into(), authority: authority.as_str().into() };
            let key = UpstreamKey { address: shop.tunnel, via, framing: Framing::Tcp, counted: None, told: None };
            let mut up = shop.web.worker.connect(&key, true).await?;
            Ok::<_, transport::Error>(up.pooled.connection.reader.piece(100).await.unwrap())
        };
        let (own, other) = (backend.address.port(), elsewhere.address.port());
        for forged in [format!("127.0.0.1:{other}"), format!("10.1.2.3:{own}"), format!("other:{HTTP}"), format!("catalog:{own}")] {
            let error = open(forged.clone()).await.unwrap_err();
            assert!(error.why.contains("404"), "{forged}: {error}");
            let record = shop.catalog.record().await;
            assert_eq!((&record["fault"], &record["source_principal"]), (&"misdirected_request".into(), &id("web").to_string().into()));
        }
        assert_eq!((backend.requests(), elsewhere.requests()), (0, 0));
        for honest in [format!("127.0.0.1:{own}"), format!("catalog:{TCP}")] {
            assert_eq!(open(honest).await.unwrap(), "hello\n");
        }
    })
    .await;
}
