//! Paths made regular before routing reads them (RFC 3986, section 6.2.2), so that two spellings of one path take one route. Reads the path
//! alone, never the query. What is regular already is passed through without allocation, and doing it twice is doing it once.

use crate::matching::hex;
use model::Normalisation;
use std::borrow::Cow;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path does not begin with a slash")]
    Relative,
    #[error("the path has a `%` without two hexadecimal digits")]
    Escape,
    #[error("the path holds a NUL")]
    Nul,
}

/// `path` at `level`. `*` and the empty path (asterisk and authority form) stay as they are.
pub fn normalise(path: &str, level: Normalisation) -> Result<Cow<'_, str>, PathError> {
    if level == Normalisation::None || path == "*" || path.is_empty() {
        return Ok(Cow::Borrowed(path));
    }
    if !path.starts_with('/') {
        return Err(PathError::Relative);
    }
    if is_plain(path) {
        return Ok(Cow::Borrowed(path));
    }
    let escapes = check_escapes(path, level)?;
    if !escapes && !has_odd_segment(path, level) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path, level);
    Ok(Cow::Owned(join_segments(&decoded, level)))
}

/// Whether all who read `path` read the same: merging its slashes, decoding once more, or cutting off what follows a `;` changes nothing. Asked of
/// paths on which it depends who may call.
pub fn reads_one_way(path: &str) -> bool {
    if path.starts_with('/') && is_plain(path) && !path.as_bytes().contains(&b';') {
        return true;
    }
    let strict = normalise(path, Normalisation::DecodeSlashes);
    let once_more = || path.as_bytes().windows(5).any(|part| part.starts_with(b"%25") && hex(part[3]).is_some() && hex(part[4]).is_some());
    let parameters = || path.contains(';') || path.contains("%3B") || path.contains("%3b");
    matches!(strict, Ok(Cow::Borrowed(_))) && !parameters() && !once_more()
}

/// Bytes that are looked at together.
const BLOCK: usize = 16;

/// Whether it is regular at every level, as nearly all are: nothing is escaped, and behind no slash stands a dot or another slash. Each block is seen with
/// the one that begins a byte later, and what is left after the last with bytes before it once more.
fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    let Some(last) = bytes.len().checked_sub(BLOCK + 1) else {
        let mut padded = [b'a'; BLOCK + 1];
        padded[..bytes.len()].copy_from_slice(bytes);
        return is_plain_at(&padded, 0);
    };
    let end = bytes[bytes.len() - 1];
    (0..last).step_by(BLOCK).all(|at| is_plain_at(bytes, at)) && is_plain_at(bytes, last) && end != b'%' && end != b'\\' && end != 0
}

fn is_plain_at(bytes: &[u8], at: usize) -> bool {
    let (block, next) = (&bytes[at..at + BLOCK], &bytes[at + 1..at + 1 + BLOCK]);
    let odd = |(a, b): (&u8, &u8)| {
        let escape = u8::from(*a == b'%') | u8::from(*a == b'\\') | u8::from(*a == 0);
        escape | u8::from(*a == b'/') & (u8::from(*b == b'.') | u8::from(*b == b'/'))
    };
    block.iter().zip(next).map(odd).fold(0, |all, odd| all | odd) == 0
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn is_separator(byte: u8, level: Normalisation) -> bool {
    level >= Normalisation::DecodeSlashes && matches!(byte, b'/' | b'\\')
}

/// Whether decoding would change anything; refuses what cannot be decoded.
fn check_escapes(path: &str, level: Normalisation) -> Result<bool, PathError> {
    let bytes = path.as_bytes();
    let mut changes = false;
    for (i, byte) in bytes.iter().enumerate() {
        match byte {
            0 => return Err(PathError::Nul),
            b'\\' => changes |= is_separator(b'\\', level),
            b'%' => {
                let (Some(high), Some(low)) = (bytes.get(i + 1), bytes.get(i + 2)) else { return Err(PathError::Escape) };
                let (Some(h), Some(l)) = (hex(*high), hex(*low)) else { return Err(PathError::Escape) };
                let value = h << 4 | l;
                if value == 0 {
                    return Err(PathError::Nul);
                }
                let lower = high.is_ascii_lowercase() || low.is_ascii_lowercase();
                changes |= lower || unreserved(value) || is_separator(value, level);
            }
            _ => {}
        }
    }
    Ok(changes)
}

fn has_odd_segment(path: &str, level: Normalisation) -> bool {
    let merge = level >= Normalisation::MergeSlashes;
    path.split('/').skip(1).any(|segment| matches!(segment, "." | "..")) || merge && path.contains("//")
}

fn decode(path: &str, level: Normalisation) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find(['%', '\\']) {
        out.push_str(&rest[..at]);
        if rest.as_bytes()[at] == b'\\' {
            out.push(if is_separator(b'\\', level) { '/' } else { '\\' });
            rest = &rest[at + 1..];
            continue;
        }
        let escape = &rest[at..at + 3];
        let value = u8::from_str_radix(&escape[1..], 16).unwrap_or_default();
        match value {
            _ if is_separator(value, level) => out.push('/'),
            _ if unreserved(value) => out.push(value as char),
            _ => out.push_str(&escape.to_ascii_uppercase()),
        }
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    out
}

/// Removes dot segments (RFC 3986, section 5.2.4), and empty ones where slashes are merged. Nothing climbs above the root.
fn join_segments(path: &str, level: Normalisation) -> String {
    let merge = level >= Normalisation::MergeSlashes;
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            "" if merge && !last => continue,
            _ => {
                kept.push(segment);
                continue;
            }
        }
        // A path that ends in a dot segment names a folder: it keeps its slash.
        if last {
            kept.push("");
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests;
