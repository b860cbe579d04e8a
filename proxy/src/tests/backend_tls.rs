//! TLS towards those who answer and are not in the mesh, as a BackendTLSPolicy asks for it: what is believed, what is shown, what is shared, and that
//! nobody is called with less.

use super::resources::{self, HTTP, Place, TCP};
use super::{Proxy, Shop, bounded, key};
use crate::explain::{Asker, explain_live};
use ::identity::pem::{self, SystemRoots};
use model::backend::{Shown, UpstreamRoots};
use model::*;
use routing::explain::Outcome;
use rustls::time_provider::DefaultTimeProvider;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use testkit::backend::Backend as Echo;
use testkit::client::{Shot, fetch};
use testkit::outsider::Outsider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transport::{rt, tls};

/// What a server saw of each handshake: the name, the protocol, and whose certificate.
pub type Seen = Rc<RefCell<Vec<(String, String, Option<String>)>>>;

/// A server outside that shows this certificate, wants these clients, and answers each request with its greeting.
fn server(shown: &Certificate, clients: &ClientCertificates) -> (SocketAddr, Seen) {
    saying(shown, clients, || "secure".to_owned())
}

/// The same, with what it says.
pub fn saying(shown: &Certificate, clients: &ClientCertificates, says: impl Fn() -> String + Clone + 'static) -> (SocketAddr, Seen) {
    let certificates = Arc::new(tls::Certificates::default());
    certificates.put([(HostPattern::Any, shown)]).unwrap();
    let config = tls::gateway_config(certificates, clients, Arc::new(DefaultTimeProvider)).unwrap();
    let socket = transport::Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.address().unwrap();
    let seen = Seen::default();
    let handshakes = seen.clone();
    rt::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let (config, handshakes, says) = (config.clone(), handshakes.clone(), says.clone());
            rt::spawn(async move {
                let Ok(mut stream) = tls::accept(stream, config).await else { return };
                let proof = tls::proof(&stream).unwrap();
                let client = stream.tls().and_then(|tls| tls.get_ref().1.peer_certificates()?.first().map(|leaf| pem::fingerprint(leaf)));
                let alpn = String::from_utf8(proof.alpn.unwrap_or_default()).unwrap();
                handshakes.borrow_mut().push((proof.sni.unwrap_or_default(), alpn, client));
                let mut read = Vec::new();
                while stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
                    if read.ends_with(b"\r\n\r\n") {
                        read.clear();
                        let body = says();
                        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                        let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                    }
                }
            });
        }
    });
    (address, seen)
}

pub fn certificate(name: &str, authority: &Outsider, names: &[&str]) -> Arc<Certificate> {
    let issued = authority.issue(names);
    let (chain, private_key) = (issued.chain.into_bytes().into(), issued.key.into_bytes().into());
    Arc::new(Certificate { key: key(Kind::Certificate, name), chain, private_key })
}

fn fingerprint(certificate: &Certificate) -> Option<String> {
    Some(pem::fingerprint(&pem::certificates(&certificate.chain).unwrap()[0]))
}

pub fn verified(authority: &Outsider, server_name: &str, names: &[&str]) -> Arc<UpstreamTls> {
    Arc::new(UpstreamTls {
        server_name: Hostname::parse(server_name).unwrap(),
        subject_alt_names: names.iter().map(|name| Arc::from(*name)).collect(),
        roots: UpstreamRoots::Given(authority.root.as_bytes().into()),
        shown: Shown::Gateways,
    })
}

fn all_ports(tls: BackendTls) -> Vec<AttachedTls> {
    vec![AttachedTls { port: None, tls }]
}

/// The Service `api` with this TLS, answered at one address.
fn api(address: SocketAddr, tls: Vec<AttachedTls>) -> Vec<Resource> {
    with_tls(resources::service("api", &[Place::plain("api-1", address.port())]), tls)
}

fn with_tls(all: Vec<Resource>, tls: Vec<AttachedTls>) -> Vec<Resource> {
    let secured = |resource| match resource {
        Resource::Service(service) => Resource::Service(Arc::new(Service { tls: tls.clone(), ..(*service).clone() })),
        other => other,
    };
    all.into_iter().map(secured).collect()
}

