//! Strangers' bytes at a gateway: TCP, TLS carried unread by server name, TLS that ends here, all of them beside HTTPS on one port; and what
//! nobody takes.

use super::resources::{self, HTTP, Place, TCP};
use super::strangers::certificate;
use super::{Proxy, Shop, bounded, key};
use ::identity::{self, Credentials, Expected};
use model::*;
use rustls::pki_types::ServerName;
use rustls::time_provider::DefaultTimeProvider;
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use testkit::backend::Backend as Echo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use transport::{rt, tls};

const PORT: u16 = 443;

fn listener(section: &str, protocol: ListenerProtocol, hostname: &str) -> Listener {
    let terminates = matches!(protocol, ListenerProtocol::Https | ListenerProtocol::TlsTerminate);
    Listener {
        key: key(Kind::Listener, &format!("edge.{section}")),
        origin: resources::origin("Gateway", "edge"),
        gateway: key(Kind::Gateway, "edge"),
        section: section.into(),
        addresses: Vec::new(),
        port: PORT,
        protocol,
        hostname: HostPattern::parse(hostname).unwrap(),
        tls: terminates.then(|| ListenerTls { certificates: vec![key(Kind::Certificate, "edge")], ..ListenerTls::default() }),
        normalisation: Normalisation::Base,
        front: model::Front::default(),
        shown: GatewayCertificate::default(),
        asks: Vec::new(),
        broken: None,
    }
}

fn route(kind: &str, section: &str, hosts: &[&str], backends: Vec<WeightedBackend>) -> Resource {
    let protocol = match kind {
        "tcproute" => RouteProtocol::Tcp,
        "tlsroute" => RouteProtocol::Tls,
        _ => RouteProtocol::Http,
    };
    let hosts = hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect();
    Resource::Route(Arc::new(Route {
        key: key(Kind::Route, &format!("{kind}.{section}")),
        origin: resources::origin(kind, section),
        protocol,
        attachments: vec![Attachment { target: Target::Listener(key(Kind::Listener, &format!("edge.{section}"))), hosts }],
        rules: vec![resources::rule(backends)],
    }))
}

fn invalid(weight: u32) -> WeightedBackend {
    let backend = Backend::Invalid { reason: InvalidBackend::BackendNotFound, message: "Service shop/gone does not exist.".into() };
    WeightedBackend { weight, backend, filters: Vec::new() }
}

/// A gateway with one TCP listener and these backends.
pub fn tcp(shop: &mut Shop, backends: Vec<WeightedBackend>) -> (Proxy, SocketAddr) {
    let door = listener("tcp", ListenerProtocol::Tcp, "*");
    opened(shop, vec![Resource::Listener(Arc::new(door)), route("tcproute", "tcp", &["*"], backends)])
}

fn opened(shop: &mut Shop, resources: Vec<Resource>) -> (Proxy, SocketAddr) {
    shop.mesh.put(resources);
    let mut gateway = shop.mesh.proxy("gateway");
    let door = gateway.gateway(PORT);
    (gateway, door)
}

/// The words of a record that say how it ended.
fn ending(record: &Value) -> [&str; 3] {
    ["protocol", "fault", "reason"].map(|field| record[field].as_str().unwrap_or("-"))
}

