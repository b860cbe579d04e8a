//! Heads between HPACK's fields and `model`'s. `:authority` is the one name of the host; a `Host` that says another is refused, and one that says the same
//! is dropped, so that no later reader can choose.

use super::hpack::Encoder;
use crate::body::Length;
use crate::decimal::digits;
use crate::h1::{check_authority, check_target};
use crate::{Error, limits};
use model::http::{is_token_byte, is_value_byte};
use model::{Fault, HeaderBlock, Method, RequestHead, ResponseHead, Scheme, Version};

/// Fields that belong to an HTTP/1 hop and make an HTTP/2 message malformed (RFC 9113, section 8.2.2).
const OF_ONE_HOP: [&str; 6] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings"];

/// A head that is so many times longer than what is taken is no mistake, and is not answered.
const ABUSE: usize = 8;
pub(super) const BOMB: &str = "head is many times longer than what is taken";

/// What is wrong with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is no message of HTTP/2: its stream is reset.
    Malformed(&'static str),
    /// It is one, and could be read in two ways, or is more than is taken: answered with the fault's status.
    Refused(Fault, &'static str),
}

/// The fields of one block while they are read.
struct Fields<'h> {
    into: &'h mut HeaderBlock,
    /// As RFC 9113, section 6.5.2, counts it, and the most that is taken.
    size: usize,
    most: usize,
    count: usize,
    flaw: Option<Flaw>,
    length: Option<u64>,
    hosts: usize,
    host: Vec<u8>,
    /// Pseudo-fields may come no more.
    regular: bool,
}

impl<'h> Fields<'h> {
    fn new(into: &'h mut HeaderBlock, most: usize) -> Self {
        Self { into, size: 0, most, count: 0, flaw: None, length: None, hosts: 0, host: Vec::new(), regular: false }
    }

    /// The first flaw counts, but that what is malformed is it whatever else may be said.
    fn flaw(&mut self, flaw: Flaw) {
        if !matches!(self.flaw, Some(Flaw::Malformed(_))) && (self.flaw.is_none() || matches!(flaw, Flaw::Malformed(_))) {
            self.flaw = Some(flaw);
        }
    }

    fn malformed(&mut self, why: &'static str) {
        self.flaw(Flaw::Malformed(why));
    }

    fn refused(&mut self, why: &'static str) {
        self.flaw(Flaw::Refused(Fault::MalformedRequest, why));
    }

    /// Whether there is room for one more.
    fn counts(&mut self, name: &[u8], value: &[u8]) -> bool {
        self.size += name.len() + value.len() + 32;
        if self.size > self.most.saturating_mul(ABUSE) {
            self.malformed(BOMB);
        } else if self.size > self.most {
            self.flaw(Flaw::Refused(Fault::HeadTooLarge, "head is longer than what is taken"));
        }
        self.size <= self.most
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        self.regular = true;
        if name.is_empty() || !name.iter().all(|b| LOWER[usize::from(*b)]) {
            return self.malformed("field name is no token in lower case");
        }
        if !is_value(value) {
            return self.malformed("field value has a control character");
        }
        self.count += 1;
        if self.count > limits::HEADERS {
            return self.flaw(Flaw::Refused(Fault::HeadTooLarge, "more than 128 header fields"));
        }
        if value.first().is_some_and(u8::is_ascii_whitespace) || value.last().is_some_and(u8::is_ascii_whitespace) {
            return self.refused("field value begins or ends with white space");
        }
        match name.len() {
            2 if name == b"te" && !value.eq_ignore_ascii_case(b"trailers") => return self.malformed("TE other than trailers"),
            4 if name == b"host" => {
                self.hosts += 1;
                return self.host.extend_from_slice(value);
            }
            // Split for compression's sake (RFC 9113, section 8.2.3); an HTTP/1 application knows only one.
            6 if name == b"cookie" => {
                if let Some(before) = self.into.get("cookie") {
                    // One that is empty says nothing, and at an end it would leave white space that another reader does not see.
                    let between: &[u8] = if before.is_empty() || value.is_empty() { b"" } else { b"; " };
                    let joined = [before, between, value].concat();
                    return self.into.set("cookie", &joined);
                }
            }
            14 if name == b"content-length" => {
                if self.length.is_some() {
                    return self.refused("more than one content-length");
                }
                self.length = number(value);
                if self.length.is_none() {
                    return self.malformed("content-length is no number");
                }
            }
            7.. if is_of_one_hop(name) => return self.malformed("field of one HTTP/1 hop"),
            _ => {}
        }
        self.into.push_bytes(name, value);
    }
}

