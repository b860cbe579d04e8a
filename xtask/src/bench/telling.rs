//! Who is told of requests while the bench carries them: a tap that asks for everything, collectors that take every span, one that hangs, a Prometheus that
//! is down. What is measured is the proxy; those who listen are no part of it.

use super::{access, load};
use crate::running::{Running, free_ports, wait_for_port};
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Policies of access, where they are on.
const POLICIES: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collector {
    None,
    Takes,
    /// Takes connections, and never a word.
    Hangs,
}

/// One set of those who listen.
#[derive(Debug, Clone, Copy)]
pub struct Telling {
    pub name: &'static str,
    /// Of a hundred requests.
    pub sampled: Option<u32>,
    pub collector: Collector,
    pub tap: bool,
    pub prometheus_down: bool,
}

const NOBODY: Telling = Telling { name: "organza", sampled: None, collector: Collector::None, tap: false, prometheus_down: false };

pub const ALL: &[Telling] = &[
    NOBODY,
    Telling { name: "organza tap", tap: true, ..NOBODY },
    Telling { name: "organza 1% spans", sampled: Some(1), collector: Collector::Takes, ..NOBODY },
    Telling { name: "organza spans", sampled: Some(100), collector: Collector::Takes, ..NOBODY },
    Telling { name: "organza hangs", sampled: Some(100), collector: Collector::Hangs, ..NOBODY },
    Telling { name: "organza no prom", prometheus_down: true, ..NOBODY },
];

/// What `--with` adds to Organza in every case.
#[derive(Debug, Clone, Copy, Default)]
pub struct With {
    pub traced: bool,
    pub policies: bool,
}

impl With {
    /// # Errors
    /// If a word is none of ours.
    pub fn parse(text: &str) -> Result<Self> {
        let mut with = Self::default();
        for word in text.split(',') {
            match word {
                "traced" => with.traced = true,
                "policies" => with.policies = true,
                _ => anyhow::bail!("--with takes traced, policies or both with a comma, not {word:?}"),
            }
        }
        Ok(with)
    }

    /// Objects for a target of policies, with a collector at this port.
    pub fn objects(self, target: access::Target, collector: Option<u16>) -> Result<String> {
        let mut out = if self.policies { access::objects_for(target, POLICIES, false)? } else { String::new() };
        out.push_str(&collector.map_or_else(String::new, |port| policy(None, Some(port))));
        Ok(out)
    }

    /// The same policies for Envoy.
    pub fn filters(self) -> Result<String> {
        if self.policies { access::filters(POLICIES, false) } else { Ok(String::new()) }
    }
}

/// For every proxy of the mesh.
fn policy(sampled: Option<u32>, collector: Option<u16>) -> String {
    let sampling = sampled.map_or_else(String::new, |percent| format!("    sampling: {{ percent: {percent} }}\n"));
    let otlp = |port: u16| format!("    otlp: {{ endpoint: \"http://127.0.0.1:{port}\", protocol: HttpProtobuf }}\n");
    let otlp = collector.map_or_else(String::new, otlp);
    format!(
        "---\napiVersion: organza.dev/v1alpha1\nkind: TelemetryPolicy\nmetadata: {{ name: bench, namespace: organza-system }}
spec:\n  tracing:\n{sampling}{otlp}"
    )
}

/// A collector that listens.
pub fn collector(what: Collector) -> Result<Option<(u16, Running)>> {
    if what == Collector::None {
        return Ok(None);
    }
    let [port] = free_ports()?;
    let mut command = load::beside(crate::process::own()?);
    command.args(["sink", &port.to_string()]).args((what == Collector::Hangs).then_some("hangs"));
    let running = Running::quietly(&mut command)?;
    wait_for_port(port).context("the collector")?;
    Ok(Some((port, running)))
}

impl Telling {
    pub fn objects(self, collector: Option<u16>) -> String {
        match (self.sampled, collector) {
            (None, None) => String::new(),
            (sampled, collector) => policy(sampled, collector),
        }
    }
}

/// `xtask sink PORT [hangs]`: takes every request of HTTP/1.1 and answers 200 with an empty body, or says nothing ever.
pub fn sink(arguments: &[String]) -> Result<()> {
    let port: u16 = arguments.first().and_then(|port| port.parse().ok()).context("sink PORT [hangs]")?;
    let hangs = arguments.get(1).is_some_and(|word| word == "hangs");
    let mut held = Vec::new();
    for stream in TcpListener::bind(("127.0.0.1", port))?.incoming() {
        match hangs {
            // Kept open; nothing of it is read.
            true => held.push(stream?),
            false => {
                let stream = stream?;
                std::thread::spawn(move || taken(&stream));
            }
        }
    }
    Ok(())
}

fn taken(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(length) = head(&mut reader)? {
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")?;
    }
    Ok(())
}

/// How long the body of the next request is; none where there is no next one.
fn head(reader: &mut impl BufRead) -> std::io::Result<Option<u64>> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse().unwrap_or(0),
            Some(_) => {}
            None if line.trim().is_empty() => return Ok(Some(length)),
            None => {}
        }
    }
}
