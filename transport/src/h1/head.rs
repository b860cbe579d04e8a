//! From bytes to heads. `httparse` checks tokens; line ends, targets, hosts and repeated fields are checked here.

use crate::{Error, limits};
use httparse::Status;
use memchr::memmem::Finder;
use model::{Fault, HeaderBlock, Method, RequestHead, ResponseHead, Scheme, Version};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::LazyLock;

/// What ends a head. To begin a search costs more than to search a head; this one is begun once.
static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

/// How many bytes the head at the start of `bytes` has, if it is whole. Looks for the end from `searched` on, and updates it. A head that cannot become
/// good is refused before it is whole; of one that is whole, those who read it look at each line's end.
pub fn find_end(bytes: &[u8], searched: &mut usize, most: usize) -> Result<Option<usize>, Error> {
    let from = searched.saturating_sub(3);
    let end = END.find(&bytes[from..]).map(|at| from + at + END.needle().len());
    if end.is_none() {
        if !well_ended(bytes, from) {
            return Err(unended());
        }
        *searched = bytes.len();
    }
    if end.unwrap_or(bytes.len()) > most { Err(too_large()) } else { Ok(end) }
}

/// Whether from there on every LF follows a CR and every CR precedes an LF: others would end a line for some readers and not for others.
fn well_ended(bytes: &[u8], from: usize) -> bool {
    let seen = &bytes[from..];
    let Ends { crs, lfs, pairs } = Ends::of(seen);
    // The CR of the first LF may lie before, and the LF of the last CR may be still to come.
    let first = seen.starts_with(b"\n") && from > 0 && bytes[from - 1] == b'\r';
    let last = seen.ends_with(b"\r");
    lfs == pairs + usize::from(first) && crs == pairs + usize::from(last)
}

/// The same of a whole head, asked of what `httparse` read: it takes an LF alone for the end of a line, and CR or LF nowhere else. So it is enough that
/// each field begins behind CRLF, and that what it read ends where the head does.
fn lines_end_well(bytes: &[u8], read: usize, fields: &[httparse::Header<'_>]) -> bool {
    let begins = |field: &httparse::Header<'_>| match range(bytes, field.name.as_bytes()).start {
        // Of trailers, the first.
        0 => true,
        at => bytes[..at].ends_with(b"\r\n"),
    };
    read == bytes.len() && bytes.ends_with(END.needle()) && fields.iter().all(begins)
}

/// How many of each lie in a text, and how many CRs directly before an LF.
#[derive(Default)]
struct Ends {
    crs: usize,
    lfs: usize,
    pairs: usize,
}

impl Ends {
    /// Without a branch, so that the compiler looks at many bytes at once: short lines make any search begin again too often.
    fn of(text: &[u8]) -> Self {
        let mut all = Self::default();
        // As many as a byte can count.
        for begin in (0..text.len()).step_by(usize::from(u8::MAX)) {
            let block = &text[begin..text.len().min(begin + usize::from(u8::MAX))];
            let after = &text[begin + 1..text.len().min(begin + 1 + block.len())];
            let count = |byte: u8| usize::from(block.iter().fold(0u8, |sum, b| sum.wrapping_add(u8::from(*b == byte))));
            all.crs += count(b'\r');
            all.lfs += count(b'\n');
            let pairs = block.iter().zip(after).fold(0u8, |sum, (a, b)| sum.wrapping_add(u8::from(*a == b'\r') & u8::from(*b == b'\n')));
            all.pairs += usize::from(pairs);
        }
        all
    }
}

fn unended() -> Error {
    malformed("line is not ended by CRLF")
}

fn too_large() -> Error {
    Error::new(Fault::HeadTooLarge, "head is longer than 64 KiB")
}

pub fn malformed(why: &'static str) -> Error {
    Error::new(Fault::MalformedRequest, why)
}

