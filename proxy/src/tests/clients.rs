//! Certificates that a gateway asks of its clients: who is let in, what a change of roots does to whom, and that what cannot be checked is
//! closed.

use super::grpc::{answer, post};
use super::resources::{self, HTTP};
use super::strangers::certificate;
use super::{Proxy, Shop, bounded, id, key};
use ::identity::{Authority, Credentials, Csr, Expected, SignRequest, Signer, Svid, alpn, pem};
use bytes::BytesMut;
use model::*;
use rustls::pki_types::ServerName;
use rustls::time_provider::DefaultTimeProvider;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;
use testkit::backend::Backend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transport::body::Length;
use transport::{Error, Stream, h2, tls};

const PORT: u16 = 443;

/// An authority that has nothing to do with the mesh.
struct Club(Authority);

impl Club {
    fn new() -> Self {
        Self(Authority::create(TrustDomain::parse("club.example").unwrap(), SystemTime::now()).unwrap())
    }

    fn roots(&self) -> Arc<[u8]> {
        pem::encode_chain(self.0.roots().iter().map(|root| &**root)).into_bytes().into()
    }

    /// A member's certificate, for one who believes what the mesh's gateways show.
    fn member(&mut self, shop: &Shop) -> Credentials {
        let name = SpiffeId::parse("spiffe://club.example/ns/a/sa/member").unwrap();
        let csr = Csr::generate(&name).unwrap();
        let issued = self.0.sign(&SignRequest::parse(&csr.der).unwrap(), &name, SystemTime::now()).unwrap();
        Credentials::with_svid(Svid::new(issued.chain, csr.key()).unwrap(), shop.mesh.trust.clone())
    }
}

fn nobody(shop: &Shop) -> Credentials {
    Credentials::new(shop.mesh.trust.clone())
}

fn listener(section: &str, hostname: &str, clients: ClientCertificates) -> Resource {
    let Resource::Listener(plain) = resources::listener(PORT, Some(key(Kind::Certificate, "edge"))) else { panic!("a listener") };
    let mut made = Listener::clone(&plain);
    made.key = key(Kind::Listener, &format!("edge.{section}"));
    made.section = section.into();
    made.hostname = HostPattern::parse(hostname).unwrap();
    made.tls.as_mut().unwrap().clients = clients;
    Resource::Listener(Arc::new(made))
}

/// A gateway that asks its clients for this.
fn edge(shop: &mut Shop, clients: ClientCertificates) -> (Proxy, SocketAddr) {
    let shown = certificate(shop);
    let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
    let route = resources::route(Target::Listener(key(Kind::Listener, "edge.web")), rule);
    shop.mesh.put(vec![shown, listener("web", "*", clients), route]);
    let mut gateway = shop.mesh.proxy("gateway");
    let door = gateway.gateway(PORT);
    (gateway, door)
}

async fn connect(door: SocketAddr, shown: &Credentials, offer: &[u8]) -> Result<Stream, Error> {
    let config = ::identity::client_config(shown, Expected::AnyTrusted, &[offer], Arc::new(DefaultTimeProvider)).unwrap();
    let mut config = (*config).clone();
    config.enable_sni = true;
    let name = ServerName::try_from("a.example").unwrap();
    tls::connect(Stream::connect(door).await.unwrap(), Arc::new(config), name).await
}

/// The status of one request on a connection that stays open.
async fn get(stream: &mut Stream) -> io::Result<u16> {
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n").await?;
    let mut text = Vec::new();
    loop {
        if stream.read_buf(&mut text).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let read = String::from_utf8_lossy(&text);
        let Some((head, body)) = read.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() >= length.unwrap_or(usize::MAX) {
            return Ok(head[9..12].parse().unwrap());
        }
    }
}

/// The status of one request on a connection of its own.
async fn once(door: SocketAddr, shown: &Credentials) -> io::Result<u16> {
    let mut stream = connect(door, shown, alpn::HTTP1).await.map_err(|e| io::Error::other(e.why))?;
    get(&mut stream).await
}

