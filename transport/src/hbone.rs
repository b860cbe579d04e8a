//! HBONE as ztunnel speaks it: `CONNECT host:port` over HTTP/2 inside mutual TLS, `baggage` for what a workload says of itself, and then bytes.
//!
//! This room says what was asked for; whether the caller may reach it is decided by who knows the workload. Baggage labels, and is never
//! believed.

use crate::body::Length;
use crate::h2::{self, Exchange, Tunnel};
use crate::preface::PeerMetadata;
use crate::rt::Stream;
use crate::{Error, limits};
use hashbrown::HashMap;
use model::http::split_authority;
use model::{Fault, HeaderBlock, Method, RequestHead, ResponseHead};
use std::cell::RefCell;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};

/// Where a tunnel is to lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Address(SocketAddr),
    /// In lower case.
    Name(String, u16),
}

/// What a request for a tunnel asks for.
///
/// # Errors
/// If it is no plain CONNECT with a host and a port.
pub fn target(head: &RequestHead) -> Result<Target, Error> {
    let bad = |why| Error::new(Fault::MalformedRequest, why);
    if head.method != Method::Connect || head.protocol.is_some() {
        return Err(bad("HBONE is CONNECT and nothing else"));
    }
    let (host, port) = split_authority(head.authority());
    let port = port.filter(|port| *port != 0).ok_or_else(|| bad("CONNECT without a port"))?;
    let literal = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    match literal.parse::<IpAddr>() {
        Ok(address) => Ok(Target::Address(SocketAddr::new(address, port))),
        Err(_) if host.is_empty() || host.starts_with('[') => Err(bad("CONNECT without a host")),
        Err(_) => Ok(Target::Name(host.to_ascii_lowercase(), port)),
    }
}

/// Answers 200; from then on the stream is bytes.
///
/// # Errors
/// If the client is gone.
pub fn accept(exchange: Exchange) -> Result<Stream, Error> {
    let Exchange { body, responder, .. } = exchange;
    let writer = responder.respond(&ResponseHead::with_status(200), Length::Open)?;
    Ok(Stream::Tunnel(Box::new(Tunnel::new(body, writer))))
}

/// Refuses a tunnel: 4xx for what the caller got wrong, 503 for what is not there.
pub fn refuse(exchange: Exchange, status: u16) {
    // Fails only where the client is gone already.
    let _ = exchange.responder.respond(&ResponseHead::with_status(status), Length::Known(0));
}

const NAMESPACE: &str = "k8s.namespace.name";
const CLUSTER: &str = "k8s.cluster.name";
const APP: &str = "service.name";
const VERSION: &str = "service.version";
/// The controller, by its kind; we write the first.
const WORKLOADS: [&str; 5] = ["k8s.deployment.name", "k8s.statefulset.name", "k8s.job.name", "k8s.cronjob.name", "k8s.pod.name"];

/// What the peer says of itself. What cannot be read is left out.
pub fn read_baggage(headers: &HeaderBlock) -> PeerMetadata {
    let mut peer = PeerMetadata::default();
    let members = headers.get_all("baggage").filter(|v| v.len() <= limits::BAGGAGE_BYTES).filter_map(|v| std::str::from_utf8(v).ok());
    for member in members.flat_map(|v| v.split(',')) {
        // Properties of a member follow a semicolon (W3C Baggage, section 3.2.1).
        let Some((key, value)) = member.split(';').next().unwrap_or(member).split_once('=') else { continue };
        let Some(value) = decoded(value.trim()) else { continue };
        match key.trim() {
            NAMESPACE => peer.namespace = value,
            CLUSTER => peer.cluster = value,
            APP => peer.app = value,
            VERSION => peer.version = value,
            key if WORKLOADS.contains(&key) => peer.workload = value,
            _ => {}
        }
    }
    peer
}

pub fn write_baggage(own: &PeerMetadata) -> String {
    let members =
        [(CLUSTER, &own.cluster), (NAMESPACE, &own.namespace), (WORKLOADS[0], &own.workload), (APP, &own.app), (VERSION, &own.version)];
    let said = members.iter().filter(|(_, value)| !value.is_empty());
    said.map(|(key, value)| format!("{key}={}", encoded(value))).collect::<Vec<_>>().join(",")
}

fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || b"-._~/:".contains(&b) => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

fn decoded(value: &str) -> Option<String> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'%' => {
                let (hex, after) = rest.split_at_checked(2)?;
                if !hex.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                out.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
                rest = after;
            }
            byte => out.push(*byte),
        }
    }
    String::from_utf8(out).ok().filter(|text| !text.chars().any(char::is_control))
}

/// Connections of one worker, shared by all tunnels whose key is the same. As for [`crate::pool::Pool`], the key holds the local identity, the
/// identities expected of the peer and the address.
#[derive(Debug)]
pub struct Tunnels<K> {
    open: RefCell<HashMap<K, Vec<h2::Client>, foldhash::fast::RandomState>>,
}

impl<K> Default for Tunnels<K> {
    fn default() -> Self {
        Self { open: RefCell::default() }
    }
}

impl<K: Hash + Eq> Tunnels<K> {
    /// Opens a tunnel to `authority`, on a connection that stands or on one that `dial` makes (on TLS with ALPN `h2`).
    ///
    /// # Errors
    /// Those of `dial`; `Overflow` where all connections are full; what the peer answered instead of 200.
    pub async fn open(
        &self,
        key: K,
        authority: &str,
        own: &PeerMetadata,
        dial: impl Future<Output = Result<h2::Client, Error>>,
    ) -> Result<Stream, Error> {
        let mut head = RequestHead::default();
        head.method = Method::Connect;
        head.set_authority(authority);
        head.headers.push("baggage", write_baggage(own).as_bytes());
        let client = match self.with_room(&key)? {
            Some(client) => client,
            None => {
                let client = dial.await?;
                let mut open = self.open.borrow_mut();
                let clients = open.entry(key).or_default();
                // Others may have dialled meanwhile; what is beyond the limit serves this tunnel alone and ends with it.
                if clients.len() < limits::HBONE_CONNECTIONS {
                    clients.push(client.clone());
                }
                drop(open);
                client
            }
        };
        Tunnel::open(&client, &head).await.map(|tunnel| Stream::Tunnel(Box::new(tunnel)))
    }

    fn with_room(&self, key: &K) -> Result<Option<h2::Client>, Error> {
        let mut open = self.open.borrow_mut();
        let Some(clients) = open.get_mut(key) else { return Ok(None) };
        clients.retain(h2::Client::is_usable);
        match clients.iter().find(|client| client.has_room()) {
            Some(client) => Ok(Some(client.clone())),
            None if clients.len() >= limits::HBONE_CONNECTIONS => {
                Err(Error::new(Fault::Overflow, "all HBONE connections to this destination are full").with_nothing_received())
            }
            None => Ok(None),
        }
    }

    /// Lets go of connections that are closed or unused, and of those whose key says so. Tunnels that are open go on.
    pub fn sweep(&self, mut gone: impl FnMut(&K) -> bool) {
        self.open.borrow_mut().retain(|key, clients| {
            clients.retain(|client| client.is_usable() && client.active() > 0);
            !clients.is_empty() && !gone(key)
        });
    }
}

#[cfg(test)]
mod tests;
