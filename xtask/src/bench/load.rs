//! Callers: wrk for HTTP/1.1, h2load for HTTP/2 and gRPC, ours for one connection and for bulk. Each says how many requests were answered and how long they took;
//! an answer that is not what it should be ends the run.

use super::caller::{heard, percentile};
use super::case::{Load, Request};
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

pub const HOST: &str = "bench.local";
/// Bytes of a small answer, and of a large one.
pub const SMALL: usize = 100;
pub const LARGE: usize = 64 * 1024;

#[derive(Debug, Default, Clone, Copy)]
pub struct Shot {
    /// Requests, or MiB.
    pub requests: f64,
    pub rate: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    /// p99 with a pause counted as all the calls that would have been asked meanwhile, where the caller says both.
    pub p99_corrected_us: Option<f64>,
}

pub struct Target<'a> {
    pub port: u16,
    pub tls: bool,
    /// Routes to spread requests over.
    pub routes: usize,
    /// That callers bring.
    pub token: Option<String>,
    /// Holds the files of this run.
    pub folder: &'a Path,
}

pub fn shoot(load: Load, target: &Target<'_>, seconds: u64) -> Result<Shot> {
    match load {
        Load::Http1(1, Request::Small) if !target.tls => one(target, seconds),
        Load::Http1(connections, request) => wrk(connections, request, target, seconds),
        Load::Http2(connections, streams, messages) => h2load(connections, streams, messages, target, seconds),
        Load::Bulk(mib) => bulk(mib, target.port),
    }
}

