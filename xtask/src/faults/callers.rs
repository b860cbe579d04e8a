//! Callers with a steady rate that never try again: each keeps one connection, and opens another one only where that one ended. What each request
//! got is kept with its time.

use anyhow::{Result, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const CALLERS: u32 = 40;
/// Requests per second, all callers together.
const RATE: u32 = 400;
/// Longer than any time limit of the proxies' configurations.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Clone)]
pub struct Seen {
    pub at: Instant,
    pub took: Duration,
    /// 0: no answer.
    pub status: u16,
    /// Who answered, if it was a backend.
    pub endpoint: Option<u16>,
}

pub struct Callers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Seen>>>,
}

impl Callers {
    pub fn start(port: u16, host: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let pause = Duration::from_secs(1) * CALLERS / RATE;
        let threads = (0..CALLERS)
            .map(|number| {
                let stop = stop.clone();
                std::thread::spawn(move || {
                    std::thread::sleep(pause * number / CALLERS);
                    calls(port, host, pause, &stop)
                })
            })
            .collect();
        Self { stop, threads }
    }

    pub fn stop(self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Release);
        let mut all: Vec<Seen> = self.threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect();
        all.sort_by_key(|seen| seen.at);
        all
    }
}

fn calls(port: u16, host: &str, pause: Duration, stop: &AtomicBool) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut kept = None;
    let mut next = Instant::now();
    while !stop.load(Ordering::Acquire) {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        // A caller that was held up does not make up for it: its place was taken.
        next = (next + pause).max(Instant::now());
        let at = Instant::now();
        let (status, endpoint) = call(&mut kept, port, host).unwrap_or((0, None));
        seen.push(Seen { at, took: at.elapsed(), status, endpoint });
    }
    seen
}

/// One request over the connection that is kept, or over a new one.
fn call(kept: &mut Option<BufReader<TcpStream>>, port: u16, host: &str) -> Result<(u16, Option<u16>)> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            BufReader::new(stream)
        }
    };
    write!(stream.get_mut(), "GET /items HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let Some(status) = line.split(' ').nth(1).and_then(|status| status.parse().ok()) else { bail!("no status line") };
    let (mut length, mut endpoint, mut close) = (0, None, false);
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            bail!("the head broke off");
        }
        let lower = line.trim_end().to_ascii_lowercase();
        match lower.split_once(": ") {
            Some(("content-length", value)) => length = value.parse()?,
            Some(("x-endpoint", value)) => endpoint = value.parse().ok(),
            Some(("connection", "close")) => close = true,
            _ if lower.is_empty() => break,
            _ => {}
        }
    }
    std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink())?;
    if !close {
        *kept = Some(stream);
    }
    Ok((status, endpoint))
}

/// Until the proxy is configured whole.
pub fn wait_for_answer(port: u16, host: &str) -> Result<()> {
    let end = Instant::now() + crate::running::PATIENCE;
    loop {
        let got = call(&mut None, port, host);
        match got {
            Ok((200, _)) => return Ok(()),
            got if Instant::now() > end => bail!("the proxy answers {got:?}"),
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}