async fn echoed(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), sent: &[u8]) -> Vec<u8> {
    let mut back = Vec::new();
    let (mut read, mut write) = tokio::io::split(stream);
    let sending = async {
        write.write_all(sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let (_, got) = tokio::join!(sending, read.read_to_end(&mut back));
    got.unwrap();
    back
}

#[tokio::test]
async fn tcp_is_carried_into_the_mesh_and_out_of_it() {
    bounded(async {
        let backend = Echo::tcp("hello\n").await;
        let mut shop = Shop::new(backend.address);
        let (gateway, door) = tcp(&mut shop, vec![resources::backend("catalog", TCP, 1)]);
        for (security, places) in [
            ("mutual_tls", vec![Place::organza("catalog-1", shop.tunnel, backend.address.port())]),
            ("mutual_tls", vec![Place::hbone("catalog-1", shop.tunnel, backend.address.port())]),
            ("none", vec![Place::plain("catalog-1", backend.address.port())]),
        ] {
            shop.mesh.put(resources::catalog(&places));
            let back = echoed(&mut TcpStream::connect(door).await.unwrap(), &[7; 300_000]).await;
            assert_eq!((&back[..6], back.len()), (&b"hello\n"[..], 300_006));
            let record = gateway.record().await;
            assert_eq!((&record["security"], &record["protocol"]), (&security.into(), &"tcp".into()), "{record}");
            assert_eq!((&record["bytes_received"], &record["bytes_sent"]), (&300_000.into(), &300_006.into()));
            assert_eq!((&record["listener"], &record["destination_service"]), (&"shop/edge/tcp".into(), &"catalog.shop".into()));
            assert_eq!((&record["reporter"], &record["rule"]), (&"source".into(), &"rule-0".into()));
            assert!(record["fault"].is_null(), "{record}");
        }
    })
    .await;
}

#[tokio::test]
async fn weights_hold_and_a_broken_backend_keeps_its_share() {
    bounded(async {
        let (one, two) = (Echo::tcp("1").await, Echo::tcp("2").await);
        let mut shop = Shop::new(one.address);
        shop.mesh.put(resources::service("one", &[Place::plain("one-1", one.address.port())]));
        shop.mesh.put(resources::service("two", &[Place::plain("two-1", two.address.port())]));
        let backends =
            vec![resources::backend("one", TCP, 6), resources::backend("two", TCP, 2), invalid(2), resources::backend("no", TCP, 0)];
        let (gateway, door) = tcp(&mut shop, backends);
        let mut counts = [0u32; 3];
        for _ in 0..300 {
            let back = echoed(&mut TcpStream::connect(door).await.unwrap(), b"").await;
            let record = gateway.record().await;
            match &back[..] {
                b"1" => counts[0] += 1,
                b"2" => counts[1] += 1,
                b"" => {
                    counts[2] += 1;
                    let why = "backend is invalid (BackendNotFound): Service shop/gone does not exist.";
                    assert_eq!(ending(&record), ["tcp", "invalid_backend", why], "{record}");
                    assert_eq!(
                        (&record["backend"], &record["verdict_by"]),
                        (&"invalid BackendNotFound".into(), &"tcproute shop/tcp".into())
                    );
                }
                other => panic!("{other:?}"),
            }
        }
        // Draws are seeded: four standard deviations are more than enough.
        assert!((146..=214).contains(&counts[0]) && (32..=88).contains(&counts[1]) && (32..=88).contains(&counts[2]), "{counts:?}");
        let metrics = gateway.worker.shared.metrics.encode();
        let closed =
            metrics.lines().find(|line| line.starts_with("istio_tcp_connections_closed_total") && line.contains("response_flags=\"NC\""));
        assert!(closed.unwrap().ends_with(&format!(" {}", counts[2])), "{metrics}");
    })
    .await;
}

/// A backend that ends its own direction first, and says afterwards how many bytes it still got.
async fn farewell() -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<usize>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (told, count) = tokio::sync::mpsc::unbounded_channel();
    rt::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            stream.write_all(b"bye").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            told.send(rest.len()).unwrap();
        }
    });
    (address, count)
}

#[tokio::test]
async fn either_side_may_end_first() {
    bounded(async {
        let (address, mut count) = farewell().await;
        let mut shop = Shop::new(address);
        let shown = certificate(&mut shop);
        let backends = vec![resources::backend("catalog", TCP, 1)];
        let terminate = listener("tls", ListenerProtocol::TlsTerminate, "*");
        for (secured, resources) in [
            (
                false,
                vec![
                    Resource::Listener(Arc::new(listener("tcp", ListenerProtocol::Tcp, "*"))),
                    route("tcproute", "tcp", &["*"], backends.clone()),
                ],
            ),
            (true, vec![shown, Resource::Listener(Arc::new(terminate)), route("tlsroute", "tls", &["*"], backends)]),
        ] {
            if secured {
                let gone = [key(Kind::Listener, "edge.tcp")].map(Change::Remove);
                shop.mesh.snapshot.store(Arc::new(shop.mesh.snapshot.load().apply(99, &gone, &Default::default())));
            }
            let (_gateway, door) = opened(&mut shop, resources);
            let plain = TcpStream::connect(door).await.unwrap();
            let mut stream: Box<dyn Both> = match secured {
                false => Box::new(plain),
                true => Box::new(connect(&shop, plain, "a.example", &[]).await.unwrap()),
            };
            let mut back = Vec::new();
            stream.read_to_end(&mut back).await.unwrap();
            assert_eq!(back, b"bye");
            // The server's direction is over; ours goes on for as long as we like.
            for _ in 0..10 {
                stream.write_all(&[1; 10_000]).await.unwrap();
                rt::sleep(std::time::Duration::from_millis(2)).await;
            }
            stream.shutdown().await.unwrap();
            assert_eq!(count.recv().await, Some(100_000), "secured: {secured}");
        }
    })
    .await;
}

trait Both: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Both for T {}