/// Bytes of names: tokens without capitals (RFC 9113, section 8.2.1).
static LOWER: [bool; 256] = {
    let mut lower = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        lower[byte] = b.is_ascii_lowercase()
            || b.is_ascii_digit()
            || matches!(b, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        byte += 1;
    }
    lower
};

fn is_value(value: &[u8]) -> bool {
    // Without a way out in between it is done for many bytes at once.
    value.iter().fold(true, |good, b| good & is_value_byte(*b))
}

fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// A request's head while it is read.
pub(super) struct RequestReading<'h> {
    method: &'h mut Method,
    scheme: &'h mut Scheme,
    protocol: &'h mut Option<Box<str>>,
    names: &'h mut Names,
    fields: Fields<'h>,
    seen: u8,
}

/// Where a request goes, as its pseudo-fields say it; memory of a connection's, used again for each.
#[derive(Debug, Default)]
pub(super) struct Names {
    authority: String,
    target: String,
}

const METHOD: u8 = 1;
const SCHEME: u8 = 2;
const PATH: u8 = 4;
const AUTHORITY: u8 = 8;
const PROTOCOL: u8 = 16;

impl<'h> RequestReading<'h> {
    pub fn new(into: &'h mut RequestHead, names: &'h mut Names, most: usize) -> Self {
        into.clear();
        into.version = Version::Http2;
        names.authority.clear();
        names.target.clear();
        let RequestHead { method, scheme, protocol, headers, .. } = into;
        Self { method, scheme, protocol, names, fields: Fields::new(headers, most), seen: 0 }
    }

    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        if !self.fields.counts(name, value) {
            return;
        }
        if name.first() != Some(&b':') {
            return self.fields.field(name, value);
        }
        let which = match name {
            b":method" => METHOD,
            b":scheme" => SCHEME,
            b":path" => PATH,
            b":authority" => AUTHORITY,
            b":protocol" => PROTOCOL,
            _ => return self.fields.malformed("pseudo-field that requests do not have"),
        };
        if self.fields.regular {
            return self.fields.malformed("pseudo-field behind others");
        }
        if self.seen & which != 0 {
            return self.fields.malformed("pseudo-field twice");
        }
        self.seen |= which;
        let Ok(text) = std::str::from_utf8(value) else { return self.fields.malformed("pseudo-field is no text") };
        if !value.iter().all(|b| *b > b' ' && *b != 0x7f) {
            return self.fields.malformed("pseudo-field has a space or a control character");
        }
        match which {
            METHOD => match Method::parse(text) {
                Some(method) => *self.method = method,
                None => self.fields.malformed("method is no token of at most 32 bytes"),
            },
            SCHEME => match text {
                "http" => *self.scheme = Scheme::Http,
                "https" => *self.scheme = Scheme::Https,
                // Schemes know no case (RFC 3986, section 3.1).
                _ if text.eq_ignore_ascii_case("http") => *self.scheme = Scheme::Http,
                _ if text.eq_ignore_ascii_case("https") => *self.scheme = Scheme::Https,
                _ => self.fields.refused("scheme is neither http nor https"),
            },
            PATH => self.names.target.push_str(text),
            AUTHORITY => self.names.authority.push_str(text),
            _ if value.iter().all(|b| is_token_byte(*b)) && !value.is_empty() => *self.protocol = Some(text.into()),
            _ => self.fields.malformed(":protocol is no token"),
        }
    }

    /// The announced length of the body; `head` is what was given to [`RequestReading::new`].
    pub fn end(mut self) -> Result<Option<u64>, Flaw> {
        if self.fields.size > self.fields.most {
            // What was left out is not missed.
            return self.fields.flaw.map_or(Ok(None), Err);
        }
        let has = |which: u8| self.seen & which != 0;
        let is_tunnel = *self.method == Method::Connect && !has(PROTOCOL);
        let malformed = match is_tunnel {
            _ if !has(METHOD) => Some("no :method"),
            _ if has(PROTOCOL) && *self.method != Method::Connect => Some(":protocol without CONNECT"),
            true if has(SCHEME | PATH) => Some("CONNECT with :scheme or :path"),
            true if !has(AUTHORITY) => Some("CONNECT without :authority"),
            false if !has(SCHEME) => Some("no :scheme"),
            false if self.names.target.is_empty() => Some("no :path"),
            _ => None,
        };
        if let Some(why) = malformed {
            self.fields.malformed(why);
        }
        self.host();
        if !is_tunnel && malformed.is_none() {
            let fits = if self.names.target == "*" { *self.method == Method::Options } else { self.names.target.starts_with('/') };
            if !fits || check_target(&self.names.target).is_err() {
                self.fields.refused(":path is no path");
            }
        }
        match self.fields.flaw {
            Some(flaw) => Err(flaw),
            None => Ok(self.fields.length),
        }
    }

    fn host(&mut self) {
        let Self { names, fields, .. } = self;
        if fields.hosts > 1 {
            return fields.refused("more than one Host");
        }
        if fields.hosts == 1 {
            if self.seen & AUTHORITY == 0 {
                names.authority.extend(fields.host.iter().map(|b| char::from(*b)));
            } else if !names.authority.as_bytes().eq_ignore_ascii_case(&fields.host) {
                return fields.refused(":authority and Host differ");
            }
        }
        if names.authority.is_empty() {
            fields.refused("neither :authority nor Host");
        } else if check_authority(&names.authority).is_err() {
            fields.refused("authority is no host and port");
        }
    }
}

