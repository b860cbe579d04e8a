//! A count of the peer's frames before `h2` sees them: those that cost work and carry nothing, each kind against a budget of its own. `h2` counts
//! some over a connection's whole life and others not at all; this one forgets with time, and pays back for work that was done: who is sent much
//! may say much about windows. Knows frame headers (RFC 9113, section 4.1), bytes and time, and nothing else.

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

/// Length of a frame's header.
const HEADER: usize = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Walks over one direction of a connection, however it is cut into reads.
#[derive(Debug)]
pub(super) struct Watch {
    /// Bytes to be passed over: the client's preface, the present frame's payload.
    skip: usize,
    head: [u8; HEADER],
    size: usize,
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
}

/// What earns a peer its frames.
#[derive(Debug, Clone, Copy, Default)]
struct Paid {
    written: u64,
    heads: u64,
}

impl Watch {
    /// `preface`: bytes that come before the first frame.
    pub fn new(who: Who, preface: usize, now: Instant) -> Self {
        let factor = if who == Who::Member { limits::H2_MEMBER_FACTOR } else { 1 };
        let bucket = |budget: FrameBudget| Bucket::new(budget, factor, now);
        Self {
            skip: preface,
            head: [0; HEADER],
            size: 0,
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
        }
    }

    /// So many bytes went out.
    pub fn wrote(&mut self, bytes: usize) {
        self.paid.written += bytes as u64;
    }

    /// What came; the clock is asked only where a budget is used up.
    ///
    /// # Errors
    /// The flood that these bytes are part of.
    pub fn read(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) -> Result<(), Flood> {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return Ok(());
            }
            let part = (HEADER - self.size).min(bytes.len());
            self.head[self.size..self.size + part].copy_from_slice(&bytes[..part]);
            self.size += part;
            bytes = &bytes[part..];
            if self.size < HEADER {
                return Ok(());
            }
            self.size = 0;
            let [a, b, c, kind, flags, ..] = self.head;
            self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            self.frame(kind, flags, self.skip, &now)?;
        }
    }

    fn frame(&mut self, kind: u8, flags: u8, length: usize, now: &impl Fn() -> Instant) -> Result<(), Flood> {
        let (bucket, flood) = match kind {
            0x0 if length == 0 && flags & END_STREAM == 0 => (&mut self.empty_data, Flood::EmptyData),
            // Other DATA is what connections are for, and windows bound it.
            0x0 | 0x5 => return Ok(()),
            0x1 => {
                self.paid.heads += 1;
                self.continued = 0;
                return Ok(());
            }
            0x2 | 0x10 => (&mut self.priority, Flood::Priority),
            0x3 => (&mut self.reset, Flood::Reset),
            0x4 => (&mut self.settings, Flood::Settings),
            0x6 => (&mut self.ping, Flood::Ping),
            0x8 => (&mut self.window_update, Flood::WindowUpdate),
            0x9 => {
                self.continued += 1;
                let within = self.continued <= limits::H2_CONTINUATIONS;
                self.continued *= usize::from(flags & END_HEADERS == 0);
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

    fn take(&mut self, factor: u32, paid: Paid, now: &impl Fn() -> Instant) -> bool {
        if self.left == 0 {
            self.fill(factor, paid, now());
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