#[tokio::test]
async fn only_those_whom_the_roots_vouch_for_are_let_in() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let (mut club, mut other) = (Club::new(), Club::new());
        let (gateway, door) = edge(&mut shop, ClientCertificates::Required(club.roots()));
        let (member, stranger) = (club.member(&shop), other.member(&shop));
        assert_eq!(once(door, &member).await.unwrap(), 200);
        let record = gateway.record().await;
        // A name that another authority gave is none of the mesh: it is the gateway that calls.
        assert_eq!(record["source_principal"], id("gateway").to_string(), "{record}");
        let own = shop.mesh.credentials("web");
        for (name, shown) in [("stranger", &stranger), ("nobody", &nobody(&shop)), ("a member of the mesh", &own)] {
            assert!(once(door, shown).await.is_err(), "{name}");
        }
        assert_eq!(backend.requests(), 1);
        let text = gateway.worker.shared.metrics.encode();
        for cause in ["tls_no_client_certificate", "tls_client_certificate_untrusted"] {
            assert!(text.contains(cause), "{cause}\n{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_asks_for_a_name_that_nobody_has_for_none_or_for_nonsense_is_counted_by_that() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let (gateway, door) = edge(&mut shop, ClientCertificates::Unasked);
        shop.mesh.put(vec![listener("web", "a.example", ClientCertificates::Unasked)]);
        let hello = |name: &str| {
            let shown = ::identity::client_config(&nobody(&shop), Expected::AnyTrusted, &[alpn::HTTP1], Arc::new(DefaultTimeProvider));
            let mut config = (*shown.unwrap()).clone();
            config.enable_sni = name != "*";
            let name = ServerName::try_from(name.replace('*', "b.example")).unwrap();
            let mut hello = Vec::new();
            rustls::ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut hello).unwrap();
            hello
        };
        // A name is as long as it was, and none any more.
        let mut nonsense = hello("a.example");
        let at = nonsense.windows(9).position(|part| part == b"a.example").unwrap();
        nonsense[at..at + 9].copy_from_slice(b"a b\0.?!..");
        for (bytes, cause) in [
            (hello("b.example"), "tls_server_name_unknown"),
            (hello("*"), "tls_server_name_missing"),
            (hello("127.0.0.1"), "tls_server_name_missing"),
            (nonsense, "tls_server_name_malformed"),
        ] {
            let count = || {
                let start = format!("organza_downstream_cx_ended_total{{cause=\"{cause}\"}} ");
                let text = gateway.worker.shared.metrics.encode();
                text.lines().find_map(|line| line.strip_prefix(&start)?.parse::<f64>().ok()).unwrap_or(0.0)
            };
            let before = count();
            let mut stream = Stream::connect(door).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            let alert = rest(&mut stream).await;
            assert_eq!(alert.first(), Some(&21), "{cause}: {alert:?}");
            assert_eq!(count() - before, 1.0, "{cause}\n{}", gateway.worker.shared.metrics.encode());
        }
        assert!(!gateway.worker.shared.metrics.encode().contains("tls_malformed"));
        assert_eq!(once(door, &nobody(&shop)).await.unwrap(), 200);
    })
    .await;
}

/// A request of which the half is sent.
async fn begin(stream: &mut Stream) {
    stream.write_all(b"POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nab").await.unwrap();
}

/// Whatever comes until the connection ends.
async fn rest(stream: &mut Stream) -> Vec<u8> {
    let mut all = Vec::new();
    // How it ends is all the same.
    let _ = stream.read_to_end(&mut all).await;
    all
}

#[tokio::test]
async fn who_is_under_a_root_that_is_taken_away_is_cut_and_the_rest_lives_on() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let (mut old, mut new) = (Club::new(), Club::new());
        let required = |roots: &[&Arc<[u8]>]| {
            let all: Vec<u8> = roots.iter().flat_map(|one| one.iter().copied()).collect();
            vec![listener("web", "*", ClientCertificates::Required(all.into()))]
        };
        let (gateway, door) = edge(&mut shop, ClientCertificates::Required(old.roots()));
        let (before, after) = (old.member(&shop), new.member(&shop));
        let [mut idle, mut busy] = [connect(door, &before, alpn::HTTP1).await.unwrap(), connect(door, &before, alpn::HTTP1).await.unwrap()];
        assert_eq!(get(&mut idle).await.unwrap(), 200);
        shop.mesh.put(required(&[&old.roots(), &new.roots()]));
        assert_eq!(get(&mut idle).await.unwrap(), 200, "a root beside it takes nothing away");
        let [mut kept, mut carried] =
            [connect(door, &after, alpn::HTTP1).await.unwrap(), connect(door, &after, alpn::HTTP1).await.unwrap()];
        assert_eq!(get(&mut kept).await.unwrap(), 200);
        begin(&mut busy).await;
        begin(&mut carried).await;
        while backend.requests() < 5 {
            tokio::task::yield_now().await;
        }
        shop.mesh.put(required(&[&new.roots()]));
        let record = gateway.failed("unauthenticated").await;
        assert!(record["reason"].as_str().unwrap().contains("is believed no more"), "{record}");
        assert_eq!(record["verdict_by"], "Gateway shop/edge", "{record}");
        for mut cut in [idle, busy] {
            let said = rest(&mut cut).await;
            assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
        }
        assert!(once(door, &before).await.is_err());
        assert_eq!(get(&mut kept).await.unwrap(), 200, "who is believed still is not touched");
        carried.write_all(b"cd").await.unwrap();
        let mut answer = [0; 12];
        carried.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        assert!(gateway.worker.shared.metrics.encode().contains("tls_client_certificate_untrusted"));
    })
    .await;
}