fn range(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// Reads a whole request head into `head`.
pub fn request(bytes: &[u8], head: &mut RequestHead) -> Result<(), Error> {
    head.clear();
    // `httparse` would skip any number of them.
    if bytes.starts_with(b"\r") {
        return Err(malformed("more than one empty line before a request"));
    }
    let mut fields = [const { MaybeUninit::uninit() }; limits::HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(Status::Complete(read)) if lines_end_well(bytes, read, parsed.headers) && !bytes.starts_with(b"\n") => {}
        _ if !well_ended(bytes, 0) => return Err(unended()),
        Ok(Status::Complete(_)) => return Err(malformed("head is not HTTP/1.1")),
        Ok(Status::Partial) => return Err(malformed("head is cut short")),
        Err(httparse::Error::TooManyHeaders) => return Err(Error::new(Fault::HeadTooLarge, "more than 128 header fields")),
        Err(httparse::Error::Version) if has_version(bytes) => {
            return Err(Error::new(Fault::UnsupportedVersion, "not HTTP/1.0 or HTTP/1.1"));
        }
        Err(_) => return Err(malformed("head is not HTTP/1.1")),
    }
    head.version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
    head.method = Method::parse(parsed.method.unwrap_or("")).ok_or_else(|| malformed("method is no token of at most 32 characters"))?;
    head.headers.fill(bytes, parsed.headers.iter().map(|f| (range(bytes, f.name.as_bytes()), range(bytes, f.value))));
    let mut hosts = parsed.headers.iter().filter(|f| f.name.eq_ignore_ascii_case("host")).map(|f| f.value);
    let host = one_host((hosts.next(), hosts.next()), head.version)?;
    target(parsed.path.unwrap_or(""), host, head)
}

/// Whether the first line is whole. HTTP/0.9 ends with that line: who leaves out the version waits for an answer and not for us.
///
/// # Errors
/// If it is whole and names no version.
pub fn first_line(bytes: &[u8]) -> Result<bool, Error> {
    match memchr::memchr(b'\n', bytes) {
        None => Ok(false),
        Some(_) if has_version(bytes) => Ok(true),
        Some(_) => Err(malformed("head is not HTTP/1.1")),
    }
}

/// Whether the first line is one of HTTP at least: two spaces, and `HTTP/DIGIT.DIGIT` behind the second.
fn has_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ').skip(2);
    let version = words.next().and_then(|word| word.strip_prefix(b"HTTP/")).unwrap_or_default();
    words.next().is_none() && matches!(version, [a, b'.', b] if a.is_ascii_digit() && b.is_ascii_digit())
}

/// Exactly one Host field in HTTP/1.1, at most one in 1.0 (RFC 9112, section 3.2). Given are the first two.
fn one_host<'a>(hosts: (Option<&'a [u8]>, Option<&'a [u8]>), version: Version) -> Result<&'a str, Error> {
    match hosts {
        (Some(_), Some(_)) => Err(malformed("more than one Host field")),
        (None, _) if version == Version::Http11 => Err(malformed("no Host field")),
        (None, _) => Ok(""),
        (Some(host), None) => {
            let text = std::str::from_utf8(host).map_err(|_| malformed("Host is not text"))?;
            check_authority(text)?;
            Ok(text)
        }
    }
}

/// What a byte may stand in.
const OF_AUTHORITIES: u8 = 1;
const OF_NAMES: u8 = 2;
const OF_PATHS: u8 = 4;
const OF_QUERIES: u8 = 8;

static KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let other = matches!(b, b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=');
        let of_names = b.is_ascii_alphanumeric() || other;
        let of_authorities = of_names || matches!(b, b':' | b'[' | b']' | b'%');
        let of_paths = !matches!(b, b'#' | b'<' | b'>' | b'`');
        let of_queries = !matches!(b, b'#' | b'<' | b'>' | b'"');
        let mut kind = 0;
        if of_authorities {
            kind |= OF_AUTHORITIES;
        }
        if of_names {
            kind |= OF_NAMES;
        }
        if of_paths {
            kind |= OF_PATHS;
        }
        if of_queries {
            kind |= OF_QUERIES;
        }
        kinds[byte] = kind;
        byte += 1;
    }
    kinds
};

/// `host[:port]` of printable ASCII; no user, no path, no spaces. Empty is allowed by the standard.
pub fn check_authority(text: &str) -> Result<(), Error> {
    let bytes = text.as_bytes();
    let colon = bytes.iter().rposition(|b| matches!(b, b':' | b']')).filter(|at| bytes[*at] == b':');
    let (host, port) = match colon {
        Some(colon) => (&bytes[..colon], Some(&text[colon + 1..])),
        None => (bytes, None),
    };
    // Brackets hold an address of IPv6 and nothing stands beside them; a colon stands nowhere else.
    let all = |bytes: &[u8], of: u8| bytes.iter().fold(true, |all, b| all & (KINDS[usize::from(*b)] & of != 0));
    let good_host = match host {
        [b'[', inner @ .., b']'] => !inner.is_empty() && !inner.iter().any(|b| matches!(b, b'[' | b']')),
        [b'[', ..] => false,
        // An escape would make two names of one, and few readers take it; within brackets it may begin a zone.
        // One dot at the end is of a whole name; more would make another of it for us and none for who takes them off.
        _ => all(host, OF_NAMES) && !host.ends_with(b".."),
    };
    let good_port = port.is_none_or(|p| p.is_empty() || p.parse::<u16>().is_ok() && p.bytes().all(|b| b.is_ascii_digit()));
    match all(bytes, OF_AUTHORITIES) && good_host && good_port {
        true => Ok(()),
        false => Err(malformed("host is not `host[:port]`")),
    }
}

/// The four forms of a request target (RFC 9112, section 3.2).
fn target(text: &str, host: &str, head: &mut RequestHead) -> Result<(), Error> {
    if head.method == Method::Connect {
        check_authority(text)?;
        if text.rsplit_once(':').is_none_or(|(h, p)| h.is_empty() || p.is_empty()) {
            return Err(malformed("CONNECT wants `host:port`"));
        }
        head.set_authority(text);
        return Ok(());
    }
    if text.starts_with('/') {
        head.set_authority(host);
        head.set_target(check_target(text)?);
        return Ok(());
    }
    if text == "*" {
        head.set_authority(host);
        head.set_target("*");
        return if head.method == Method::Options { Ok(()) } else { Err(malformed("`*` is for OPTIONS only")) };
    }
    absolute(text, host, head)
}