fn listener(shown: GatewayCertificate) -> Resource {
    let Resource::Listener(plain) = resources::listener(80, None) else { panic!("a listener") };
    Resource::Listener(Arc::new(Listener { shown, ..(*plain).clone() }))
}

/// A gateway whose requests go to this port of `api`.
fn edge(shop: &mut Shop, port: u16) -> (Proxy, SocketAddr) {
    let target = Target::Listener(key(Kind::Listener, "edge.web"));
    let rule = resources::rule(vec![resources::backend("api", port, 1)]);
    shop.mesh.put(vec![listener(GatewayCertificate::Nothing), resources::route(target, rule)]);
    let mut gateway = shop.mesh.proxy("gateway");
    let door = gateway.gateway(80);
    (gateway, door)
}

/// The status of one request, and the fault of its record.
async fn ask(gateway: &Proxy, door: SocketAddr) -> (u16, String) {
    let status = fetch(&Shot::get(door, "api.example", "/")).await.unwrap().0.as_u16();
    (status, gateway.record().await["fault"].as_str().unwrap_or_default().to_owned())
}

fn answer(status: u16, fault: &str) -> (u16, String) {
    (status, fault.to_owned())
}

#[tokio::test]
async fn a_backend_is_believed_by_the_roots_and_names_of_its_policy() {
    bounded(async {
        let (ours, theirs) = (Outsider::new("ours"), Outsider::new("theirs"));
        let shown = certificate("api", &ours, &["api.example", "*.wild.example", "spiffe://a/b"]);
        let (address, seen) = server(&shown, &ClientCertificates::Unasked);
        let mut shop = Shop::new(address);
        shop.mesh.system_roots = SystemRoots::Given(ours.root.as_bytes().into());
        let (gateway, door) = edge(&mut shop, HTTP);
        let system = |name| Arc::new(UpstreamTls { roots: UpstreamRoots::System, ..(*verified(&theirs, name, &[])).clone() });
        let cases = [
            (verified(&ours, "api.example", &[]), 200, ""),
            (system("api.example"), 200, ""),
            (system("other.example"), 503, "tls_failed"),
            (verified(&theirs, "api.example", &[]), 503, "tls_failed"),
            (verified(&ours, "other.example", &[]), 503, "tls_failed"),
            // With names, the host name is only what is asked for.
            (verified(&ours, "other.example", &["spiffe://a/b"]), 200, ""),
            (verified(&ours, "other.example", &["spiffe://a/c", "api.example"]), 200, ""),
            (verified(&ours, "api.example", &["spiffe://a/c", "b.example"]), 503, "tls_failed"),
            (verified(&ours, "other.example", &["*.wild.example"]), 200, ""),
            (verified(&ours, "other.example", &["*.example"]), 503, "tls_failed"),
        ];
        for (tls, want, why) in cases {
            seen.borrow_mut().clear();
            let name = tls.server_name.to_string();
            shop.mesh.put(api(address, all_ports(BackendTls::Verified(tls))));
            assert_eq!(ask(&gateway, door).await, answer(want, why), "{name}");
            if want == 200 {
                assert_eq!(*seen.borrow(), [(name, "http/1.1".to_owned(), None)], "a new connection, for nothing is shared");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_is_called_with_less_than_was_asked_for() {
    bounded(async {
        let ours = Outsider::new("ours");
        let plain = Echo::http("api").await;
        let mut shop = Shop::new(plain.address);
        let (gateway, door) = edge(&mut shop, HTTP);
        let system = Arc::new(UpstreamTls { roots: UpstreamRoots::System, ..(*verified(&ours, "api.example", &[])).clone() });
        let cases = [
            (BackendTls::Verified(verified(&ours, "api.example", &[])), 503, "tls_failed"),
            // This machine has no roots.
            (BackendTls::Verified(system), 503, "tls_failed"),
            (BackendTls::Broken("BackendTLSPolicy shop/p cannot be used: no authority".into()), 500, "invalid_backend"),
        ];
        for (tls, want, why) in cases {
            shop.mesh.put(api(plain.address, all_ports(tls)));
            assert_eq!(ask(&gateway, door).await, answer(want, why));
        }
        assert_eq!(plain.requests(), 0);
        let mut head = RequestHead::default();
        head.set_authority("api.example");
        head.set_target("/");
        let asker =
            Asker::Gateway { gateway: &key(Kind::Gateway, "edge"), port: 80, sni: None, peer: std::net::Ipv4Addr::LOCALHOST.into() };
        let Outcome::Refused(refused) = explain_live(&shop.mesh.snapshot.load(), asker, &head).outcome else { panic!("explain knows") };
        assert_eq!((refused.fault, &*refused.reason), (Fault::InvalidBackend, "BackendTLSPolicy shop/p cannot be used: no authority"));
        shop.mesh.put(api(plain.address, Vec::new()));
        assert_eq!(ask(&gateway, door).await, answer(200, ""));
    })
    .await;
}

#[tokio::test]
async fn a_connection_is_shared_only_under_the_same_policy() {
    bounded(async {
        let (ours, theirs) = (Outsider::new("ours"), Outsider::new("theirs"));
        let (address, seen) = server(&certificate("api", &ours, &["api.example"]), &ClientCertificates::Unasked);
        let mut shop = Shop::new(address);
        let (gateway, door) = edge(&mut shop, HTTP);
        let policy = |authority| all_ports(BackendTls::Verified(verified(authority, "api.example", &[])));
        for _ in 0..2 {
            shop.mesh.put(api(address, policy(&ours)));
            assert_eq!(ask(&gateway, door).await, answer(200, ""));
        }
        assert_eq!(seen.borrow().len(), 1, "an equal policy shares the connection");
        // The connection in the pool was believed by other roots.
        shop.mesh.put(api(address, policy(&theirs)));
        assert_eq!(ask(&gateway, door).await, answer(503, "tls_failed"));
        // A port's own policy goes before the Service's.
        let mut both = policy(&theirs);
        both.push(AttachedTls { port: Some(HTTP), ..policy(&ours).remove(0) });
        shop.mesh.put(api(address, both));
        assert_eq!(ask(&gateway, door).await, answer(200, ""));
    })
    .await;
}

#[tokio::test]
async fn a_gateway_shows_its_certificate_and_a_renewed_one_at_once() {
    bounded(async {
        let ours = Outsider::new("ours");
        let wanted = ClientCertificates::Required(ours.root.as_bytes().into());
        let (address, seen) = server(&certificate("api", &ours, &["api.example"]), &wanted);
        let mut shop = Shop::new(address);
        let (gateway, door) = edge(&mut shop, HTTP);
        shop.mesh.put(api(address, all_ports(BackendTls::Verified(verified(&ours, "api.example", &[])))));
        // A server says so only after the handshake, and may be gone before it is heard.
        assert_eq!(ask(&gateway, door).await.0, 503, "who shows nothing is not let in");
        let name = key(Kind::Certificate, "edge");
        shop.mesh.put(vec![listener(GatewayCertificate::Shown(name.clone()))]);
        assert_eq!(ask(&gateway, door).await, answer(500, "invalid_backend"), "it is not here yet");
        let mut prints = Vec::new();
        for _ in 0..2 {
            let shown = certificate("edge", &ours, &["edge.example"]);
            prints.push(fingerprint(&shown));
            shop.mesh.put(vec![Resource::Certificate(shown)]);
            for _ in 0..2 {
                assert_eq!(ask(&gateway, door).await, answer(200, ""));
            }
        }
        let clients: Vec<_> = seen.borrow().iter().filter_map(|(_, _, client)| client.clone().map(Some)).collect();
        assert_eq!(clients, prints, "one connection for each certificate");
        shop.mesh.put(vec![listener(GatewayCertificate::Broken("Secret shop/c does not exist.".into()))]);
        assert_eq!(ask(&gateway, door).await, answer(500, "invalid_backend"));
    })
    .await;
}

#[tokio::test]
async fn a_host_outside_is_shown_what_its_object_names() {
    bounded(async {
        let ours = Outsider::new("ours");
        let wanted = ClientCertificates::Required(ours.root.as_bytes().into());
        let (address, seen) = server(&certificate("api", &ours, &["api.example"]), &wanted);
        let mut shop = Shop::new(address);
        let (own, edges) = (certificate("own", &ours, &["own.example"]), certificate("edge", &ours, &["edge.example"]));
        let (gateway, door) = edge(&mut shop, HTTP);
        let mut to = |shown: Shown| {
            let tls = Arc::new(UpstreamTls { shown, ..(*verified(&ours, "api.example", &[])).clone() });
            let host = model::backend::ExternalName::Address(address.ip());
            let outside =
                ExternalHost { key: key(Kind::External, "x"), host, port: address.port(), protocol: AppProtocol::Http, tls: Some(tls) };
            let backend = WeightedBackend { weight: 1, backend: Backend::External(Arc::new(outside)), filters: Vec::new() };
            let target = Target::Listener(key(Kind::Listener, "edge.web"));
            shop.mesh.put(vec![listener(GatewayCertificate::Shown(edges.key.clone())), Resource::Certificate(edges.clone())]);
            shop.mesh.put(vec![Resource::Certificate(own.clone()), resources::route(target, resources::rule(vec![backend]))]);
        };
        to(Shown::Own(own.key.clone()));
        assert_eq!(ask(&gateway, door).await, answer(200, ""));
        assert_eq!(seen.borrow()[0].2, fingerprint(&own));
        // What its object says is to be shown to nobody is not shown because the Gateway has one.
        to(Shown::Nothing);
        assert_eq!(ask(&gateway, door).await.0, 503);
        to(Shown::Own(key(Kind::Certificate, "gone")));
        assert_eq!(ask(&gateway, door).await, answer(500, "invalid_backend"));
    })
    .await;
}

#[tokio::test]
async fn bytes_are_put_into_tls_unless_they_are_tls_already() {
    bounded(async {
        let ours = Outsider::new("ours");
        let (address, seen) = server(&certificate("api", &ours, &["api.example"]), &ClientCertificates::Unasked);
        let mut shop = Shop::new(address);
        shop.mesh.put(api(address, all_ports(BackendTls::Verified(verified(&ours, "api.example", &[])))));
        let say = async |door: SocketAddr| {
            let mut stream = tokio::net::TcpStream::connect(door).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let mut answer = [0; 15];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200 OK");
        };
        say(shop.web.named("api", TCP)).await;
        assert_eq!(*seen.borrow(), [("api.example".to_owned(), String::new(), None)], "nobody chose a protocol");
        // A port of the application's own TLS: who calls it speaks that itself, here to a server that takes it as it is.
        let echo = Echo::tcp("").await;
        let sealed = api(echo.address, all_ports(BackendTls::Broken("not looked at".into()))).into_iter().map(|resource| match resource {
            Resource::Service(service) => {
                let mut service = (*service).clone();
                service.ports.iter_mut().filter(|port| port.number == TCP).for_each(|port| port.protocol = AppProtocol::Tls);
                Resource::Service(Arc::new(service))
            }
            other => other,
        });
        shop.mesh.put(sealed.collect());
        let mut stream = tokio::net::TcpStream::connect(shop.web.named("api", TCP)).await.unwrap();
        stream.write_all(b"\x16\x03\x01 hello").await.unwrap();
        let mut answer = [0; 9];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"\x16\x03\x01 hello");
    })
    .await;
}

#[tokio::test]
async fn members_of_the_mesh_are_reached_by_the_meshs_own_tls() {
    bounded(async {
        let backend = Echo::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let place = Place::organza("catalog-1", shop.tunnel, backend.address.port());
        shop.mesh.put(with_tls(resources::catalog(&[place]), all_ports(BackendTls::Broken("not looked at".into()))));
        let door = shop.web.named("catalog", HTTP);
        assert_eq!(fetch(&Shot::get(door, "catalog", "/")).await.unwrap().0.as_u16(), 200);
    })
    .await;
}
