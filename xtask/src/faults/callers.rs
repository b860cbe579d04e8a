//! Callers with a steady rate that never try again: each keeps one connection, and opens another one only where that one ended. What each request
//! got is kept with its time.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Requests of each caller per second.
const RATE: u32 = 10;
/// Longer than any time limit of the proxies' configurations.
pub const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Clone)]
pub struct Seen {
    pub at: Instant,
    pub took: Duration,
    /// 0: no answer.
    pub status: u16,
    /// Who answered, if it was a backend.
    pub endpoint: Option<u16>,
    /// Why there was no answer.
    pub error: Option<String>,
}

pub struct Callers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Seen>>>,
}

impl Callers {
    pub fn start(count: u32, address: SocketAddr, host: &str, patience: Duration) -> Self {
        Self::asking("GET", count, address, host, patience)
    }

    fn asking(method: &str, count: u32, address: SocketAddr, host: &str, patience: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let pause = Duration::from_secs(1) / RATE;
        let threads = (0..count)
            .map(|number| {
                let (stop, method, host) = (stop.clone(), method.to_owned(), host.to_owned());
                std::thread::spawn(move || {
                    std::thread::sleep(pause * number / count);
                    calls(address, (&method, &host), pause, patience, &stop)
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

fn calls(address: SocketAddr, what: (&str, &str), pause: Duration, patience: Duration, stop: &AtomicBool) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut kept = None;
    let mut next = Instant::now();
    while !stop.load(Ordering::Acquire) {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        // A caller that was held up does not make up for it: its place was taken.
        next = (next + pause).max(Instant::now());
        let at = Instant::now();
        let (status, endpoint, error) = match call(&mut kept, address, what, patience) {
            Ok((status, endpoint)) => (status, endpoint, None),
            Err(error) => (0, None, Some(format!("{error:#}"))),
        };
        seen.push(Seen { at, took: at.elapsed(), status, endpoint, error });
    }
    seen
}

/// One request over the connection that is kept, or over a new one: method and host.
fn call(
    kept: &mut Option<BufReader<TcpStream>>,
    address: SocketAddr,
    (method, host): (&str, &str),
    patience: Duration,
) -> Result<(u16, Option<u16>)> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect_timeout(&address, patience).context("connect")?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(patience))?;
            BufReader::new(stream)
        }
    };
    let body = if method == "POST" { "Content-Length: 4\r\n\r\nitem" } else { "\r\n" };
    write!(stream.get_mut(), "{method} /items HTTP/1.1\r\nHost: {host}\r\n{body}").context("send")?;
    let mut line = String::new();
    stream.read_line(&mut line).context("wait for an answer")?;
    let Some(status) = line.split(' ').nth(1).and_then(|status| status.parse().ok()) else { bail!("no status line but {line:?}") };
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
pub fn wait_for_answer(address: SocketAddr, host: &str) -> Result<()> {
    let end = Instant::now() + crate::running::PATIENCE;
    loop {
        let got = call(&mut None, address, ("GET", host), PATIENCE);
        match got {
            Ok((200, _)) => return Ok(()),
            got if Instant::now() > end => bail!("the proxy answers {got:?}"),
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// `xtask callers COUNT ADDRESS HOST PATIENCE [METHOD]`: calls until its input closes, for who stands in another network. Tells of each request that got no 200, by the time of
/// day, and at last how many there were.
pub fn serve(arguments: &[String]) -> Result<()> {
    let [count, address, host, patience, method @ ..] = arguments else { bail!("callers COUNT ADDRESS HOST PATIENCE [METHOD]") };
    let method = method.first().map_or("GET", String::as_str);
    let (count, address, patience): (u32, SocketAddr, _) = (count.parse()?, address.parse()?, Duration::from_secs(patience.parse()?));
    wait_for_answer(address, host)?;
    let (begun, callers) = (Instant::now(), Callers::asking(method, count, address, host, patience));
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.saturating_sub(begun.elapsed());
    let seen = callers.stop();
    for lost in seen.iter().filter(|seen| seen.status != 200) {
        let (at, what) = ((now + (lost.at - begun)).as_secs_f64(), lost.error.as_deref().unwrap_or("answered"));
        println!("lost at {at:.3} after {} ms: status {}, {what}", lost.took.as_millis(), lost.status);
    }
    let slowest = seen.iter().map(|seen| seen.took).max().unwrap_or_default();
    println!("{} requests, {} ms the slowest", seen.len(), slowest.as_millis());
    Ok(())
}