/// Moves what the pseudo-fields said into the head.
pub(super) fn name(into: &mut RequestHead, names: &Names) {
    into.set_authority(&names.authority);
    into.set_target(&names.target);
}

/// An answer's head, or trailers, while they are read.
pub(super) struct AnswerReading<'h> {
    status: Option<u16>,
    /// Trailers have no pseudo-fields.
    trails: bool,
    fields: Fields<'h>,
}

impl<'h> AnswerReading<'h> {
    pub fn new(into: &'h mut HeaderBlock, most: usize) -> Self {
        Self { status: None, trails: false, fields: Fields::new(into, most) }
    }

    pub fn trailers(into: &'h mut HeaderBlock, most: usize) -> Self {
        Self { trails: true, ..Self::new(into, most) }
    }

    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        if !self.fields.counts(name, value) {
            return;
        }
        if name.first() != Some(&b':') {
            return self.fields.field(name, value);
        }
        let number = number(value).filter(|_| value.len() == 3).and_then(|status| u16::try_from(status).ok());
        match number.filter(|status| (100..=599).contains(status)) {
            _ if self.trails || self.fields.regular || self.status.is_some() || name != b":status" => {
                self.fields.malformed("pseudo-field that does not belong there");
            }
            Some(101) | None => self.fields.malformed(":status is none of HTTP/2"),
            status => self.status = status,
        }
    }

    /// Status and announced length.
    pub fn end(self) -> Result<(u16, Option<u64>), Flaw> {
        match (self.fields.flaw, self.status) {
            (Some(flaw), _) => Err(flaw),
            (None, None) => Err(Flaw::Malformed("no :status")),
            (None, Some(status)) => Ok((status, self.fields.length)),
        }
    }

    pub fn end_of_trailers(self) -> Result<(), Flaw> {
        // Fields that frame or route mean nothing behind a body, and to a less careful reader too much (RFC 9110, section 6.5.1).
        self.fields.into.remove("content-length");
        self.fields.flaw.map_or(Ok(()), Err)
    }
}

