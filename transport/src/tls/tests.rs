//! Real handshakes on loopback: who is let in, who is not, and what both ends then know. Time of day is the test's own.

use super::*;
use identity::{Authority, ClientAuth, Credentials, Csr, Expected, SignRequest, Signer, Svid, TrustStore, alpn};
use model::{HostPattern, TrustDomain};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const START: u64 = 1_800_000_000;

#[derive(Debug)]
struct At(u64);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
    }
}

struct Mesh {
    authority: Authority,
    trust: TrustStore,
    domain: &'static str,
}

impl Mesh {
    fn new(domain: &'static str) -> Self {
        let parsed = TrustDomain::parse(domain).unwrap();
        let authority = Authority::create(parsed.clone(), start()).unwrap();
        let trust = TrustStore::new();
        trust.put(&parsed, &authority.roots()).unwrap();
        Self { authority, trust, domain }
    }
    fn id(&self, name: &str) -> SpiffeId {
        SpiffeId::parse(&format!("spiffe://{}/ns/shop/sa/{name}", self.domain)).unwrap()
    }
    fn svid(&mut self, name: &str) -> Svid {
        let id = self.id(name);
        let csr = Csr::generate(&id).unwrap();
        let issued = self.authority.sign(&SignRequest::parse(&csr.der).unwrap(), &id, start()).unwrap();
        Svid::new(issued.chain, csr.key()).unwrap()
    }
    fn server(&mut self, now: u64) -> Arc<ServerConfig> {
        let credentials = Credentials::with_svid(self.svid("catalog"), self.trust.clone());
        identity::server_config(&credentials, ClientAuth::Required, &[alpn::ORGANZA, alpn::H2], Arc::new(At(now))).unwrap()
    }
    fn client(&mut self, expected: &str, now: u64) -> Arc<ClientConfig> {
        let credentials = Credentials::with_svid(self.svid("web"), self.trust.clone());
        self.config(&credentials, expected, now)
    }
    fn config(&self, credentials: &Credentials, expected: &str, now: u64) -> Arc<ClientConfig> {
        identity::client_config(credentials, Expected::one(self.id(expected)), &[alpn::ORGANZA], Arc::new(At(now))).unwrap()
    }
}

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(START)
}

/// What each end makes of the handshake and of one byte each way: with TLS 1.3 a client hears of its refusal only when it reads.
async fn shake(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> (Result<Proof, Error>, Result<Proof, Error>) {
    let listener = rt::Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().unwrap();
    let serving = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = accept(stream, server).await?;
        stream.write_all(b"x").await.unwrap();
        stream.flush().await.unwrap();
        Ok(proof(&stream).unwrap())
    };
    let dialling = async {
        let stream = Stream::connect(address).await.unwrap();
        let mut stream = connect(stream, client, ServerName::try_from("mesh").unwrap()).await?;
        match stream.read_u8().await {
            Ok(_) => Ok(proof(&stream).unwrap()),
            Err(e) => Err(refused(&e)),
        }
    };
    tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(dialling, serving) }).await.unwrap()
}

fn fault(result: Result<Proof, Error>) -> Fault {
    result.unwrap_err().fault
}

#[tokio::test]
async fn members_of_the_mesh_know_each_other() {
    let mut mesh = Mesh::new("organza.local");
    let (client, server) = shake(mesh.client("catalog", START), mesh.server(START)).await;
    let (client, server) = (client.unwrap(), server.unwrap());
    assert_eq!((client.peer, server.peer), (Some(mesh.id("catalog")), Some(mesh.id("web"))));
    assert_eq!((client.alpn.as_deref(), server.alpn.as_deref()), (Some(alpn::ORGANZA), Some(alpn::ORGANZA)));
    assert_eq!(server.version, Some("TLSv1_3"));
    assert!(server.cipher.is_some_and(|c| c.starts_with("TLS13_")), "{:?}", server.cipher);
    assert_eq!(server.sni, None);
}

#[tokio::test]
async fn a_server_with_another_identity_is_not_who_was_dialled() {
    let mut mesh = Mesh::new("organza.local");
    let (client, _) = shake(mesh.client("payments", START), mesh.server(START)).await;
    assert_eq!(fault(client), Fault::IdentityMismatch);
}

#[tokio::test]
async fn who_shows_nothing_is_not_let_in() {
    let mut mesh = Mesh::new("organza.local");
    let nobody = mesh.config(&Credentials::new(mesh.trust.clone()), "catalog", START);
    let (client, server) = shake(nobody, mesh.server(START)).await;
    assert!(server.is_err());
    assert_eq!(fault(client), Fault::TlsFailed);
}