/// `http://host/path`: its authority counts and Host is replaced (RFC 9112, section 3.2.2); where the two differ, somebody is being misled.
fn absolute(text: &str, host: &str, head: &mut RequestHead) -> Result<(), Error> {
    let (scheme, rest) = text.split_once("://").ok_or_else(|| malformed("target is neither a path nor a URI"))?;
    head.scheme = match scheme {
        s if s.eq_ignore_ascii_case("http") => Scheme::Http,
        s if s.eq_ignore_ascii_case("https") => Scheme::Https,
        _ => return Err(malformed("scheme is neither http nor https")),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    check_authority(authority)?;
    if authority.is_empty() {
        return Err(malformed("URI has no host"));
    }
    if !host.is_empty() && !host.eq_ignore_ascii_case(authority) {
        return Err(malformed("Host and the URI's host differ"));
    }
    head.set_authority(authority);
    match check_target(path)? {
        "" if head.method == Method::Options => head.set_target("*"),
        "" => head.set_target("/"),
        path if path.starts_with('?') => head.set_target(&format!("/{path}")),
        path => head.set_target(path),
    }
    Ok(())
}

/// No fragment, and nothing that no URI has and other readers (and HTTP/2 upstream) refuse: angle brackets, a quote in the query, a backtick in the
/// path.
pub fn check_target(target: &str) -> Result<&str, Error> {
    // Nearly all are good everywhere, which one look at each byte tells.
    if target.bytes().fold(OF_PATHS | OF_QUERIES, |kinds, b| kinds & KINDS[usize::from(b)]) == OF_PATHS | OF_QUERIES {
        return Ok(target);
    }
    if target.contains('#') {
        return Err(malformed("target has a fragment"));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match path.contains(['<', '>', '`']) || query.contains(['<', '>', '"']) {
        true => Err(malformed("target has a character that no URI has")),
        false => Ok(target),
    }
}

fn bad_answer(why: &'static str) -> Error {
    Error::new(Fault::UpstreamProtocol, why)
}

/// Reads a whole response head into `head`.
pub fn response(bytes: &[u8], head: &mut ResponseHead) -> Result<(), Error> {
    head.clear();
    // `httparse` would skip them.
    if bytes.starts_with(b"\r") {
        return Err(bad_answer("an empty line before an answer"));
    }
    let mut fields = [const { MaybeUninit::uninit() }; limits::HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    match httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields) {
        Ok(Status::Complete(read)) if lines_end_well(bytes, read, parsed.headers) && !bytes.starts_with(b"\n") => {}
        _ if !well_ended(bytes, 0) => return Err(Error::new(Fault::UpstreamProtocol, unended().why)),
        Ok(Status::Complete(_)) => return Err(bad_answer("head is not HTTP/1.1")),
        Ok(Status::Partial) => return Err(bad_answer("head is cut short")),
        Err(httparse::Error::TooManyHeaders) => return Err(bad_answer("more than 128 header fields")),
        Err(_) => return Err(bad_answer("head is not HTTP/1.1")),
    }
    head.version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
    head.status = parsed.code.filter(|code| (100..=599).contains(code)).ok_or_else(|| bad_answer("status is not between 100 and 599"))?;
    head.reason.push_str(parsed.reason.unwrap_or(""));
    head.headers.fill(bytes, parsed.headers.iter().map(|f| (range(bytes, f.name.as_bytes()), range(bytes, f.value))));
    Ok(())
}

/// Reads trailer fields, the empty line at the end included.
pub fn trailers(bytes: &[u8]) -> Result<HeaderBlock, Error> {
    let mut fields = [httparse::EMPTY_HEADER; limits::HEADERS];
    match httparse::parse_headers(bytes, &mut fields) {
        Ok(Status::Complete((read, fields))) if lines_end_well(bytes, read, fields) => {
            let mut block = HeaderBlock::default();
            let good = fields.iter().filter(|f| may_trail(f.name));
            block.fill(bytes, good.map(|f| (range(bytes, f.name.as_bytes()), range(bytes, f.value))));
            Ok(block)
        }
        _ => Err(malformed("trailer section is not HTTP/1.1")),
    }
}

/// Fields that frame, route, authenticate or say where a message came from may not come at its end (RFC 9110, section 6.5.1): some receivers merge
/// trailers into headers. They are dropped.
fn may_trail(name: &str) -> bool {
    const NEVER: [&str; 21] = [
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "max-forwards",
        "proxy-authenticate",
        "proxy-authorization",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-forwarded-for",
        "x-forwarded-proto",
    ];
    !NEVER.iter().any(|never| never.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests;