/// TLS to whoever shows the test's certificate; `*` names nobody.
async fn connect<IO: Both>(shop: &Shop, io: IO, name: &str, alpn: &[&[u8]]) -> io::Result<TlsStream<IO>> {
    let credentials = Credentials::new(shop.mesh.trust.clone());
    let config = identity::client_config(&credentials, Expected::AnyTrusted, alpn, Arc::new(DefaultTimeProvider)).unwrap();
    let mut config = (*config).clone();
    config.enable_sni = name != "*";
    let name = if name == "*" { "nobody.example" } else { name };
    Box::pin(TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name.to_owned()).unwrap(), io)).await
}

/// A backend that ends TLS itself, greets with the name that it was asked for, and sends everything back.
async fn secure(shop: &mut Shop) -> SocketAddr {
    let Resource::Certificate(certificate) = certificate(shop) else { panic!("a certificate") };
    let certificates = Arc::new(tls::Certificates::default());
    certificates.put([(HostPattern::Any, &*certificate)]).unwrap();
    let config = tls::opaque_config(certificates, Arc::new(DefaultTimeProvider)).unwrap();
    let socket = transport::Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.address().unwrap();
    rt::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let config = config.clone();
            rt::spawn(async move {
                let Ok(mut stream) = tls::accept(stream, config).await else { return };
                let name = tls::proof(&stream).unwrap().sni.unwrap_or_default();
                stream.write_all(format!("backend of {name}\n").as_bytes()).await.unwrap();
                let (mut read, mut write) = tokio::io::split(stream);
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
    address
}

/// One port with everything that speaks TLS: HTTPS for `*.example`, TLS carried unread for two names and a wildcard, TLS that ends here.
async fn everything(shop: &mut Shop, plain: &Echo) -> (Proxy, SocketAddr) {
    let secured = secure(shop).await;
    shop.mesh.put(resources::service("secure", &[Place::plain("secure-1", secured.port())]));
    shop.mesh.put(resources::service("plain", &[Place::plain("plain-1", plain.address.port())]));
    let shown = certificate(shop);
    let to = |service: &str, port| vec![resources::backend(service, port, 1)];
    let doors = [
        listener("web", ListenerProtocol::Https, "*.example"),
        listener("pass", ListenerProtocol::TlsPassthrough, "*.db.example"),
        listener("end", ListenerProtocol::TlsTerminate, "mail.example"),
        Listener { broken: Some("InvalidCertificateRef".into()), ..listener("bad", ListenerProtocol::TlsTerminate, "bad.db.example") },
    ];
    let mut all = vec![
        shown,
        route("httproute", "web", &["*.example"], to("catalog", HTTP)),
        route("tlsroute", "pass", &["a.db.example", "*.b.db.example"], to("secure", TCP)),
        route("tlsroute", "end", &["mail.example"], to("plain", TCP)),
    ];
    all.extend(doors.map(|door| Resource::Listener(Arc::new(door))));
    opened(shop, all)
}

#[tokio::test]
async fn one_port_carries_ends_and_reads_tls_by_server_name() {
    bounded(async {
        let (http, plain) = (Echo::http("catalog").await, Echo::tcp("220 mail\r\n").await);
        let mut shop = Shop::new(http.address);
        let (gateway, door) = everything(&mut shop, &plain).await;
        for (name, greeting) in [
            ("a.db.example", "backend of a.db.example\n"),
            ("x.b.db.example", "backend of x.b.db.example\n"),
            ("MAIL.example", "220 mail\r\n"),
        ] {
            let stream = TcpStream::connect(door).await.unwrap();
            // What is spoken inside is between the two ends.
            let mut stream = connect(&shop, stream, name, &[b"smtp"]).await.unwrap();
            let back = echoed(&mut stream, &[b'x'; 100_000]).await;
            assert_eq!((&back[..greeting.len()], back.len()), (greeting.as_bytes(), greeting.len() + 100_000));
            let record = gateway.record().await;
            assert_eq!((&record["sni"], &record["protocol"]), (&name.to_ascii_lowercase().into(), &"tcp".into()), "{record}");
        }
        let stream = TcpStream::connect(door).await.unwrap();
        let mut stream = connect(&shop, stream, "web.example", &[b"http/1.1"]).await.unwrap();
        stream.write_all(b"GET /x HTTP/1.1\r\nHost: web.example\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("catalog GET /x 0"), "{text}");
        assert_eq!(gateway.record().await["listener"], "shop/edge/web");
        // A host of another listener is not reached through this one's connection.
        let stream = TcpStream::connect(door).await.unwrap();
        let mut stream = connect(&shop, stream, "web.example", &[b"http/1.1"]).await.unwrap();
        stream.write_all(b"GET /x HTTP/1.1\r\nHost: mail.example\r\nConnection: close\r\n\r\n").await.unwrap();
        text.clear();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 421 "), "{text}");
    })
    .await;
}

#[tokio::test]
async fn names_that_nobody_takes_are_refused_with_the_reason() {
    bounded(async {
        let (http, plain) = (Echo::http("catalog").await, Echo::tcp("").await);
        let mut shop = Shop::new(http.address);
        let (gateway, door) = everything(&mut shop, &plain).await;
        let nobody = "no listener of this gateway on this port takes this host";
        for (name, want) in [
            ("c.db.example", ["tcp", "no_route", "no route has this host"]),
            ("b.db.example", ["tcp", "no_route", "no route has this host"]),
            ("bad.db.example", ["tcp", "no_route", "the listener cannot serve: InvalidCertificateRef"]),
            ("mail.elsewhere", ["tcp", "no_route", nobody]),
            ("*", ["tcp", "no_route", nobody]),
        ] {
            let stream = TcpStream::connect(door).await.unwrap();
            assert!(connect(&shop, stream, name, &[]).await.is_err(), "{name}");
            let record = gateway.record().await;
            assert_eq!(ending(&record), want, "{name}: {record}");
        }
        assert_eq!((http.requests(), plain.requests()), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_broken_listener_closes_and_says_why() {
    bounded(async {
        let backend = Echo::tcp("").await;
        let mut shop = Shop::new(backend.address);
        let broken = Listener { broken: Some("ProtocolConflict".into()), ..listener("tcp", ListenerProtocol::Tcp, "*") };
        let other = Listener { broken: Some("ProtocolConflict".into()), ..listener("web", ListenerProtocol::Http, "*") };
        let backends = vec![resources::backend("catalog", TCP, 1)];
        let all = [broken, other].map(|door| Resource::Listener(Arc::new(door)));
        let (gateway, door) = opened(&mut shop, all.into_iter().chain([route("tcproute", "tcp", &["*"], backends)]).collect());
        assert_eq!(echoed(&mut TcpStream::connect(door).await.unwrap(), b"").await, b"");
        assert_eq!(ending(&gateway.record().await), ["tcp", "no_route", "the listener cannot serve: ProtocolConflict"]);
        assert_eq!(backend.requests(), 0);
    })
    .await;
}

/// Sends every byte by itself.
struct Chopped(TcpStream);

impl AsyncRead for Chopped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Chopped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &bytes[..1.min(bytes.len())])
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_client_hello_may_come_in_many_segments() {
    bounded(async {
        let (http, plain) = (Echo::http("catalog").await, Echo::tcp("220\n").await);
        let mut shop = Shop::new(http.address);
        let (_gateway, door) = everything(&mut shop, &plain).await;
        for (name, greeting) in [("a.db.example", &b"backend of a.db.example\nx"[..]), ("mail.example", b"220\nx")] {
            let stream = TcpStream::connect(door).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut stream = connect(&shop, Chopped(stream), name, &[]).await.unwrap();
            assert_eq!(echoed(&mut stream, b"x").await, greeting);
        }
    })
    .await;
}

#[tokio::test]
async fn strangers_who_do_not_say_hello_are_not_waited_for() {
    bounded(async {
        let (http, plain) = (Echo::http("catalog").await, Echo::tcp("").await);
        let mut shop = Shop::new(http.address);
        let (gateway, door) = everything(&mut shop, &plain).await;
        let long = [&b"\x16\x03\x01\x40\x00\x01\x00\xff\xff"[..], &[0; 20_000]].concat();
        for (bytes, end, want) in [
            (&b"GET / HTTP/1.1\r\n"[..], false, ["tcp", "unrecognised_protocol", "what came is no ClientHello"]),
            (b"\x16\x03\x01\x01\x00\x01", true, ["tcp", "downstream_closed", "closed within its ClientHello"]),
            (&long[..16 * 1024 + 5], false, ["tcp", "head_too_large", "ClientHello is longer than 16 KiB"]),
        ] {
            let mut stream = TcpStream::connect(door).await.unwrap();
            // The gateway may close while we still send.
            let _ = stream.write_all(bytes).await;
            if end {
                stream.shutdown().await.unwrap();
            }
            let _ = stream.read_to_end(&mut Vec::new()).await;
            let record = gateway.record().await;
            assert_eq!(ending(&record), want, "{record}");
        }
        let mut stream = TcpStream::connect(door).await.unwrap();
        stream.write_all(b"\x16\x03\x01\x01\x00\x01").await.unwrap();
        // The gateway has read this by the time that it answers another.
        let other = TcpStream::connect(door).await.unwrap();
        assert!(connect(&shop, other, "mail.elsewhere", &[]).await.is_err());
        gateway.record().await;
        tokio::time::pause();
        assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        assert_eq!(ending(&gateway.record().await), ["tcp", "slow_request", "ClientHello took longer than 10s"]);
    })
    .await;
}
