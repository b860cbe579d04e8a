//! Joining from another machine: a token says where the mesh is, which root proves it, and lets one process in, once. The key is made here;
//! what comes back is a registration like any other. Knows nothing of sockets of this machine's own mesh.

use crate::failure::{Context, Failure, Outcome};
use crate::limits;
use hyper_util::rt::TokioIo;
use identity::{Expected, Token, alpn};
use model::SpiffeId;
use rustls::pki_types::ServerName;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};
use wire::api::{Registration, RegistrationRequest};
use wire::v1::{JoinReply, JoinRequest};

/// Reads a token from a file, or from standard input where the file is `-`.
pub fn read(file: &Path) -> Outcome<Token> {
    let opened: std::io::Result<Box<dyn Read>> = match file.to_str() {
        Some("-") => Ok(Box::new(std::io::stdin())),
        _ => std::fs::File::open(file).map(|file| Box::new(file) as Box<dyn Read>),
    };
    let mut text = String::new();
    let read = opened.and_then(|from| from.take(limits::TOKEN_BYTES).read_to_string(&mut text));
    read.doing(|| format!("read the token {}", file.display()))?;
    Token::parse(&text).map_err(|error| {
        Failure::problem(format!("{} holds no token", file.display())).why(error).remedy("organza token create, where the mesh is")
    })
}

/// Where the control plane is, as the token says.
pub async fn address(token: &Token) -> Outcome<SocketAddr> {
    let mut found = tokio::net::lookup_host(&token.address).await.doing(|| format!("resolve {}", token.address))?;
    found.next().ok_or_else(|| Failure::problem(format!("{} has no address", token.address)))
}

/// The address of this machine that leads to another one: what that one's neighbours reach us by.
pub fn own_address(towards: SocketAddr) -> Outcome<IpAddr> {
    let any: IpAddr = if towards.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
    let found = UdpSocket::bind((any, 0)).and_then(|socket| {
        // Sends nothing: the kernel chooses the route, and with it our address.
        socket.connect(towards)?;
        socket.local_addr()
    });
    found.map(|address| address.ip()).doing(|| format!("find a way to {towards}"))
}

/// Uses the token up: what the mesh says of us, and the SVID as PEM.
pub async fn join(token: &Token, control: SocketAddr, request: RegistrationRequest) -> Outcome<(Registration, String)> {
    let unreachable = |why: String| {
        Failure::unreachable(format!("no mesh at {}", token.address)).why(why).remedy(
            "the token names the control plane's address and root: is it up, with --listen on an address that this machine reaches?",
        )
    };
    let csr = identity::Csr::generate(&nobody()?).doing(|| "make a key".into())?;
    let port = request.ports.first().cloned();
    let asked = JoinRequest {
        secret: token.secret_text().to_string(),
        csr: csr.der.clone().into(),
        service: request.service.unwrap_or_default(),
        port: port.as_ref().map_or(0, |port| port.target.into()),
        service_port: port.map_or(0, |port| port.service.into()),
        labels: request.labels,
        addresses: request.addresses,
        name: request.name,
    };
    let reply = ask(token.root_sha256, control, asked).await.map_err(unreachable)?.map_err(|status| {
        Failure::problem("the mesh does not let this process in").why(status.message()).remedy("organza token create, where the mesh is")
    })?;
    registration(reply, control, csr.key())
}

/// A pod joins by the token of its service account: what the mesh says of it, and the SVID as PEM.
pub async fn join_pod(root_sha256: [u8; 32], control: SocketAddr, token: &str, pod: &str) -> Outcome<(Registration, String)> {
    let unreachable = |why: String| Failure::unreachable(format!("no control plane at {control}")).why(why);
    let csr = identity::Csr::generate(&nobody()?).doing(|| "make a key".into())?;
    let asked = JoinRequest {
        secret: format!("{}{token}", wire::POD_TOKEN),
        csr: csr.der.clone().into(),
        name: pod.to_owned(),
        ..JoinRequest::default()
    };
    let reply = ask(root_sha256, control, asked).await.map_err(unreachable)?;
    let reply = reply.map_err(|status| Failure::problem("the mesh does not let this pod in").why(status.message()))?;
    registration(reply, control, csr.key())
}

/// Stands in a signing request for the identity that only the token's maker knows; what is signed says the true one.
fn nobody() -> Outcome<SpiffeId> {
    let domain = model::TrustDomain::parse("joining.invalid").doing(|| "name a trust domain".into())?;
    SpiffeId::new(domain, "none", "none").doing(|| "name an identity".into())
}

fn registration(reply: JoinReply, control: SocketAddr, key: &[u8]) -> Outcome<(Registration, String)> {
    let identity = SpiffeId::parse(&reply.identity).doing(|| format!("read the identity {}", reply.identity))?;
    let chain = reply.chain.iter().map(|der| der.to_vec()).collect();
    let svid = identity::Svid::new(chain, key).doing(|| "use the signed certificate".into())?;
    let registration = Registration {
        identity: reply.identity,
        workload: String::new(),
        services: reply.services,
        xds_address: control.to_string(),
        control_identity: format!("spiffe://{}/ns/organza-system/sa/control", identity.trust_domain()),
        trust_roots: identity::pem::encode_chain(reply.roots.iter().map(|der| &der[..])),
        proxy: reply.proxy,
    };
    Ok((registration, svid.to_pem().to_string()))
}

/// What the control plane answers, or why it does not: all of it, from dialling on, within [`limits::ANSWER`].
async fn ask(root_sha256: [u8; 32], control: SocketAddr, asked: JoinRequest) -> Result<Result<JoinReply, tonic::Status>, String> {
    let asking = async {
        let mut certificates = wire::grpc::CertificatesClient::new(channel(root_sha256, control).await?);
        Ok(certificates.join(asked).await.map(tonic::Response::into_inner))
    };
    tokio::time::timeout(limits::ANSWER, asking).await.unwrap_or_else(|_| Err("no answer".to_owned()))
}

async fn channel(root_sha256: [u8; 32], control: SocketAddr) -> Result<Channel, String> {
    let time = Arc::new(rustls::time_provider::DefaultTimeProvider);
    let tls = identity::pinned_client_config(root_sha256, Expected::AnyTrusted, &[alpn::H2], time).map_err(|e| e.to_string())?;
    // Shaken hands outside the channel, whose errors say little.
    let stream = dial(control, TlsConnector::from(tls)).await.map_err(|error| error.to_string())?;
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: Uri| {
        let stream = once.take().ok_or_else(|| std::io::Error::other("the connection ended"));
        async move { stream }
    });
    Endpoint::from_static("http://control.organza").connect_with_connector(connector).await.map_err(|error| error.to_string())
}

async fn dial(control: SocketAddr, tls: TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(control).await?;
    stream.set_nodelay(true)?;
    let stream = tls.connect(ServerName::IpAddress(control.ip().into()), stream).await?;
    // The pin proves the mesh; that it is its control plane and not one of its members is in the name.
    let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let peer = leaf.and_then(|leaf| identity::peer_identity(leaf).ok());
    match peer.as_ref().map(|id| (id.namespace(), id.service_account())) {
        Some(("organza-system", "control")) => Ok(stream),
        _ => Err(std::io::Error::other("who answers there is not the control plane")),
    }
}

#[cfg(test)]
mod tests;
