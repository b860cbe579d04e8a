//! How people write and read quantities: `20s`, `10m`, `41 ms`.

use std::time::Duration;

/// Parses `500ms`, `20s`, `10m`, `24h`, or several of them together (`1m30s`), as Gateway API writes durations.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write 500ms, 20s, 10m or 1h30m");
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let millis = match &rest[digits..unit_end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let part = number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)?;
        sum = sum.checked_add(part).ok_or_else(wrong)?;
        rest = &rest[unit_end..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(sum) }
}

/// What is left until `end`, both in Unix seconds: `in 3 d`, `in 5 h`, `in 20 min`, `in 40 s`; `None` where it is over.
pub fn left(end: u64, now: u64) -> Option<String> {
    Some(match end.checked_sub(now)? {
        left if left >= 2 * 86_400 => format!("in {} d", left / 86_400),
        left if left >= 7_200 => format!("in {} h", left / 3_600),
        left if left >= 120 => format!("in {} min", left / 60),
        left => format!("in {left} s"),
    })
}

/// `870 µs`, `4.1 ms`, `1.2 s`.
pub fn short(duration: Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{:.1} s", micros as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests;