#[tokio::test]
async fn streams_end_with_the_trust_in_their_connections_certificate() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let (mut old, mut new) = (Club::new(), Club::new());
        let (gateway, door) = edge(&mut shop, ClientCertificates::Required(old.roots()));
        let stream = connect(door, &old.member(&shop), alpn::H2).await.unwrap();
        let client = h2::Client::new(stream, BytesMut::new()).await.unwrap();
        let (_up, mut reply) = client.request(&post("a.example", "/2", false), Length::Open).unwrap();
        while backend.requests() < 1 {
            tokio::task::yield_now().await;
        }
        shop.mesh.put(vec![listener("web", "*", ClientCertificates::Required(new.roots()))]);
        assert!(answer(&mut reply).await.is_err());
        gateway.failed("unauthenticated").await;
        assert!(once(door, &new.member(&shop)).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_showed_nothing_is_of_no_use_once_certificates_are_required() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let (mut club, mut other) = (Club::new(), Club::new());
        for before in [ClientCertificates::Insecure(club.roots()), ClientCertificates::Unasked] {
            let (gateway, door) = edge(&mut shop, before);
            let stranger = other.member(&shop);
            for shown in [&stranger, &nobody(&shop)] {
                assert_eq!(once(door, shown).await.unwrap(), 200, "whoever comes is let in");
                gateway.record().await;
            }
            let mut kept = connect(door, &stranger, alpn::HTTP1).await.unwrap();
            assert_eq!(get(&mut kept).await.unwrap(), 200);
            gateway.record().await;
            let mut busy = connect(door, &stranger, alpn::HTTP1).await.unwrap();
            let there = backend.requests();
            begin(&mut busy).await;
            while backend.requests() == there {
                tokio::task::yield_now().await;
            }
            shop.mesh.put(vec![listener("web", "*", ClientCertificates::Required(club.roots()))]);
            assert!(rest(&mut busy).await.is_empty(), "what is under way ends");
            gateway.failed("misdirected_request").await;
            assert_eq!(get(&mut kept).await.unwrap(), 421);
            let record = gateway.record().await;
            assert_eq!((&record["fault"], &record["verdict_by"]), (&"misdirected_request".into(), &"Gateway shop/edge".into()), "{record}");
            assert!(once(door, &stranger).await.is_err());
            assert_eq!(once(door, &club.member(&shop)).await.unwrap(), 200);
        }
    })
    .await;
}

#[tokio::test]
async fn roots_that_cannot_be_read_or_do_not_agree_close_the_port() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let mut club = Club::new();
        let (_gateway, door) = edge(&mut shop, ClientCertificates::Required(b"no certificate"[..].into()));
        let member = club.member(&shop);
        assert!(once(door, &member).await.is_err());
        shop.mesh.put(vec![listener("web", "*", ClientCertificates::Required(club.roots()))]);
        assert_eq!(once(door, &member).await.unwrap(), 200);
        // Which of two questions to ask is not known before a name is.
        shop.mesh.put(vec![listener("other", "b.example", ClientCertificates::Unasked)]);
        for shown in [&member, &nobody(&shop)] {
            assert!(once(door, shown).await.is_err());
        }
        assert_eq!(backend.requests(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_connection_is_not_shared_with_another_listeners_host() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let mut club = Club::new();
        let asked = ClientCertificates::Required(club.roots());
        let (_gateway, door) = edge(&mut shop, asked.clone());
        shop.mesh.put(vec![listener("other", "b.example", asked)]);
        let stream = connect(door, &club.member(&shop), alpn::H2).await.unwrap();
        let client = h2::Client::new(stream, BytesMut::new()).await.unwrap();
        for (host, want) in [("a.example", 200), ("b.example", 421), ("a.example", 200)] {
            let (_up, mut reply) = client.request(&post(host, "/2", false), Length::None).unwrap();
            assert_eq!(answer(&mut reply).await.unwrap().0.status, want, "{host}");
        }
    })
    .await;
}
