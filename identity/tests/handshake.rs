//! Real handshakes in memory, at a time of our choosing: who is let in, who is not, and for which reason.

use identity::{Authority, ClientAuth, Credentials, Csr, Expected, SignRequest, Signer, Svid, Token, TrustStore, alpn};
use model::{SpiffeId, TrustDomain};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const START: u64 = 1_800_000_000;

#[derive(Debug, Default)]
struct Clock(AtomicU64);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
    }
}

struct Mesh {
    authority: Authority,
    trust: TrustStore,
    clock: Arc<Clock>,
}

fn id(name: &str) -> SpiffeId {
    SpiffeId::parse(&format!("spiffe://organza.local/ns/shop/sa/{name}")).unwrap()
}

impl Mesh {
    fn new(domain: &str) -> Self {
        let domain = TrustDomain::parse(domain).unwrap();
        let authority = Authority::create(domain.clone(), start()).unwrap();
        let trust = TrustStore::new();
        trust.put(&domain, &authority.roots()).unwrap();
        Self { authority, trust, clock: Arc::new(Clock(AtomicU64::new(START))) }
    }
    fn svid(&mut self, id: &SpiffeId) -> Svid {
        let csr = Csr::generate(id).unwrap();
        let issued = self.authority.sign(&SignRequest::parse(&csr.der).unwrap(), id, start()).unwrap();
        Svid::new(issued.chain, csr.key()).unwrap()
    }
    fn credentials(&mut self, name: &str) -> Credentials {
        Credentials::with_svid(self.svid(&id(name)), self.trust.clone())
    }
    fn server(&mut self, name: &str) -> Arc<ServerConfig> {
        let credentials = self.credentials(name);
        identity::server_config(&credentials, ClientAuth::Required, &[alpn::ORGANZA, alpn::H2], self.clock.clone()).unwrap()
    }
    fn client(&mut self, name: &str, expected: &[&str]) -> Arc<ClientConfig> {
        let credentials = self.credentials(name);
        let expected = Expected::AnyOf(expected.iter().map(|n| id(n)).collect());
        identity::client_config(&credentials, expected, &[alpn::ORGANZA], self.clock.clone()).unwrap()
    }
}

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(START)
}

