//! Whether one match holds for one request, and which condition fails first. Lookup and explanation both ask here, so they cannot differ.
//! It never knows which other matches there are.

use model::{HeaderMatch, PathMatch, QueryMatch, RequestHead, RouteMatch, ValueMatch};
use smallvec::SmallVec;

/// The first condition that does not hold, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mismatch<'m> {
    Path(&'m PathMatch),
    Method(&'m model::Method),
    Header(&'m HeaderMatch),
    Query(&'m QueryMatch),
}

pub fn first_mismatch<'m>(condition: &'m RouteMatch, head: &RequestHead) -> Option<Mismatch<'m>> {
    match &condition.path {
        Some(path) if !path.is_match(head.path()) => Some(Mismatch::Path(path)),
        _ => first_mismatch_but_path(condition, head),
    }
}

/// Whether all of it holds.
pub fn match_holds(condition: &RouteMatch, head: &RequestHead) -> bool {
    first_mismatch(condition, head).is_none()
}

/// For candidates that were found by their path.
pub(crate) fn first_mismatch_but_path<'m>(condition: &'m RouteMatch, head: &RequestHead) -> Option<Mismatch<'m>> {
    if let Some(method) = condition.method.as_ref().filter(|method| **method != head.method) {
        return Some(Mismatch::Method(method));
    }
    if let Some(header) = condition.headers.iter().find(|want| !header_holds(want, head)) {
        return Some(Mismatch::Header(header));
    }
    condition.query.iter().find(|want| !query_holds(want, head)).map(Mismatch::Query)
}

/// Whether a request has this header, as Gateway API reads them.
pub fn header_holds(want: &HeaderMatch, head: &RequestHead) -> bool {
    let mut values = head.headers.get_all(&want.name);
    let Some(first) = values.next() else {
        // HTTP/2 carries it as a pseudo-header; to users both are one.
        return &*want.name == "host" && want.value.is_match(head.authority().as_bytes());
    };
    match (values.next(), &want.value) {
        (None, value) => value.is_match(first),
        (Some(_), value) => {
            let mut joined: SmallVec<[u8; 256]> = SmallVec::new();
            for (i, part) in head.headers.get_all(&want.name).enumerate() {
                if i > 0 {
                    joined.push(b',');
                }
                joined.extend_from_slice(part);
            }
            value.is_match(&joined)
        }
    }
}

/// Names and values are read as forms write them: `%41` is `A`, `+` is a space (WHATWG URL, `application/x-www-form-urlencoded`).
fn query_holds(want: &QueryMatch, head: &RequestHead) -> bool {
    let query = head.query().unwrap_or("");
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let found = pairs.find(|(name, _)| !(name.is_empty()) && decoded(name).eq(want.name.bytes()));
    let Some((_, value)) = found else { return false };
    match &want.value {
        ValueMatch::Exact(text) => decoded(value).eq(text.bytes()),
        ValueMatch::Regex(_) if !value.bytes().any(|b| matches!(b, b'%' | b'+')) => want.value.is_match(value.as_bytes()),
        ValueMatch::Regex(_) => want.value.is_match(&decoded(value).collect::<SmallVec<[u8; 256]>>()),
    }
}

/// The bytes of a form-encoded piece; an escape that is none stands for itself.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (first, tail) = rest.split_first()?;
        let (byte, left) = match (first, tail) {
            (b'+', _) => (b' ', tail),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', tail),
            },
            _ => (*first, tail),
        };
        rest = left;
        Some(byte)
    })
}

pub(crate) fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}