#[tokio::test]
async fn an_expired_certificate_is_worth_nothing_on_either_side() {
    let late = START + 400 * 24 * 3600;
    let mut mesh = Mesh::new("organza.local");
    let (client, _) = shake(mesh.client("catalog", late), mesh.server(START)).await;
    assert_eq!(fault(client), Fault::TlsFailed);
    let (_, server) = shake(mesh.client("catalog", START), mesh.server(late)).await;
    assert!(server.is_err());
}

#[tokio::test]
async fn another_trust_domain_is_strange() {
    let (mut ours, mut theirs) = (Mesh::new("organza.local"), Mesh::new("elsewhere.example"));
    // The client believes us, so that it is our server that refuses.
    let stranger = Credentials::with_svid(theirs.svid("web"), ours.trust.clone());
    let (client, server) = shake(ours.config(&stranger, "catalog", START), ours.server(START)).await;
    assert!(client.is_err() && server.is_err());
    // The same name under roots that are not the ones we know.
    let mut forged = Mesh::new("organza.local");
    let forger = Credentials::with_svid(forged.svid("web"), ours.trust.clone());
    let (client, server) = shake(ours.config(&forger, "catalog", START), ours.server(START)).await;
    assert!(client.is_err() && server.is_err());
}

/// The authority's SVIDs are X.509 like any other; which one was shown is told by its name.
fn certificate(mesh: &mut Mesh, name: &str) -> model::Certificate {
    let id = mesh.id(name);
    let csr = Csr::generate(&id).unwrap();
    let issued = mesh.authority.sign(&SignRequest::parse(&csr.der).unwrap(), &id, start()).unwrap();
    let chain = identity::pem::encode_chain(issued.chain.iter().map(Vec::as_slice));
    let private_key = identity::pem::encode("PRIVATE KEY", csr.key());
    let key = model::Key::new(model::Source::files(), model::Kind::Certificate, "shop", name);
    model::Certificate { key, chain: chain.into_bytes().into(), private_key: private_key.into_bytes().into() }
}

/// Whom a gateway shows to who asks for `name`.
async fn shown(mesh: &Mesh, certificates: &Arc<Certificates>, name: &str) -> Result<(SpiffeId, Proof), Error> {
    let credentials = Credentials::new(mesh.trust.clone());
    let mut client = (*identity::client_config(&credentials, Expected::AnyTrusted, &[alpn::HTTP1], Arc::new(At(START))).unwrap()).clone();
    client.enable_sni = true;
    let listener = rt::Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().unwrap();
    let server = gateway_config(certificates.clone(), &model::ClientCertificates::Unasked, Arc::new(At(START))).unwrap();
    let serving = async { accept(listener.accept().await.unwrap().0, server).await.map(|stream| proof(&stream).unwrap()) };
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let dialling = async { connect(Stream::connect(address).await.unwrap(), Arc::new(client), name).await };
    let (client, server) = tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(dialling, serving) }).await.unwrap();
    Ok((proof(&client?).unwrap().peer.unwrap(), server?))
}

#[tokio::test]
async fn a_gateway_shows_the_certificate_of_the_name_that_is_asked_for() {
    let mut mesh = Mesh::new("organza.local");
    let (wide, narrow, other) = (certificate(&mut mesh, "wide"), certificate(&mut mesh, "narrow"), certificate(&mut mesh, "other"));
    let pattern = |text| HostPattern::parse(text).unwrap();
    let certificates = Arc::new(Certificates::default());
    certificates.put([(pattern("*.shop.test"), &wide), (pattern("www.shop.test"), &narrow)]).unwrap();
    let (peer, server) = shown(&mesh, &certificates, "WWW.shop.test").await.unwrap();
    assert_eq!((peer, server.sni.as_deref(), server.peer), (mesh.id("narrow"), Some("www.shop.test"), None));
    assert_eq!(server.alpn.as_deref(), Some(alpn::HTTP1));
    assert_eq!(shown(&mesh, &certificates, "api.shop.test").await.unwrap().0, mesh.id("wide"));
    for (name, cause) in [("shop.example", "tls_server_name_unknown"), ("127.0.0.1", "tls_server_name_missing")] {
        assert!(shown(&mesh, &certificates, name).await.is_err(), "nothing is shown to all");
        assert_eq!(certificates.missed().unwrap().cause, Some(cause));
        assert!(certificates.missed().is_none(), "it is told once");
    }
    // A key that is not the certificate's changes nothing.
    let mixed = model::Certificate { private_key: narrow.private_key.clone(), ..other.clone() };
    assert!(certificates.put([(HostPattern::Any, &mixed)]).is_err());
    assert_eq!(shown(&mesh, &certificates, "api.shop.test").await.unwrap().0, mesh.id("wide"));
    certificates.put([(HostPattern::Any, &other)]).unwrap();
    assert_eq!(shown(&mesh, &certificates, "127.0.0.1").await.unwrap().0, mesh.id("other"));
}