/// Callers and backends keep off the processor that is the proxy's: the kernel puts them there now and then, and what a proxy waits for it then is another figure
/// in each round.
pub fn beside(program: impl AsRef<OsStr>) -> Command {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    if count < 2 {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", &format!("1-{}", count - 1)]).arg(program);
    command
}

/// One connection, without TLS.
fn one(target: &Target<'_>, seconds: u64) -> Result<Shot> {
    let mut command = beside(crate::process::own()?);
    let output = command.args(["caller", &target.port.to_string(), &seconds.to_string()]).args(&target.token).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    heard(&text).with_context(|| format!("the caller said:\n{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// wrk's own counts; every answer but 2xx, and every one of another length, is an error here.
fn wrk(connections: u32, request: Request, target: &Target<'_>, seconds: u64) -> Result<Shot> {
    let script = target.folder.join("wrk.lua");
    fs::write(&script, lua(request, target.routes))?;
    let scheme = if target.tls { "https" } else { "http" };
    let url = format!("{scheme}://127.0.0.1:{}/items/1", target.port);
    let mut command = beside("wrk");
    command.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "-s"]).arg(script);
    if let Some(token) = &target.token {
        command.args(["-H", &format!("Authorization: Bearer {token}")]);
    }
    let output = command.args(["-H", "x-bench: 1", "-H", &format!("Host: {HOST}"), &url]).output().context("cannot run wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text
        .lines()
        .find_map(|line| line.strip_prefix("bench "))
        .map(|line| line.split(' ').filter_map(|number| number.parse().ok()).collect())
        .unwrap_or_default();
    let [requests, micros, p50_us, p99_us, p999_us, errors, bytes] = numbers[..] else { bail!("wrk said:\n{text}") };
    // In turns: at the end some of the large ones are still on their way, one for each connection at most.
    let least = match request {
        Request::Large => (requests / 2.0 - f64::from(connections)) * LARGE as f64,
        _ => requests * SMALL as f64,
    };
    if errors > 0.0 || requests < 1.0 || bytes < least {
        bail!("answers were wrong: {errors} errors, {:.0} bytes each\n{text}", bytes / requests);
    }
    Ok(Shot { requests, rate: requests / micros * 1e6, p50_us, p99_us, p999_us, p99_corrected_us: None })
}

/// One answer, whole: status, body, and what the proxy writes into its head.
pub fn verify(target: &Target<'_>, spread: bool, head: &str) -> Result<()> {
    let token = target.token.as_deref();
    match spread {
        true => answer(target.port, &format!("host-0.{HOST}"), "/items/0", token, head),
        false => answer(target.port, HOST, "/items/1", token, head),
    }
}

pub fn verify_host(port: u16, host: &str) -> Result<()> {
    answer(port, host, "/items/1", None, "")
}

fn answer(port: u16, host: &str, path: &str, token: Option<&str>, head: &str) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(crate::running::PATIENCE))?;
    let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nx-bench: 1\r\n{token}Connection: close\r\n\r\n")?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
    let whole = text.starts_with("http/1.1 200") && text.contains(head) && text.ends_with(&"0123456789".repeat(SMALL / 10));
    if !whole {
        bail!("it answered:\n{text}");
    }
    Ok(())
}

fn lua(request: Request, routes: usize) -> String {
    let what = match request {
        Request::Small => String::new(),
        Request::Close => "wrk.headers['Connection'] = 'close'\n".to_owned(),
        Request::Large => format!(
            "local turn, body = 0, string.rep('x', {LARGE})
function request()
  turn = 1 - turn
  if turn == 1 then return wrk.format('GET', '/items/large') end
  return wrk.format('POST', '/items/upload', nil, body)
end\n"
        ),
        Request::Spread => format!(
            "local turn = 0
function request()
  turn = (turn + 7919) % {routes}
  wrk.headers['Host'] = 'host-' .. (turn % 1000) .. '.{HOST}'
  return wrk.format('GET', '/items/' .. turn)
end\n"
        ),
    };
    what + "function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('bench %d %d %d %d %d %d %d\\n', summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    latency:percentile(99.9), e.connect + e.read + e.write + e.status + e.timeout, summary.bytes))
end\n"
}

fn h2load(connections: u32, streams: u32, messages: Option<usize>, target: &Target<'_>, seconds: u64) -> Result<Shot> {
    let log = target.folder.join("h2load.log");
    fs::remove_file(&log).ok();
    let mut command = beside("h2load");
    command.args([&format!("-c{connections}"), &format!("-m{streams}"), &format!("-D{seconds}"), "-t1", "--log-file"]).arg(&log);
    command.args(["-H", "x-bench: 1", "-H", &format!(":authority: {HOST}")]);
    if let Some(messages) = messages {
        let body = target.folder.join("grpc.body");
        let mut message = vec![0, 0, 0, 0, SMALL as u8];
        message.resize(5 + SMALL, b'x');
        fs::write(&body, message.repeat(messages))?;
        command.args(["-H", "content-type: application/grpc", "-H", "te: trailers", "-d"]).arg(body);
    }
    let scheme = if target.tls { "https" } else { "http" };
    let output = command.arg(format!("{scheme}://127.0.0.1:{}/items/1", target.port)).output().context("cannot run h2load")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = |line: &str, word: &str| -> Option<f64> {
        let before = text.lines().find_map(|l| l.strip_prefix(line))?.split(", ").find_map(|part| part.trim().strip_suffix(word))?;
        before.trim().parse().ok()
    };
    let (good, bad) = (number("requests:", " succeeded"), number("status codes:", " 5xx"));
    let (Some(requests), Some(bad)) = (good, bad) else { bail!("h2load said:\n{text}") };
    let other = ["3xx", "4xx"].iter().filter_map(|kind| number("status codes:", &format!(" {kind}"))).sum::<f64>();
    if requests < 1.0 || bad + other + number("requests:", " errored").unwrap_or(0.0) > 0.0 {
        bail!("answers were wrong:\n{text}");
    }
    let mut times = fs::read_to_string(&log)?.lines().filter_map(|line| line.split('\t').nth(2)?.parse::<f64>().ok()).collect::<Vec<_>>();
    times.sort_by(f64::total_cmp);
    let [p50_us, p99_us, p999_us] = [0.5, 0.99, 0.999].map(|share| percentile(&times, share));
    Ok(Shot { requests, rate: requests / seconds as f64, p50_us, p99_us, p999_us, p99_corrected_us: None })
}

fn bulk(mib: u64, port: u16) -> Result<Shot> {
    let begun = std::time::Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(crate::running::PATIENCE))?;
    stream.write_all(&mib.to_be_bytes())?;
    let (mut buffer, mut read) = (vec![0; 256 * 1024], 0);
    while read < mib << 20 {
        match stream.read(&mut buffer)? {
            0 => bail!("it ended after {read} bytes"),
            more => read += more as u64,
        }
    }
    let took = begun.elapsed().as_secs_f64();
    Ok(Shot { requests: mib as f64, rate: mib as f64 / took, ..Shot::default() })
}

/// `xtask source PORT`: whoever connects and says how many MiB gets them.
pub fn source(arguments: &[String]) -> Result<()> {
    let port: u16 = arguments.first().and_then(|port| port.parse().ok()).context("source PORT")?;
    let block = vec![b'x'; 1 << 20];
    for stream in TcpListener::bind(("127.0.0.1", port))?.incoming() {
        let mut stream = stream?;
        let block = block.clone();
        std::thread::spawn(move || -> std::io::Result<()> {
            let mut asked = [0; 8];
            stream.read_exact(&mut asked)?;
            (0..u64::from_be_bytes(asked)).try_for_each(|_| stream.write_all(&block))
        });
    }
    Ok(())
}