/// Both ends, or the first error of either.
fn shake(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Result<(ClientConnection, ServerConnection), String> {
    let mut c = ClientConnection::new(client, ServerName::try_from("mesh").unwrap()).unwrap();
    let mut s = ServerConnection::new(server).unwrap();
    for _ in 0..20 {
        let mut bytes = Vec::new();
        c.write_tls(&mut bytes).unwrap();
        s.read_tls(&mut &bytes[..]).unwrap();
        s.process_new_packets().map_err(|e| format!("server: {e:?}"))?;
        bytes.clear();
        s.write_tls(&mut bytes).unwrap();
        c.read_tls(&mut &bytes[..]).unwrap();
        c.process_new_packets().map_err(|e| format!("client: {e:?}"))?;
        if !c.is_handshaking() && !s.is_handshaking() && !c.wants_write() && !s.wants_write() {
            return Ok((c, s));
        }
    }
    Err("no end".into())
}

#[test]
fn members_meet_and_see_each_other() {
    let mut mesh = Mesh::new("organza.local");
    let (client, server) = (mesh.client("web", &["catalog"]), mesh.server("catalog"));
    let (c, s) = shake(client, server).unwrap();
    assert_eq!(identity::peer_identity(&s.peer_certificates().unwrap()[0]).unwrap(), id("web"));
    assert_eq!(identity::peer_identity(&c.peer_certificates().unwrap()[0]).unwrap(), id("catalog"));
    assert_eq!(s.alpn_protocol(), Some(alpn::ORGANZA));
    assert_eq!(s.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(s.server_name(), None, "names of services are not told to onlookers");
}

#[test]
fn another_identity_than_registered_is_refused_by_the_client() {
    let mut mesh = Mesh::new("organza.local");
    let (client, server) = (mesh.client("web", &["reviews"]), mesh.server("catalog"));
    let error = shake(client, server).unwrap_err();
    assert!(error.contains("UnexpectedIdentity"), "{error}");
}

#[test]
fn strangers_are_refused() {
    let mut mesh = Mesh::new("organza.local");
    let nobody = Credentials::new(mesh.trust.clone());
    let client = identity::client_config(&nobody, Expected::AnyTrusted, &[alpn::ORGANZA], mesh.clock.clone()).unwrap();
    assert!(shake(client, mesh.server("catalog")).is_err(), "no SVID");

    // Same trust domain's name, another authority.
    let mut other = Mesh::new("organza.local");
    let svid = other.svid(&id("web"));
    let forged = Credentials::with_svid(svid, mesh.trust.clone());
    let client = identity::client_config(&forged, Expected::AnyTrusted, &[alpn::ORGANZA], mesh.clock.clone()).unwrap();
    assert!(shake(client, mesh.server("catalog")).is_err(), "wrong chain");

    let mut foreign = Mesh::new("other.local");
    let svid = foreign.svid(&SpiffeId::parse("spiffe://other.local/ns/shop/sa/web").unwrap());
    let credentials = Credentials::with_svid(svid, mesh.trust.clone());
    let client = identity::client_config(&credentials, Expected::AnyTrusted, &[alpn::ORGANZA], mesh.clock.clone()).unwrap();
    let error = shake(client, mesh.server("catalog")).unwrap_err();
    assert!(error.contains("UnknownTrustDomain"), "{error}");

    let client = mesh.client("web", &["catalog"]);
    let credentials = mesh.credentials("catalog");
    let server = identity::server_config(&credentials, ClientAuth::Required, &[alpn::H2], mesh.clock.clone()).unwrap();
    assert!(shake(client, server).is_err(), "no protocol in common");
}

#[test]
fn expired_certificates_are_refused_by_both_ends() {
    let mut mesh = Mesh::new("organza.local");
    let (client, server) = (mesh.client("web", &["catalog"]), mesh.server("catalog"));
    mesh.clock.0.store(START + 25 * 3600, Ordering::Relaxed);
    assert!(shake(client.clone(), server.clone()).unwrap_err().contains("Expired"));
    mesh.clock.0.store(START - 3600, Ordering::Relaxed);
    assert!(shake(client, server).unwrap_err().contains("NotValidYet"));
}

#[test]
fn a_new_svid_and_a_new_root_hold_from_the_next_handshake() {
    let mut mesh = Mesh::new("organza.local");
    let credentials = mesh.credentials("catalog");
    let server = identity::server_config(&credentials, ClientAuth::Required, &[alpn::ORGANZA], mesh.clock.clone()).unwrap();
    let client = mesh.client("web", &["catalog"]);
    shake(client.clone(), server.clone()).unwrap();
    let next = mesh.authority.add_root(start()).unwrap();
    mesh.trust.put(&TrustDomain::parse("organza.local").unwrap(), &mesh.authority.roots()).unwrap();
    mesh.authority.issue_from(next, start()).unwrap();
    shake(client.clone(), server.clone()).unwrap();
    credentials.put_svid(mesh.svid(&id("catalog")));
    shake(client.clone(), server.clone()).unwrap();
    // Only the old root is believed: the new certificate no longer is.
    let old = mesh.authority.roots().pop().unwrap();
    mesh.trust.put(&TrustDomain::parse("organza.local").unwrap(), &[old]).unwrap();
    assert!(shake(client, server).is_err());
}

#[test]
fn a_joiner_believes_the_pinned_root_alone() {
    let mut mesh = Mesh::new("organza.local");
    let mut svid = mesh.svid(&id("control"));
    let root = mesh.authority.roots()[0].clone();
    let token = Token::create(&root, "127.0.0.1:1").unwrap();
    svid = svid.with_root(&root).unwrap();
    let credentials = Credentials::with_svid(svid, mesh.trust.clone());
    let server = identity::server_config(&credentials, ClientAuth::Optional, &[alpn::H2], mesh.clock.clone()).unwrap();
    let join = |pin| identity::pinned_client_config(pin, Expected::one(id("control")), &[alpn::H2], mesh.clock.clone()).unwrap();
    let (_, s) = shake(join(token.root_sha256), server.clone()).unwrap();
    assert!(s.peer_certificates().is_none());
    assert!(shake(join([0; 32]), server).is_err());
}
