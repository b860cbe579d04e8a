//! Who asks a gateway for another handshake on an open connection of TLS 1.2: refused once, and ended the second time.

use crate::tests::resources::{self, HTTP};
use crate::tests::{Shop, backend_tls, key, within};
use model::{Kind, Resource, Target};
use rustls::crypto::CryptoProvider;
use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ConnectionTrafficSecrets, ContentType, ProtocolVersion, RootCertStore, SupportedCipherSuite};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use testkit::backend::Backend;
use testkit::outsider::Outsider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A client that has shaken hands and from then on writes records of any kind by itself.
struct Peer {
    stream: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Peer {
    async fn new(door: SocketAddr, authority: &Outsider) -> Self {
        let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
        let SupportedCipherSuite::Tls12(parts) = suite else { panic!("a suite of TLS 1.2") };
        let provider = CryptoProvider { cipher_suites: vec![suite], ..rustls::crypto::aws_lc_rs::default_provider() };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(identity::pem::certificates(authority.root.as_bytes()).unwrap());
        let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[&rustls::version::TLS12]).unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.enable_secret_extraction = true;
        let stream = TcpStream::connect(door).await.unwrap();
        let name = ServerName::try_from("shop.example").unwrap();
        let (stream, session) = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap().into_inner();
        let (sequence, secrets) = session.dangerous_extract_secrets().unwrap().tx;
        let ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } = secrets else { panic!("the suite's secrets") };
        Self { stream, encrypter: parts.aead_alg.encrypter(key, iv.as_ref(), &[]), sequence }
    }

    async fn write(&mut self, typ: ContentType, payload: &[u8]) {
        let message = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload: OutboundChunks::Single(payload) };
        let record = self.encrypter.encrypt(message, self.sequence).unwrap();
        self.sequence += 1;
        self.stream.write_all(&record.encode()).await.unwrap();
    }

    /// The type of the next record, 0 at the end.
    async fn read(&mut self) -> u8 {
        let mut head = [0; 5];
        if self.stream.read_exact(&mut head).await.is_err() {
            return 0;
        }
        let length = u16::from_be_bytes([head[3], head[4]]);
        self.stream.read_exact(&mut vec![0; length.into()]).await.unwrap();
        head[0]
    }
}

#[tokio::test]
async fn a_handshake_on_an_open_connection_is_refused_once_and_ends_it_the_second_time() {
    // Less than a connection that is kept alive waits for its next request.
    within(Duration::from_secs(60), async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let authority = Outsider::new("public");
        let certificate = backend_tls::certificate("edge", &authority, &["shop.example"]);
        let target = Target::Listener(key(Kind::Listener, "edge.web"));
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        let listener = resources::listener(443, Some(certificate.key.clone()));
        shop.mesh.put(vec![Resource::Certificate(certificate), listener, resources::route(target, rule)]);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(443);
        let (handshake, data, alert) = (ContentType::Handshake, ContentType::ApplicationData, u8::from(ContentType::Alert));
        // Version, random, no session, one suite, no compression.
        let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0xcc, 0xa9, 1, 0]].concat();
        let hello = [&[1, 0, 0, u8::try_from(body.len()).unwrap()][..], &body].concat();
        let mut peer = Peer::new(door, &authority).await;
        peer.write(handshake, &hello).await;
        assert_eq!(peer.read().await, alert);
        // What it was told is a warning: it may go on without.
        peer.write(data, b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n").await;
        assert_eq!(peer.read().await, u8::from(data));
        assert_eq!(gateway.record().await["response_code"], 200);
        peer.write(handshake, &hello).await;
        while peer.read().await != 0 {}
        // Asked in one breath, and never for anything else.
        let mut insists = Peer::new(door, &authority).await;
        insists.write(handshake, &hello).await;
        insists.write(handshake, &hello).await;
        while insists.read().await != 0 {}
        let metrics = gateway.worker.shared.metrics.encode();
        assert!(metrics.contains("organza_downstream_cx_ended_total{cause=\"tls_renegotiation\"} 2"), "{metrics}");
        assert_eq!(gateway.worker.shared.metrics.encode().matches("organza_downstream_cx_ended_total{").count(), 1);
    })
    .await;
}
