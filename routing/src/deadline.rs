//! How long a caller will wait, as requests say it: `grpc-timeout` (gRPC over HTTP/2) and Envoy's `x-envoy-expected-rq-timeout-ms`. Read from what
//! came, and written anew for the next hop with what is left. A caller's word only ever shortens what the route allows. It never decides who is
//! believed: what strangers may not say was taken out before.

use crate::limits;
use model::RequestHead;
use std::time::Duration;

const GRPC: &str = "grpc-timeout";
const EXPECTED: &str = "x-envoy-expected-rq-timeout-ms";

/// How long the caller waits from now on; `None` where it does not say. What cannot be read says nothing, and goes on as it came.
pub fn told(head: &RequestHead) -> Option<Duration> {
    let grpc = head.headers.get(GRPC).filter(|_| head.is_grpc()).and_then(read_grpc);
    let expected = head.headers.get(EXPECTED).and_then(read_millis);
    match (grpc, expected) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Tells the next hop what is left. gRPC servers read the one, all others the other; proxies both.
pub fn tell(head: &mut RequestHead, left: Duration) {
    let mut text = Digits::default();
    if head.is_grpc() {
        head.headers.set(GRPC, text.grpc(left));
    }
    head.headers.set(EXPECTED, text.millis(left));
}

/// At most eight digits and a unit. The specification wants them positive; callers whose time is over write zero.
fn read_grpc(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) {
        return None;
    }
    let count = number(digits)?;
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Zero means without bound, as Envoy has it, and so says nothing here.
fn read_millis(value: &[u8]) -> Option<Duration> {
    let digits = Some(value).filter(|digits| (1..=limits::TIMEOUT_DIGITS).contains(&digits.len()))?;
    number(digits).filter(|millis| *millis > 0).map(Duration::from_millis)
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |sum: u64, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
}

/// Room for a number and its unit.
#[derive(Default)]
struct Digits([u8; 24]);

impl Digits {
    /// In the finest unit that eight digits can say, rounded up: whoever waits is the first to give up.
    fn grpc(&mut self, left: Duration) -> &[u8] {
        const UNITS: [(u128, u8); 5] = [(1, b'n'), (1_000, b'u'), (1_000_000, b'm'), (1_000_000_000, b'S'), (60_000_000_000, b'M')];
        let fits = |(size, _): &&(u128, u8)| left.as_nanos().div_ceil(*size) <= 99_999_999;
        // Two centuries of minutes are enough for anyone.
        let (size, unit) = UNITS.iter().find(fits).copied().unwrap_or((60_000_000_000, b'M'));
        let count = left.as_nanos().div_ceil(size).clamp(1, 99_999_999);
        self.write(count as u64, Some(unit))
    }

    fn millis(&mut self, left: Duration) -> &[u8] {
        let millis = left.as_nanos().div_ceil(1_000_000).clamp(1, 10_u128.pow(limits::TIMEOUT_DIGITS as u32) - 1);
        self.write(millis as u64, None)
    }

    fn write(&mut self, mut number: u64, unit: Option<u8>) -> &[u8] {
        let mut at = self.0.len();
        if let Some(byte) = unit {
            at -= 1;
            self.0[at] = byte;
        }
        loop {
            at -= 1;
            self.0[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return &self.0[at..];
            }
        }
    }
}

#[cfg(test)]
mod tests;
