//! Hosts in network namespaces: several machines on one, for what must cross a network, and captures of what crosses it.
//!
//! Names begin with `ogz` and carry the test's process id; a host that is dropped takes its namespace, its links and what runs in it along.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Two hosts and the wire between them.
pub struct Network {
    pub a: Host,
    pub b: Host,
}

pub struct Host {
    name: String,
    pub address: Ipv4Addr,
    link: String,
}

impl Network {
    /// `10.77.0.1` and `10.77.0.2`, reachable from each other only.
    ///
    /// # Panics
    /// If the namespaces cannot be made; ask [`crate::require`] for [`crate::Need::Namespaces`] first.
    pub fn pair(tag: &str) -> Self {
        let id = std::process::id();
        let host = |side: &str, last: u8| Host {
            name: format!("ogz-{tag}-{side}-{id}"),
            address: Ipv4Addr::new(10, 77, 0, last),
            link: format!("ogz{side}{id}"),
        };
        let network = Self { a: host("a", 1), b: host("b", 2) };
        for host in [&network.a, &network.b] {
            ip(&["netns", "add", &host.name]);
        }
        let (a, b) = (&network.a, &network.b);
        ip(&["link", "add", &a.link, "netns", &a.name, "type", "veth", "peer", "name", &b.link, "netns", &b.name]);
        for host in [a, b] {
            ip(&["-n", &host.name, "addr", "add", &format!("{}/24", host.address), "dev", &host.link]);
            ip(&["-n", &host.name, "link", "set", &host.link, "up"]);
            ip(&["-n", &host.name, "link", "set", "lo", "up"]);
        }
        network
    }
}

impl Host {
    /// The same command, run on this host.
    pub fn on(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--net=/run/netns/{}", self.name)).arg("--").arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(key, value),
                None => inside.env_remove(key),
            };
        }
        inside
    }

    /// Captures every packet on the wire to the other host.
    pub fn capture(&self, folder: &Path) -> Capture {
        Capture::start(self, &self.link, folder.join(format!("{}.pcap", self.link)))
    }

    /// Captures what stays on this host.
    pub fn capture_loopback(&self, folder: &Path) -> Capture {
        Capture::start(self, "lo", folder.join(format!("{}-lo.pcap", self.link)))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().expect("`ip` starts");
    assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A running packet capture.
pub struct Capture {
    child: Child,
    file: PathBuf,
}

impl Capture {
    fn start(host: &Host, link: &str, file: PathBuf) -> Self {
        let mut command = Command::new("tcpdump");
        command.args(["-i", link, "-U", "-s", "0", "-Z", "root", "-w"]).arg(&file);
        let mut inside = host.on(&command);
        let child = inside.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("tcpdump starts");
        // tcpdump writes the file's header once it listens.
        let end = Instant::now() + Duration::from_secs(10);
        while std::fs::metadata(&file).map_or(0, |m| m.len()) == 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        // The header is written a moment before the first packet is seen.
        std::thread::sleep(Duration::from_millis(700));
        Self { child, file }
    }

    /// Ends the capture and gives its bytes: what is searched for markers.
    ///
    /// # Panics
    /// If the file cannot be read.
    pub fn finish(mut self) -> Vec<u8> {
        std::thread::sleep(Duration::from_millis(1500));
        let _ = Command::new("kill").args(["-s", "INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
        std::fs::read(&self.file).expect("the capture can be read")
    }
}

/// Whether `marker` stands in `bytes` unencrypted.
pub fn contains(bytes: &[u8], marker: &str) -> bool {
    bytes.windows(marker.len()).any(|window| window == marker.as_bytes())
}
