//! Durations as Gateway API writes them (GEP-2257): `1h30m`, `500ms`; at most four parts of at most five digits, whole numbers.

use crate::wrong::Wrong;
use std::time::Duration;

pub fn read(text: &str) -> Result<Duration, Wrong> {
    parse(text).ok_or_else(|| {
        Wrong::value(format!("The duration {text:?} cannot be read."))
            .fix("Write whole numbers with h, m, s or ms, such as 1h30m or 500ms.")
    })
}

fn parse(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    for part in 0..=4 {
        if rest.is_empty() {
            return (part > 0).then_some(total);
        }
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let millis: u64 = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        if !(1..=5).contains(&digits) {
            return None;
        }
        total += Duration::from_millis(number.parse::<u64>().ok()? * millis);
        rest = tail;
    }
    None
}

#[cfg(test)]
mod tests;
