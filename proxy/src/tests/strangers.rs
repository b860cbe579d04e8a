//! Strangers at a gateway: HTTP/1 and HTTP/2, in plain and by TLS, upgrades of both kinds.

use super::grpc::{answer, client, post};
use super::resources::{self, GRPC, HTTP};
use super::{Shop, bounded, id, key};
use bytes::{Bytes, BytesMut};
use identity::{Credentials, Csr, Expected, SignRequest, Signer, alpn};
use model::{Kind, Method, Resource, Target};
use rustls::pki_types::ServerName;
use rustls::time_provider::DefaultTimeProvider;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use testkit::streams::{Kind as StreamKind, Streams};
use transport::body::Length;
use transport::h2::Client;
use transport::{Stream, h1, rt, tls};

/// A gateway in front of the shop, by TLS where there is a certificate.
fn edge(shop: &mut Shop, certificate: Option<model::Key>, port: u16) -> (super::Proxy, std::net::SocketAddr) {
    let target = Target::Listener(key(Kind::Listener, "edge.web"));
    let rule = resources::rule(vec![resources::backend("catalog", port, 1)]);
    shop.mesh.put(vec![resources::listener(443, certificate), resources::route(target, rule)]);
    let mut gateway = shop.mesh.proxy("gateway");
    let door = gateway.gateway(443);
    (gateway, door)
}

pub fn certificate(shop: &mut Shop) -> Resource {
    let csr = Csr::generate(&id("edge")).unwrap();
    let issued = shop.mesh.authority.sign(&SignRequest::parse(&csr.der).unwrap(), &id("edge"), SystemTime::now()).unwrap();
    let chain = identity::pem::encode_chain(issued.chain.iter().map(Vec::as_slice)).into_bytes();
    let private_key = identity::pem::encode("PRIVATE KEY", csr.key()).into_bytes();
    Resource::Certificate(Arc::new(model::Certificate {
        key: key(Kind::Certificate, "edge"),
        chain: chain.into(),
        private_key: private_key.into(),
    }))
}

#[tokio::test]
async fn one_plain_port_takes_both_versions() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let (gateway, door) = edge(&mut shop, None, HTTP);
        assert_eq!(fetch(&Shot::get(door, "shop.example", "/1")).await.unwrap().0.as_u16(), 200);
        let client = client(door).await;
        let (_up, mut reply) = client.request(&post("shop.example", "/2", false), Length::None).unwrap();
        assert_eq!(answer(&mut reply).await.unwrap().0.status, 200);
        for path in ["/1", "/2"] {
            let record = gateway.record().await;
            assert_eq!((&record["path"], &record["security"], &record["response_code"]), (&path.into(), &"mutual_tls".into(), &200.into()));
        }
    })
    .await;
}

#[tokio::test]
async fn tls_agrees_on_the_version() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let shown = certificate(&mut shop);
        let name = shown.key().clone();
        shop.mesh.put(vec![shown]);
        let (_gateway, door) = edge(&mut shop, Some(name), HTTP);
        let credentials = Credentials::new(shop.mesh.trust.clone());
        let connect = async |offer: &[&[u8]]| {
            let config = identity::client_config(&credentials, Expected::AnyTrusted, offer, Arc::new(DefaultTimeProvider)).unwrap();
            let mut config = (*config).clone();
            config.enable_sni = true;
            let stream = Stream::connect(door).await.unwrap();
            tls::connect(stream, Arc::new(config), ServerName::try_from("shop.example").unwrap()).await.unwrap()
        };
        let stream = connect(&[alpn::HTTP1, alpn::H2]).await;
        assert_eq!(tls::proof(&stream).unwrap().alpn.as_deref(), Some(alpn::H2));
        let client = Client::new(stream, BytesMut::new()).await.unwrap();
        let (mut up, mut reply) = client.request(&post("shop.example", "/2", false), Length::Known(5)).unwrap();
        up.send(Bytes::from_static(b"hello")).await.unwrap();
        up.finish(None).await.unwrap();
        let (head, mut body) = answer(&mut reply).await.unwrap();
        let text = String::from_utf8(body.chunk().await.unwrap().unwrap().to_vec()).unwrap();
        assert!(head.status == 200 && text.starts_with("catalog POST /2 5\n"), "{text}");
        assert!(text.contains("x-forwarded-proto: https\n"), "{text}");
        let mut connection = h1::Connection::new(connect(&[alpn::HTTP1]).await);
        let mut head = model::RequestHead::default();
        head.set_authority("shop.example");
        head.set_target("/1");
        connection.writer.request(&mut head, Length::None, None).flush().await.unwrap();
        let mut reply = model::ResponseHead::default();
        connection.reader.response(&mut reply, &Method::Get).await.unwrap();
        assert_eq!(reply.status, 200);
    })
    .await;
}

#[tokio::test]
async fn grpc_and_web_sockets_enter() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        for (kind, port) in [(StreamKind::Grpc, GRPC), (StreamKind::WebSocket, HTTP)] {
            let (_gateway, door) = edge(&mut shop, None, port);
            let streams = Streams::start(kind, door, "shop.example", "/b.B/Watch", 2);
            tokio::time::sleep(Duration::from_millis(100)).await;
            let tally = streams.finish().await;
            assert!(tally.total() >= 2 && tally.lost() == 0, "{tally:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_extended_connect_becomes_an_upgrade() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let (gateway, door) = edge(&mut shop, None, HTTP);
        let client = client(door).await;
        for _ in 0..100 {
            if client.takes_upgrades() {
                break;
            }
            rt::sleep(Duration::from_millis(10)).await;
        }
        let mut head = post("shop.example", "/ws", false);
        head.method = Method::Connect;
        head.protocol = Some("websocket".into());
        head.headers.push("sec-websocket-version", b"13");
        let (mut up, mut reply) = client.request(&head, Length::Open).unwrap();
        let (answered, mut body) = answer(&mut reply).await.unwrap();
        assert_eq!(answered.status, 200);
        for message in ["one", "two"] {
            up.send(Bytes::from_static(message.as_bytes())).await.unwrap();
            assert_eq!(body.chunk().await.unwrap().unwrap(), message);
        }
        up.finish(None).await.unwrap();
        assert!(body.chunk().await.unwrap().is_none(), "the backend ends when its caller does");
        let record = gateway.record().await;
        assert_eq!((&record["response_code"], &record["bytes_sent"]), (&200.into(), &6.into()), "{record}");
    })
    .await;
}
