//! What a mesh needs of the machine it is on: its folder and sockets are its owner's alone, the clock goes, ports can be had. The functions that judge
//! are pure; what they judge is looked up in `look` and `before`.

use super::fact::Fact;
use crate::place::Place;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const FOLDER: &str = "state of the mesh";
const MACHINE: &str = "machine";
const PORTS: &str = "ports";
/// A gateway of moderate size: two descriptors a connection.
const DESCRIPTORS: u64 = 4096;

/// Owner and permissions of a file, or that it is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    pub owner: u32,
    pub mode: u32,
}

pub fn guard(path: &Path) -> Option<Guard> {
    let found = std::fs::symlink_metadata(path).ok()?;
    Some(Guard { owner: found.uid(), mode: found.mode() & 0o7777 })
}

/// What only its owner may open: whoever else can is let in by the control plane, or holds its keys.
fn guarded(what: &str, path: &Path, found: Option<Guard>, me: u32) -> Fact {
    let shown = path.display();
    match found {
        None => Fact::bad(FOLDER, format!("{what} {shown} is not there"), "is the mesh up? organza up, or another --mesh"),
        Some(guard) if guard.owner != me => {
            Fact::bad(FOLDER, format!("{what} {shown} is of user {}, not of {me}", guard.owner), "run organza as that user, or chown it")
        }
        Some(guard) if guard.mode & 0o077 != 0 => {
            let hint = format!("chmod go= {shown}, and see who opened it meanwhile");
            Fact::bad(FOLDER, format!("{what} {shown} is open to others (mode {:o})", guard.mode), hint)
        }
        Some(_) => Fact::good(FOLDER, format!("{what} is its owner's alone")),
    }
}

/// Folder, sockets and keys of a mesh that is up.
pub fn look(place: &Place) -> Vec<Fact> {
    let me = rustix::process::getuid().as_raw();
    let check = |what: &str, path: &Path| guarded(what, path, guard(path), me);
    let mut facts = vec![check("the folder", place.root()), check("the control socket", &place.control_socket())];
    let keys = place.root().join("ca/issuing.key");
    if keys.exists() {
        facts.push(check("the authority's key", &keys));
    }
    let mut proxies: Vec<_> = std::fs::read_dir(place.proxies()).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    proxies.sort();
    let sockets = proxies.iter().flat_map(|folder| [folder.join("admin.sock"), folder.join("svid")]).filter(|path| path.exists());
    let bad: Vec<Fact> = sockets.map(|path| check("a proxy's", &path)).filter(|fact| fact.hint.is_some()).collect();
    match bad.is_empty() {
        true => facts.push(Fact::good(FOLDER, format!("sockets and keys of {} proxies are their owner's alone", proxies.len()))),
        false => facts.extend(bad),
    }
    facts
}

/// Where proxies connect, as the control plane says it.
pub fn exposed(xds: &str) -> Fact {
    match xds.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => {
            Fact::good(PORTS, format!("{xds}, where proxies connect, is reached from this machine alone"))
        }
        Ok(_) => Fact::good(
            PORTS,
            format!("{xds}, where proxies connect, is reached from other machines: by mutual TLS, or to join with a token"),
        ),
        Err(_) => Fact::unknown(PORTS, format!("where proxies connect is not understood: {xds:?}"), "use the same release for both"),
    }
}

/// What the machine has before a mesh is brought up.
pub fn before(place: &Place) -> Vec<Fact> {
    let me = rustix::process::getuid().as_raw();
    let folder = match guard(place.root()) {
        None => writable(place.root()),
        there => guarded("the folder", place.root(), there, me),
    };
    let now = SystemTime::now();
    let program = crate::program::own().ok().and_then(|path| std::fs::metadata(path).ok()?.modified().ok());
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    vec![folder, clock(now, program), descriptors(limit), loopback(TcpListener::bind(("127.0.0.1", 0)).map(drop))]
}

/// The nearest folder that is there must let us make one.
fn writable(folder: &Path) -> Fact {
    let nearest = folder.ancestors().find(|path| path.exists()).unwrap_or(folder);
    match rustix::fs::access(nearest, rustix::fs::Access::WRITE_OK) {
        Ok(()) if nearest.is_dir() => Fact::good(FOLDER, format!("{} can be made", folder.display())),
        written => {
            let why = written.err().map_or_else(|| "that is no folder".to_owned(), |e| e.to_string());
            let says = format!("{} cannot be made in {}: {why}", folder.display(), nearest.display());
            Fact::bad(FOLDER, says, "name a folder that can be written with XDG_STATE_HOME")
        }
    }
}

/// A certificate of now must not be one of the future to others; the program itself is older than now.
fn clock(now: SystemTime, program: Option<SystemTime>) -> Fact {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match program {
        Some(program) if seconds(now) + 1 < seconds(program) => {
            let says = format!("the clock is {} s behind the file of this program", seconds(program) - seconds(now));
            Fact::bad(MACHINE, says, "set it by NTP: certificates would not be valid yet to others")
        }
        _ => Fact::good(MACHINE, "the clock is not behind this program"),
    }
}

fn descriptors(limit: Option<u64>) -> Fact {
    match limit {
        Some(limit) if limit < DESCRIPTORS => {
            Fact::warning(MACHINE, format!("a process may open {limit} files, which is as many connections"), "ulimit -n 65536")
        }
        Some(limit) => Fact::good(MACHINE, format!("a process may open {limit} files")),
        None => Fact::good(MACHINE, "a process may open any number of files"),
    }
}

fn loopback(bound: std::io::Result<()>) -> Fact {
    match bound {
        Ok(()) => Fact::good(PORTS, "ports of 127.0.0.1 can be opened"),
        Err(e) => Fact::bad(PORTS, format!("no port of 127.0.0.1 can be opened: {e}"), "ip link set lo up"),
    }
}

#[cfg(test)]
mod tests;
