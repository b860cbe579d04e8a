//! A gateway with a certificate, and callers that shake hands with it and from then on write records of TLS by themselves.

use crate::tests::resources::{self, HTTP};
use crate::tests::{Proxy, Shop, backend_tls, key};
use model::{Kind, Resource, Target};
use rustls::crypto::CryptoProvider;
use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ConnectionTrafficSecrets, ContentType, ProtocolVersion, RootCertStore, SupportedCipherSuite, SupportedProtocolVersion,
};
use std::net::SocketAddr;
use std::sync::Arc;
use testkit::backend::Backend;
use testkit::outsider::Outsider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub const DATA: u8 = 23;
pub const ALERT: u8 = 21;
pub const QUESTION: &[u8] = b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n";

/// `shop.example` by TLS at a gateway, with a backend that answers.
pub struct Edge {
    pub gateway: Proxy,
    authority: Outsider,
    door: SocketAddr,
    _shop: Shop,
    _backend: Backend,
}

impl Edge {
    pub async fn new() -> Self {
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
        Self { gateway, authority, door, _shop: shop, _backend: backend }
    }

    /// A caller that has shaken hands by this version.
    pub async fn session(&self, version: &'static SupportedProtocolVersion) -> Box<TlsStream<TcpStream>> {
        let suites = match version.version {
            ProtocolVersion::TLSv1_2 => vec![rustls::crypto::aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256],
            _ => rustls::crypto::aws_lc_rs::default_provider().cipher_suites,
        };
        let provider = CryptoProvider { cipher_suites: suites, ..rustls::crypto::aws_lc_rs::default_provider() };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(identity::pem::certificates(self.authority.root.as_bytes()).unwrap());
        let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[version]).unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.enable_secret_extraction = true;
        let stream = TcpStream::connect(self.door).await.unwrap();
        let shake = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("shop.example").unwrap(), stream);
        Box::new(Box::pin(shake).await.unwrap())
    }

    /// A caller by TLS 1.2 that writes its records by itself.
    pub async fn peer(&self) -> Peer {
        let (stream, session) = self.session(&rustls::version::TLS12).await.into_inner();
        let SupportedCipherSuite::Tls12(parts) = session.negotiated_cipher_suite().unwrap() else { panic!("a suite of TLS 1.2") };
        let (sequence, secrets) = session.dangerous_extract_secrets().unwrap().tx;
        let ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } = secrets else { panic!("the suite's secrets") };
        Peer { stream, encrypter: parts.aead_alg.encrypter(key, iv.as_ref(), &[]), sequence }
    }

    /// So many callers were ended for this cause, and none for another.
    pub fn assert_ended(&self, cause: &str, callers: usize) {
        let metrics = self.gateway.worker.shared.metrics.encode();
        let counted: Vec<&str> = metrics.lines().filter(|line| line.starts_with("organza_downstream_cx_ended_total{")).collect();
        assert_eq!(counted, [format!("organza_downstream_cx_ended_total{{cause=\"{cause}\"}} {callers}.0")]);
    }
}

pub struct Peer {
    stream: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Peer {
    pub async fn write(&mut self, typ: ContentType, payload: &[u8]) {
        let message = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload: OutboundChunks::Single(payload) };
        let record = self.encrypter.encrypt(message, self.sequence).unwrap();
        self.sequence += 1;
        self.stream.write_all(&record.encode()).await.unwrap();
    }

    /// The type of the next record, 0 at the end.
    pub async fn read(&mut self) -> u8 {
        let mut head = [0; 5];
        if self.stream.read_exact(&mut head).await.is_err() {
            return 0;
        }
        let length = u16::from_be_bytes([head[3], head[4]]);
        self.stream.read_exact(&mut vec![0; length.into()]).await.unwrap();
        head[0]
    }

    pub async fn read_to_end(&mut self) {
        while self.read().await != 0 {}
    }

    /// It may still ask, and is answered.
    pub async fn is_served(&mut self, gateway: &Proxy) {
        self.write(ContentType::ApplicationData, QUESTION).await;
        assert_eq!(self.read().await, DATA);
        assert_eq!(gateway.record().await["response_code"], 200);
    }
}
