//! An edge of a report, read where it lies: a busy mesh tells tens of thousands each second, and their names would be copied only to be compared with those of
//! the second before. What is read is Protobuf's encoding of [`v1::Edge`] with its fields ascending, as every writer has them: first what names the edge, then
//! what it counted. It never knows which words make sense.

use crate::v1;
use bytes::Bytes;
use prost::Message;

/// Fields that name an edge: those of the first numbers.
const NAMES: usize = 11;

/// What names an edge, in the order of its fields.
pub type Words<'m> = [&'m str; NAMES];

/// What an edge counted since the last report.
#[derive(Debug, Default, Clone)]
pub struct Counts<'m> {
    pub opened: u64,
    pub requests: u64,
    pub failures: u64,
    pub retries: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// Cells of a histogram ...
    pub latency_cells: Numbers<'m>,
    /// ... and the count of each.
    pub latency_counts: Numbers<'m>,
    pub client_errors: u64,
    pub denied: u64,
    pub faults: u64,
    /// What stands for the names on this connection; 0 is none.
    pub number: u64,
}

/// A packed list of numbers. It ends before the first that is none.
#[derive(Debug, Default, Clone)]
pub struct Numbers<'m>(&'m [u8]);

impl Iterator for Numbers<'_> {
    type Item = u64;
    #[inline]
    fn next(&mut self) -> Option<u64> {
        number(&mut self.0)
    }
}

/// As a report carries it.
pub fn encode(edge: &v1::Edge) -> Bytes {
    edge.encode_to_vec().into()
}

/// The part of an edge that names it and the part that says what it counted, both as they were written; `None` for what is no message.
pub fn split(edge: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut counts = edge;
    while !counts.is_empty() {
        let mut after = counts;
        let (field, _) = field(&mut after)?;
        if field > NAMES as u64 {
            break;
        }
        counts = after;
    }
    Some(edge.split_at(edge.len() - counts.len()))
}

/// The first part of [`split`].
pub fn words(names: &[u8]) -> Option<Words<'_>> {
    let (mut rest, mut words) = (names, [""; NAMES]);
    while !rest.is_empty() {
        let (field, value) = field(&mut rest)?;
        let Value::Bytes(text) = value else { return None };
        let at = usize::try_from(field.checked_sub(1)?).ok()?;
        *words.get_mut(at)? = std::str::from_utf8(text).ok()?;
    }
    Some(words)
}

/// The second part of [`split`]. A name that comes that late is no name: its edge would be taken for another.
pub fn counts(counts: &[u8]) -> Option<Counts<'_>> {
    let (mut rest, mut told) = (counts, Counts::default());
    while !rest.is_empty() {
        match field(&mut rest)? {
            (12, Value::Number(n)) => told.opened = n,
            (13, Value::Number(n)) => told.requests = n,
            (14, Value::Number(n)) => told.failures = n,
            (15, Value::Number(n)) => told.retries = n,
            (16, Value::Number(n)) => told.request_bytes = n,
            (17, Value::Number(n)) => told.response_bytes = n,
            (18, Value::Bytes(cells)) => told.latency_cells = Numbers(cells),
            (19, Value::Bytes(counts)) => told.latency_counts = Numbers(counts),
            (20, Value::Number(n)) => told.client_errors = n,
            (21, Value::Number(n)) => told.denied = n,
            (22, Value::Number(n)) => told.faults = n,
            (23, Value::Number(n)) => told.number = n,
            (field, _) if field <= NAMES as u64 => return None,
            // A later release says more.
            _ => {}
        }
    }
    Some(told)
}

enum Value<'m> {
    Number(u64),
    Bytes(&'m [u8]),
    /// Of a kind that no field of ours has.
    Other,
}

/// The number of the next field, and its value.
fn field<'m>(rest: &mut &'m [u8]) -> Option<(u64, Value<'m>)> {
    let key = number(rest)?;
    let value = match key & 7 {
        0 => Value::Number(number(rest)?),
        1 => take(rest, 8).map(|_| Value::Other)?,
        2 => {
            let length = usize::try_from(number(rest)?).ok()?;
            Value::Bytes(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| Value::Other)?,
        _ => return None,
    };
    Some((key >> 3, value))
}

fn take<'m>(rest: &mut &'m [u8], length: usize) -> Option<&'m [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

/// Seven bits in each byte, the lowest first; of the last the highest bit is not set. Most are small, and are read where they are wanted: twenty of each edge.
#[inline]
fn number(rest: &mut &[u8]) -> Option<u64> {
    if let [byte @ ..0x80, after @ ..] = rest {
        let number = u64::from(*byte);
        *rest = after;
        return Some(number);
    }
    long_number(rest)
}

fn long_number(rest: &mut &[u8]) -> Option<u64> {
    let (bytes, mut number) = (*rest, 0);
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            *rest = &bytes[at + 1..];
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests;
