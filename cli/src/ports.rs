//! Ports of this machine: whether one is free, who holds it if not, and which one comes next. Reads `/proc`, for a message that says
//! "taken" without saying by whom helps nobody.

use crate::failure::{Failure, Outcome};
use crate::limits;
use crate::patience;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as SocketName, UnixListener};
use std::sync::{Mutex, PoisonError};

/// Fails naming the holder where the port is taken.
pub fn demand(address: SocketAddr, asked_by: &str) -> Outcome {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let holder = holder(address.port()).map_or_else(|| "a process of another user".into(), |holder| holder.to_string());
            Err(Failure::problem(format!("port {} ({asked_by}) is taken by {holder}", address.port()))
                .remedy(format!("stop it, or name another port for {asked_by}")))
        }
        Err(error) => Err(Failure::problem(format!("cannot listen on {address} ({asked_by})")).why(error)),
    }
}

/// Ports that this process means to use. While it is held, no other `organza` of this machine is given one of them, though nobody listens yet.
#[derive(Debug, Default)]
pub struct Reserved(HashMap<u16, UnixListener>);

impl Reserved {
    /// The first free port at or after `preferred`.
    pub fn prefer(&mut self, preferred: u16) -> Outcome<u16> {
        let candidates = preferred..preferred.saturating_add(limits::PORTS_TRIED);
        for port in candidates.filter(|port| !self.0.contains_key(port)) {
            let Some(held) = hold(port) else { continue };
            // Gateways listen on all interfaces: free means free on each of them.
            if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
                self.0.insert(port, held);
                return Ok(port);
            }
        }
        Err(Failure::problem(format!("no free port from {preferred} on")))
    }
}

/// A port of loopback that is free, and that no other `organza` of this machine takes while this process lives.
pub fn any() -> Outcome<u16> {
    any_on(Ipv4Addr::LOCALHOST.into())
}

/// The same on an address of this machine. Below those that the kernel gives to outgoing connections: one of these might take a port between now and
/// when its proxy opens it.
pub fn any_on(ip: IpAddr) -> Outcome<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let free = OWN.filter_map(|port| Some((port, hold(port)?))).find(|(port, _)| TcpListener::bind((ip, *port)).is_ok());
    if let Some((port, held)) = free {
        given.push(held);
        return Ok(port);
    }
    let port = TcpListener::bind((ip, 0)).and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.map_err(|error| Failure::problem(format!("no free port on {ip}")).why(error))
}

/// The first port of loopback at or after `preferred` that is free, and that no other `organza` of this machine takes while this process lives.
pub fn next(preferred: u16) -> Outcome<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut candidates = preferred..preferred.saturating_add(limits::PORTS_TRIED);
    let free = candidates.find_map(|port| {
        let held = hold(port)?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some((port, held))
    });
    let (port, held) = free.ok_or_else(|| Failure::problem(format!("no free port from {preferred} on")).remedy("name another"))?;
    given.push(held);
    Ok(port)
}

/// Keeps ports from other `organza`s as [`any_on`] does: they are ours since before this process was the program that it is.
pub fn keep(ports: impl Iterator<Item = u16>) {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    given.extend(ports.filter_map(hold));
}

static GIVEN: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// Where proxies listen.
const OWN: std::ops::Range<u16> = 15_100..20_000;

/// A name in the abstract space goes with its process and belongs to the network namespace, as ports do.
fn hold(port: u16) -> Option<UnixListener> {
    SocketName::from_abstract_name(format!("organza-port-{port}")).and_then(|name| UnixListener::bind_addr(&name)).ok()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    pub program: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} ({})", self.pid, self.program)
    }
}

/// Who listens on a TCP port, as far as this user may see.
pub fn holder(port: u16) -> Option<Holder> {
    let inodes: HashSet<String> = listeners().into_iter().filter(|l| l.port == port).map(|l| format!("socket:[{}]", l.inode)).collect();
    let processes = fs::read_dir("/proc").ok()?;
    for entry in processes.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(descriptors) = fs::read_dir(entry.path().join("fd")) else { continue };
        let holds = descriptors.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| inodes.contains(&*to.to_string_lossy())));
        if holds {
            let program = fs::read_to_string(entry.path().join("comm")).unwrap_or_default().trim().to_owned();
            return Some(Holder { pid, program });
        }
    }
    None
}

/// Whether something listens on the port beyond loopback.
pub fn is_exposed(port: u16) -> bool {
    listeners().iter().any(|listener| listener.port == port && !listener.loopback)
}

/// Whether anything listens on the port at all.
pub fn is_listening(port: u16) -> bool {
    listeners().iter().any(|listener| listener.port == port)
}

/// Waits until something listens on the port.
pub async fn await_listener(port: u16) -> Outcome {
    let listening = patience::until_ready(|| std::future::ready(is_listening(port).then_some(()))).await;
    listening.ok_or_else(|| Failure::problem(format!("nothing listens on port {port} after {:?}", limits::READY)))
}

struct Listening {
    port: u16,
    loopback: bool,
    inode: u64,
}

fn listeners() -> Vec<Listening> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|table| fs::read_to_string(table).map(|text| parse(&text)).unwrap_or_default())
        .collect()
}

/// Lines of `/proc/net/tcp`: local address as hexadecimal words in host order, state `0A` for listening, inode in the tenth column.
fn parse(table: &str) -> Vec<Listening> {
    let line = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = columns.get(1)?.split_once(':')?;
        let listening = *columns.get(3)? == "0A";
        let inode = columns.get(9)?.parse().ok()?;
        listening.then_some(())?;
        Some(Listening { port: u16::from_str_radix(port, 16).ok()?, loopback: address_of(address)?.is_loopback(), inode })
    };
    table.lines().skip(1).filter_map(line).collect()
}

fn address_of(hex: &str) -> Option<IpAddr> {
    let words: Vec<u32> = (0..hex.len() / 8).map(|n| u32::from_str_radix(hex.get(n * 8..n * 8 + 8)?, 16).ok()).collect::<Option<_>>()?;
    match words[..] {
        [word] => Some(IpAddr::from(word.to_ne_bytes())),
        [a, b, c, d] => {
            let mut bytes = [0u8; 16];
            for (to, word) in bytes.chunks_mut(4).zip([a, b, c, d]) {
                to.copy_from_slice(&word.to_ne_bytes());
            }
            Some(IpAddr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
