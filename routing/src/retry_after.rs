//! Who asked to be left alone for a while: `Retry-After` (RFC 9110, section 10.2.3) of answers that would be tried again. An endpoint that asked is
//! not tried before its time; another one is, where there is one. It never knows how long a request may take: that is [`crate::retry`]'s.

use crate::balance::EndpointId;
use smallvec::SmallVec;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long the field asks to wait: seconds, or until a date. `None` where it cannot be read.
pub fn read(value: &[u8], wall: SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More than can be counted is for ever.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = UNIX_EPOCH.checked_add(Duration::from_secs(date(text)?))?;
    Some(date.duration_since(wall).unwrap_or_default())
}

/// The three forms of a date (RFC 9110, section 5.6.7), as seconds of Unix time: what RFC 5322 has, RFC 850's, and C's `asctime`.
fn date(text: &str) -> Option<u64> {
    let words: SmallVec<[&str; 6]> = text.split_ascii_whitespace().collect();
    match words[..] {
        [_, day, month, year, time, "GMT"] if day.len() == 2 && year.len() == 4 => seconds(year.parse().ok()?, month, day, time),
        [_, date, time, "GMT"] => {
            let mut parts = date.split('-');
            let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
            let year: u64 = year.parse().ok().filter(|year| *year < 100 && parts.next().is_none())?;
            // What waits for an answer is of this century.
            seconds(2000 + year, month, day, time)
        }
        [_, month, day, time, year] if year.len() == 4 => seconds(year.parse().ok()?, month, day, time),
        _ => None,
    }
}

fn seconds(year: u64, month: &str, day: &str, time: &str) -> Option<u64> {
    const MONTHS: [(&str, u64); 12] = [
        ("Jan", 0),
        ("Feb", 31),
        ("Mar", 59),
        ("Apr", 90),
        ("May", 120),
        ("Jun", 151),
        ("Jul", 181),
        ("Aug", 212),
        ("Sep", 243),
        ("Oct", 273),
        ("Nov", 304),
        ("Dec", 334),
    ];
    let before = MONTHS.iter().position(|(name, _)| *name == month)?;
    let day: u64 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let mut clock = time.split(':').map(|part| part.parse::<u64>().ok().filter(|part| *part <= 60));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let year = Some(year).filter(|year| (1970..10_000).contains(year) && hour < 24 && minute < 60 && clock.next().is_none())?;
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = (year - 1970) * 365 + leaps(year - 1) - leaps(1969) + MONTHS[before].1 + u64::from(is_leap && before > 1) + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// The endpoints that asked one request to wait, and until when. A host outside, which has no endpoints, is `None`.
#[derive(Debug, Default)]
pub struct Asked(SmallVec<[(Option<EndpointId>, Instant); 2]>);

impl Asked {
    /// The endpoint answered that it wants to be left alone for so long.
    pub fn note(&mut self, by: Option<EndpointId>, wait: Duration, now: Instant) {
        let until = now.checked_add(wait).unwrap_or(now + crate::limits::RETRY_AFTER_LONGEST * 2);
        self.0.retain(|(id, _)| *id != by);
        self.0.push((by, until));
    }

    /// Who is not to be tried yet.
    pub fn by(&self, now: Instant) -> SmallVec<[EndpointId; 2]> {
        self.0.iter().filter(|(_, until)| *until > now).filter_map(|(id, _)| *id).collect()
    }

    /// How long until one of them may be tried again; zero where nobody asked.
    pub fn soonest(&self, now: Instant) -> Duration {
        self.0.iter().map(|(_, until)| until.saturating_duration_since(now)).min().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