pub(super) fn put_request(head: &RequestHead, length: Length, encoder: &mut Encoder, out: &mut Vec<u8>) -> Result<(), Error> {
    let bad = |what: &'static str| Err(Error::new(Fault::Internal, what));
    if head.authority().is_empty() || check_authority(head.authority()).is_err() {
        return bad("authority is no host and port");
    }
    let has_path = head.method != Method::Connect || head.protocol.is_some();
    let visible = |text: &str| !text.is_empty() && text.bytes().all(|b| b > b' ' && b != 0x7f);
    if has_path && !visible(head.target()) {
        return bad("target is no path");
    }
    encoder.begin(out);
    match head.method {
        Method::Get => encoder.indexed(2, out),
        Method::Post => encoder.indexed(3, out),
        _ => encoder.field(b":method", head.method.as_str().as_bytes(), out),
    }
    if has_path {
        encoder.indexed(if head.scheme == Scheme::Https { 7 } else { 6 }, out);
        match head.target() {
            "/" => encoder.indexed(4, out),
            target => encoder.field(b":path", target.as_bytes(), out),
        }
    }
    encoder.field(b":authority", head.authority().as_bytes(), out);
    if let Some(protocol) = &head.protocol {
        encoder.field(b":protocol", protocol.as_bytes(), out);
    }
    // Content without a length says so by itself; CONNECT has none (RFC 9110, section 9.3.6).
    let told = match length {
        Length::Known(length) => Some(length),
        Length::None if head.headers.contains("content-length") => Some(0),
        Length::None | Length::Open => None,
    };
    // gRPC servers insist on it, and it may have been taken out as a field of the hop before.
    let trailers = head.is_grpc() || head.headers.get_all("te").any(|value| value.eq_ignore_ascii_case(b"trailers"));
    put_fields(&head.headers, true, encoder, out);
    if let Some(length) = told {
        put_length(length, encoder, out);
    }
    if trailers {
        encoder.field(b"te", b"trailers", out);
    }
    Ok(())
}

/// Where there is no body the length stays as it is: answers to HEAD and 304 tell that of a body which they do not have.
pub(super) fn put_response(head: &ResponseHead, length: Length, encoder: &mut Encoder, out: &mut Vec<u8>) -> Result<(), Error> {
    if !(100..=999).contains(&head.status) {
        return Err(Error::new(Fault::Internal, "status is no status"));
    }
    encoder.begin(out);
    let indexed = match head.status {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => 0,
    };
    match indexed {
        0 => encoder.field(b":status", digits(u64::from(head.status), &mut [0; 20]), out),
        index => encoder.indexed(index, out),
    }
    put_fields(&head.headers, length != Length::None, encoder, out);
    if let Length::Known(length) = length {
        put_length(length, encoder, out);
    }
    Ok(())
}

pub(super) fn put_trailers(from: &HeaderBlock, encoder: &mut Encoder, out: &mut Vec<u8>) {
    encoder.begin(out);
    put_fields(from, false, encoder, out);
}

fn put_length(length: u64, encoder: &mut Encoder, out: &mut Vec<u8>) {
    encoder.field(b"content-length", digits(length, &mut [0; 20]), out);
}

fn is_of_one_hop(name: &[u8]) -> bool {
    OF_ONE_HOP.iter().any(|of| of.as_bytes() == name)
}

/// `own_length`: the length is said by who knows it, not by these.
fn put_fields(from: &HeaderBlock, own_length: bool, encoder: &mut Encoder, out: &mut Vec<u8>) {
    let mut room = Vec::new();
    // Most heads have none, and one look at the block says so.
    let of_one_hop = OF_ONE_HOP.iter().any(|name| from.contains(name));
    for (mut name, value) in from.iter_bytes() {
        if has_capital(name) {
            room.clear();
            room.extend(name.iter().map(u8::to_ascii_lowercase));
            name = &room;
        }
        let passes = match name.len() {
            2 => name != b"te",
            4 => name != b"host",
            14 if own_length && name == b"content-length" => false,
            _ => !(of_one_hop && is_of_one_hop(name)),
        };
        if passes {
            encoder.field(name, value.trim_ascii(), out);
        }
    }
}

/// Whether a name has a letter that HTTP/2 would refuse: asked of eight bytes at a time.
fn has_capital(name: &[u8]) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    let capital = |word: u64| {
        // Names are ASCII; without the highest bit no sum reaches the next byte.
        let low = word & !HIGH;
        (low + (0x80 - u64::from(b'A')) * EACH) & !(low + (0x80 - u64::from(b'Z') - 1) * EACH) & HIGH != 0
    };
    let (words, rest) = name.as_chunks::<8>();
    let rest = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    words.iter().any(|word| capital(u64::from_ne_bytes(*word))) || capital(rest)
}

/// The length of a body as its head and the end of the stream say it.
pub(super) fn length(told: Option<u64>, is_end: bool) -> Length {
    match (is_end, told) {
        (true, _) => Length::None,
        (false, Some(n)) => Length::Known(n),
        (false, None) => Length::Open,
    }
}

#[cfg(test)]
mod tests;
