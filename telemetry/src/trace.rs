//! The trace of a request: W3C Trace Context (level 1), read strictly, passed on, given a new parent at each hop; and who decides whether it is
//! recorded. Headers are [`carrier`]'s; draws and times are handed in.

pub mod carrier;
mod sampling;

pub use sampling::{Sampler, Sampling, WHOLE};

use carrier::Told;
use std::fmt;
use std::time::Duration;

/// What a record knows of its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The span that the next hop is told: the call of this proxy.
    pub context: TraceContext,
    /// The caller's own words.
    pub told: Told,
    /// At a gateway the span of the stranger's request, which the call is part of.
    pub server: Option<[u8; 8]>,
    /// When the endpoint was dialled or an open connection to it chosen, since the request began.
    pub dialled: Option<Duration>,
}

impl Trace {
    /// The caller's span.
    pub fn parent(&self) -> Option<[u8; 8]> {
        self.told.ids.map(|(_, span)| span)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent` value; anything malformed is no trace at all (section 2.2).
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (version, rest) = (value.get(..3)?, value.get(3..55)?);
        let version_ok = version[2] == b'-' && version != b"ff-" && hex::<1>(&version[..2]).is_some();
        // Version 00 ends here; a later one may go on after another hyphen.
        let end_ok = match value.len() {
            55 => true,
            _ => &version[..2] != b"00" && value.get(55) == Some(&b'-'),
        };
        if !version_ok || !end_ok || rest[32] != b'-' || rest[49] != b'-' {
            return None;
        }
        let (trace_id, span_id, flags) = (hex::<16>(&rest[..32])?, hex::<8>(&rest[33..49])?, hex::<1>(&rest[50..52])?);
        let valid = trace_id != [0; 16] && span_id != [0; 8];
        valid.then_some(Self { trace_id, span_id, sampled: flags[0] & 1 == 1 })
    }

    /// The first span of a new trace. Randomness is the caller's; zeros are invalid in W3C's eyes and are avoided.
    pub fn root(trace: u128, span: u64, sampled: bool) -> Self {
        Self { trace_id: trace.max(1).to_be_bytes(), span_id: span.max(1).to_be_bytes(), sampled }
    }

    /// The same trace, one hop on.
    pub fn child(&self, span: u64) -> Self {
        Self { span_id: span.max(1).to_be_bytes(), ..*self }
    }

    /// Another span of the same proxy, as good as drawn.
    pub fn sibling(&self) -> [u8; 8] {
        let span = u64::from_be_bytes(self.span_id).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
        span.max(1).to_be_bytes()
    }

    /// Uniform where whoever began the trace drew it so: what shares of traces are decided by.
    pub fn draw(&self) -> u32 {
        let [.., a, b, c, d] = self.trace_id;
        u32::from_be_bytes([a, b, c, d])
    }

    pub fn trace_id_text(&self) -> String {
        let mut text = [0; 32];
        write_hex(&self.trace_id, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The `traceparent` value, ASCII.
    pub fn traceparent(&self) -> [u8; 55] {
        let mut text = *b"00-................................-................-0.";
        write_hex(&self.trace_id, &mut text[3..35]);
        write_hex(&self.span_id, &mut text[36..52]);
        text[54] = b'0' + u8::from(self.sampled);
        text
    }
}

/// The identifier of a trace, as it is written.
pub fn read_id(text: &str) -> Option<[u8; 16]> {
    hex(text.as_bytes()).filter(|id| *id != [0; 16])
}

/// Lower-case hexadecimal, two digits a byte; `into` has room for them. Written by hand since every request has three of these.
pub fn write_hex(bytes: &[u8], into: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in into.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

impl fmt::Display for TraceContext {
    /// As a `traceparent` value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.traceparent()))
    }
}

/// What a byte is as a digit; [`NO_DIGIT`] what is none.
static DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    digits
};
const NO_DIGIT: u8 = 0x80;

/// Lower-case hexadecimal only, as the standard has it. Nearly all texts are good, so that it is asked once at the end whether all were digits.
pub(crate) fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    let pairs: &[[u8; 2]; N] = pairs.try_into().ok()?;
    let mut seen = 0;
    let out = pairs.map(|[high, low]| {
        let (high, low) = (DIGITS[usize::from(high)], DIGITS[usize::from(low)]);
        seen |= high | low;
        high << 4 | low
    });
    (seen & NO_DIGIT == 0).then_some(out)
}

#[cfg(test)]
mod tests;
