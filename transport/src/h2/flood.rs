//! A count of the peer's frames: those that cost work and carry nothing, each kind against a budget of its own. It forgets with time, and pays back for
//! work that was done: who is sent much may say much about windows. Knows frame headers (RFC 9113, section 4.1), bytes and time, and nothing else.

use super::frame::{Header, flag, kind};
use crate::limits::{self, FrameBudget};
use std::time::Instant;

/// What a connection was ended for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// CVE-2019-9512.
    Ping,
    /// CVE-2019-9515.
    Settings,
    /// CVE-2019-9518.
    EmptyData,
    WindowUpdate,
    /// CVE-2019-9513; also the frames of RFC 9218.
    Priority,
    /// CVE-2023-44487, CVE-2019-9514.
    Reset,
    /// CVE-2024-27316, CVE-2024-24549 and their like.
    Continuation,
    /// Frames of kinds that nobody knows, and repeated goodbyes.
    Unknown,
    /// Streams that we reset because the peer broke their rules (CVE-2025-8671).
    MadeYouReset,
}

impl Flood {
    /// As metrics name it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ping => "h2_ping_flood",
            Self::Settings => "h2_settings_flood",
            Self::EmptyData => "h2_empty_data_flood",
            Self::WindowUpdate => "h2_window_update_flood",
            Self::Priority => "h2_priority_flood",
            Self::Reset => "h2_rapid_reset",
            Self::Continuation => "h2_continuation_flood",
            Self::Unknown => "h2_unknown_frame_flood",
            Self::MadeYouReset => "h2_made_you_reset",
        }
    }

    pub fn why(self) -> &'static str {
        match self {
            Self::Ping => "HTTP/2: more PING frames than their budget",
            Self::Settings => "HTTP/2: more SETTINGS frames than their budget",
            Self::EmptyData => "HTTP/2: more empty DATA frames than their budget",
            Self::WindowUpdate => "HTTP/2: more WINDOW_UPDATE frames than their budget",
            Self::Priority => "HTTP/2: more PRIORITY frames than their budget",
            Self::Reset => "HTTP/2: more streams reset than their budget",
            Self::Continuation => "HTTP/2: more CONTINUATION frames behind one HEADERS than their limit",
            Self::Unknown => "HTTP/2: more frames of unknown kinds than their budget",
            Self::MadeYouReset => "HTTP/2: more streams whose rules were broken than their budget",
        }
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Stranger,
    /// A peer of the mesh, an own application or an upstream: one connection of it carries what many callers do.
    Member,
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Watch {
    /// CONTINUATION frames of the present header block.
    continued: usize,
    factor: u32,
    paid: Paid,
    ping: Bucket,
    settings: Bucket,
    empty_data: Bucket,
    window_update: Bucket,
    priority: Bucket,
    reset: Bucket,
    unknown: Bucket,
    provoked: Bucket,
}

/// What earns a peer its frames.
#[derive(Debug, Clone, Copy, Default)]
struct Paid {
    written: u64,
    heads: u64,
}

impl Watch {
    pub fn new(who: Who, now: Instant) -> Self {
        let factor = if who == Who::Member { limits::H2_MEMBER_FACTOR } else { 1 };
        let bucket = |budget: FrameBudget| Bucket::new(budget, factor, now);
        Self {
            continued: 0,
            factor,
            paid: Paid::default(),
            ping: bucket(limits::H2_PING),
            settings: bucket(limits::H2_SETTINGS),
            empty_data: bucket(limits::H2_EMPTY_DATA),
            window_update: bucket(limits::H2_WINDOW_UPDATE),
            priority: bucket(limits::H2_PRIORITY),
            reset: bucket(limits::H2_RESET),
            unknown: bucket(limits::H2_UNKNOWN),
            provoked: bucket(limits::H2_ERROR_RESETS),
        }
    }

    /// So many bytes went out.
    pub fn wrote(&mut self, bytes: usize) {
        self.paid.written += bytes as u64;
    }

    /// A stream was reset for what the peer did. Says whether that is within its budget.
    #[must_use]
    pub fn provoked(&mut self, now: Instant) -> bool {
        self.provoked.take(self.factor, self.paid, now)
    }

    /// What came.
    ///
    /// # Errors
    /// The flood that this frame is part of.
    pub fn frame(&mut self, header: Header, now: Instant) -> Result<(), Flood> {
        let (bucket, flood) = match header.kind {
            kind::DATA if header.length == 0 && !header.has(flag::END_STREAM) => (&mut self.empty_data, Flood::EmptyData),
            // Other DATA is what connections are for, and windows bound it.
            kind::DATA | kind::PUSH_PROMISE => return Ok(()),
            kind::HEADERS => {
                self.paid.heads += 1;
                self.continued = 0;
                return Ok(());
            }
            kind::PRIORITY | kind::PRIORITY_UPDATE => (&mut self.priority, Flood::Priority),
            kind::RST_STREAM => (&mut self.reset, Flood::Reset),
            kind::SETTINGS => (&mut self.settings, Flood::Settings),
            kind::PING => (&mut self.ping, Flood::Ping),
            kind::WINDOW_UPDATE => (&mut self.window_update, Flood::WindowUpdate),
            kind::CONTINUATION => {
                self.continued += 1;
                let within = self.continued <= limits::H2_CONTINUATIONS;
                self.continued *= usize::from(!header.has(flag::END_HEADERS));
                return if within { Ok(()) } else { Err(Flood::Continuation) };
            }
            _ => (&mut self.unknown, Flood::Unknown),
        };
        if bucket.take(self.factor, self.paid, now) { Ok(()) } else { Err(flood) }
    }
}

/// What is left of a budget. Filled again only once it is empty: by the time since, and by what was earned since.
#[derive(Debug)]
struct Bucket {
    budget: FrameBudget,
    left: u64,
    filled: Instant,
    settled: Paid,
}

impl Bucket {
    fn new(budget: FrameBudget, factor: u32, now: Instant) -> Self {
        Self { budget, left: u64::from(budget.burst) * u64::from(factor), filled: now, settled: Paid::default() }
    }

    fn take(&mut self, factor: u32, paid: Paid, now: Instant) -> bool {
        if self.left == 0 {
            self.fill(factor, paid, now);
        }
        let is_there = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_there
    }

    fn fill(&mut self, factor: u32, paid: Paid, now: Instant) {
        let FrameBudget { burst, per_second, per_head, bytes_each } = self.budget;
        let factor = u64::from(factor);
        let millis = u64::try_from(now.saturating_duration_since(self.filled).as_millis()).unwrap_or(u64::MAX);
        let by_time = millis.saturating_mul(u64::from(per_second) * factor) / 1000;
        let by_heads = (paid.heads - self.settled.heads).saturating_mul(u64::from(per_head));
        let by_bytes = if bytes_each == 0 { 0 } else { (paid.written - self.settled.written) / u64::from(bytes_each) };
        self.left = (by_time + by_heads + by_bytes).min(u64::from(burst) * factor);
        // What does not make one yet is kept.
        if self.left > 0 {
            (self.filled, self.settled) = (now, paid);
        }
    }
}

#[cfg(test)]
mod tests;