/// What our mesh port counts a client under whose handshake it refuses.
async fn counted(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> &'static str {
    let (client, server) = shake(client, server).await;
    assert!(client.is_err());
    server.unwrap_err().cause.unwrap()
}

#[tokio::test]
async fn who_is_not_let_in_is_counted_by_the_cause() {
    let mut ours = Mesh::new("organza.local");
    let (year, month) = (365 * 24 * 3600, 30 * 24 * 3600);
    let client = ours.client("catalog", START);
    assert_eq!(counted(client.clone(), ours.server(START + year)).await, "tls_client_certificate_expired");
    assert_eq!(counted(client.clone(), ours.server(START - month)).await, "tls_client_certificate_not_yet_valid");
    let nobody = ours.config(&Credentials::new(ours.trust.clone()), "catalog", START);
    assert_eq!(counted(nobody, ours.server(START)).await, "tls_no_client_certificate");
    let stranger = Credentials::with_svid(Mesh::new("elsewhere.example").svid("web"), ours.trust.clone());
    assert_eq!(counted(ours.config(&stranger, "catalog", START), ours.server(START)).await, "tls_client_domain_unknown");
    let forged = Credentials::with_svid(Mesh::new("organza.local").svid("web"), ours.trust.clone());
    assert_eq!(counted(ours.config(&forged, "catalog", START), ours.server(START)).await, "tls_client_certificate_untrusted");
    let mut other = (*client).clone();
    other.alpn_protocols = vec![b"http/1.1".to_vec(), vec![0xff; 200]];
    assert_eq!(counted(Arc::new(other), ours.server(START)).await, "tls_no_common_protocol");
    // Our certificate is the one that is bad, in the client's eyes.
    assert_eq!(counted(ours.client("payments", START), ours.server(START)).await, "tls_alert_received");
}

/// How a server's handshake ends with a client that sends these bytes, and then nothing more.
async fn spoken_to(bytes: &[u8], leaves: bool) -> Error {
    let server = Mesh::new("organza.local").server(START);
    let listener = rt::Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut client = Stream::connect(listener.address().unwrap()).await.unwrap();
    client.write_all(bytes).await.unwrap();
    let client = (!leaves).then_some(client);
    let (stream, _) = listener.accept().await.unwrap();
    let error = accept(stream, server).await.unwrap_err();
    drop(client);
    error
}

#[tokio::test(start_paused = true)]
async fn handshakes_that_are_none_or_never_end_are_ended() {
    for (bytes, leaves, fault, cause) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], false, Fault::MalformedRequest, "tls_plaintext"),
        (b"\x16\x03\x01\xff\xff", false, Fault::MalformedRequest, "tls_malformed"),
        // The beginning of a ClientHello, for ever.
        (b"\x16\x03\x01\x00\x80\x01", false, Fault::SlowRequest, "tls_handshake_timeout"),
        (b"", false, Fault::SlowRequest, "tls_handshake_timeout"),
        (b"\x16\x03\x01\x00\x80\x01", true, Fault::MalformedRequest, "tls_closed"),
    ] {
        let begun = tokio::time::Instant::now();
        let error = spoken_to(bytes, leaves).await;
        assert_eq!((error.fault, error.cause), (fault, Some(cause)), "{bytes:?}: {error}");
        assert!(begun.elapsed().as_secs() <= crate::limits::HANDSHAKE_TIME.as_secs(), "{bytes:?}");
    }
}

/// A stranger who says this, and no more.
async fn peeked(said: Vec<u8>) -> Result<Option<model::Hostname>, crate::Error> {
    let (here, mut there) = Stream::pair(1 << 20);
    there.write_all(&said).await.unwrap();
    super::peek(here, Duration::from_secs(1)).await.map(|peeked| peeked.sni)
}

#[tokio::test(start_paused = true)]
async fn a_client_hello_is_read_up_to_a_length_and_for_a_time() {
    // One that says it is longer than what comes, in records of a thousand bytes.
    let mut message = vec![1, 0, 0xff, 0xff, 3, 3];
    message.resize(40_000, 0);
    let records: Vec<u8> =
        message.chunks(1000).flat_map(|part| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat()).collect();
    let endless = peeked(records[..crate::limits::CLIENT_HELLO_BYTES].to_vec()).await.unwrap_err();
    assert_eq!(endless.fault, model::Fault::HeadTooLarge, "{endless}");
    let short = peeked(records[..crate::limits::CLIENT_HELLO_BYTES - 1].to_vec()).await.unwrap_err();
    assert_eq!(short.fault, model::Fault::SlowRequest, "{short}");
}
