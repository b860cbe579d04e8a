//! `xtask caller PORT SECONDS [TOKEN]`: one who asks, waits for the answer and asks again, by one connection, and keeps what each call took. wrk does not
//! keep that with one connection: it adds calls that were never made to its figures, as many as would have been asked during a pause. Both are told here.

use super::load::{HOST, SMALL, Shot};
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

pub fn serve(arguments: &[String]) -> Result<()> {
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u16>().ok()).context("caller PORT SECONDS [TOKEN]");
    let (port, seconds) = (number(0)?, number(1)?);
    let token = arguments.get(2).map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let request = format!("GET /items/1 HTTP/1.1\r\nHost: {HOST}\r\nx-bench: 1\r\n{token}\r\n");
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(crate::running::PATIENCE))?;
    let body = "0123456789".repeat(SMALL / 10);
    let (mut taken, mut answer) = (Vec::with_capacity(1 << 18), [0; 4096]);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(u64::from(seconds)) {
        let asked = Instant::now();
        stream.write_all(request.as_bytes())?;
        let mut filled = 0;
        while !answer[..filled].ends_with(body.as_bytes()) {
            match stream.read(&mut answer[filled..])? {
                0 => bail!("it answered:\n{}", String::from_utf8_lossy(&answer[..filled])),
                more => filled += more,
            }
        }
        taken.push(asked.elapsed().as_secs_f64() * 1e6);
        if !answer.starts_with(b"HTTP/1.1 200 ") {
            bail!("it answered:\n{}", String::from_utf8_lossy(&answer[..filled]));
        }
    }
    let shot = told(taken, begun.elapsed());
    let Shot { requests, rate, p50_us, p99_us, p999_us, p99_corrected_us } = shot;
    println!("{requests} {rate} {p50_us} {p99_us} {p999_us} {}", p99_corrected_us.unwrap_or(p99_us));
    Ok(())
}

/// What it printed.
pub fn heard(text: &str) -> Option<Shot> {
    let numbers: Vec<f64> = text.split_whitespace().map_while(|number| number.parse().ok()).collect();
    let [requests, rate, p50_us, p99_us, p999_us, corrected] = numbers[..] else { return None };
    Some(Shot { requests, rate, p50_us, p99_us, p999_us, p99_corrected_us: Some(corrected) })
}

/// Of what each call took, in microseconds.
fn told(mut taken: Vec<f64>, whole: Duration) -> Shot {
    let (requests, micros) = (taken.len() as f64, whole.as_secs_f64() * 1e6);
    taken.sort_by(f64::total_cmp);
    let mut corrected = taken.clone();
    // wrk's way: who waited for longer than two intervals would have asked once more after each of them, and waited the rest.
    let interval = micros / requests.max(1.0);
    for one in taken.iter().filter(|one| **one > 2.0 * interval) {
        corrected.extend(std::iter::successors(Some(one - interval), |rest| Some(rest - interval)).take_while(|rest| *rest > interval));
    }
    corrected.sort_by(f64::total_cmp);
    Shot {
        requests,
        rate: requests / micros * 1e6,
        p50_us: percentile(&taken, 0.5),
        p99_us: percentile(&taken, 0.99),
        p999_us: percentile(&taken, 0.999),
        p99_corrected_us: Some(percentile(&corrected, 0.99)),
    }
}

/// Of figures in order; 0 if there are none.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted.get(((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests;
