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

/// How long ago it was, both in Unix seconds: `now`, `20 min ago`, `5 h ago`, `3 d ago`.
pub fn ago(then: u64, now: u64) -> String {
    match now.saturating_sub(then) {
        passed if passed >= 2 * 86_400 => format!("{} d ago", passed / 86_400),
        passed if passed >= 7_200 => format!("{} h ago", passed / 3_600),
        passed if passed >= 120 => format!("{} min ago", passed / 60),
        _ => "now".to_owned(),
    }
}

/// A moment in Unix seconds as people write it: `2026-11-26 16:20 UTC`. Days by Howard Hinnant's `civil_from_days`.
pub fn moment(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years begin in March here.
    let month = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", rest / 3_600, rest / 60 % 60)
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
