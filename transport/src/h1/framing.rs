//! Where a message ends (RFC 9112, section 6.3), judged once and strictly; and what belongs to one hop only (RFC 9110, section 7.6.1).

use super::head::malformed;
use crate::Error;
use crate::body::Length;
use model::{Fault, HeaderBlock, Method, RequestHead, ResponseHead, Version};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    /// Until the connection ends; answers only.
    UntilClose,
}

impl Framing {
    pub fn length(self) -> Length {
        match self {
            Self::None => Length::None,
            Self::Length(n) => Length::Known(n),
            Self::Chunked | Self::UntilClose => Length::Open,
        }
    }
}

/// Refuses both lengths at once, repeated or signed lengths, codings other than exactly `chunked`, and any coding in HTTP/1.0.
pub fn request_framing(head: &RequestHead) -> Result<Framing, Error> {
    match coding(&head.headers, head.version)? {
        Some(framing) => Ok(framing),
        // No bytes are no body: such a request can be sent again like any other without one.
        None => Ok(content_length(&head.headers)?.filter(|length| *length > 0).map_or(Framing::None, Framing::Length)),
    }
}

/// `method` is that of the request: what answers HEAD has no body, what answers CONNECT with 2xx is a tunnel.
pub fn response_framing(head: &ResponseHead, method: &Method) -> Result<Framing, Error> {
    let ours = |e: Error| Error::new(Fault::UpstreamProtocol, e.why);
    let coding = coding(&head.headers, head.version).map_err(ours)?;
    let length = content_length(&head.headers).map_err(ours)?;
    let bodiless = head.status < 200 || matches!(head.status, 204 | 304) || *method == Method::Head;
    if bodiless || (*method == Method::Connect && head.status < 300) {
        return Ok(Framing::None);
    }
    Ok(coding.unwrap_or_else(|| length.map_or(Framing::UntilClose, Framing::Length)))
}

fn coding(headers: &HeaderBlock, version: Version) -> Result<Option<Framing>, Error> {
    if !headers.contains("transfer-encoding") {
        return Ok(None);
    }
    let mut codings = headers.get_all("transfer-encoding");
    match (codings.next(), codings.next()) {
        (None, _) => Ok(None),
        (Some(_), _) if headers.contains("content-length") => Err(malformed("both Transfer-Encoding and Content-Length")),
        (Some(_), _) if version == Version::Http10 => Err(malformed("Transfer-Encoding in HTTP/1.0")),
        (Some(value), None) if value.eq_ignore_ascii_case(b"chunked") => Ok(Some(Framing::Chunked)),
        _ => Err(malformed("Transfer-Encoding is not exactly `chunked`")),
    }
}

fn content_length(headers: &HeaderBlock) -> Result<Option<u64>, Error> {
    if !headers.contains("content-length") {
        return Ok(None);
    }
    let mut lengths = headers.get_all("content-length");
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(malformed("more than one Content-Length")),
        (Some(value), None) => {
            // Eighteen digits are below every bound of the sum.
            let digits = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
            let number = digits.then(|| value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')));
            number.map(Some).ok_or_else(|| malformed("Content-Length is not a number of at most 18 digits"))
        }
    }
}

/// What the hop's own fields said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hop {
    /// The sender ends the connection after this message.
    pub close: bool,
    /// The protocol that `Upgrade` names, where `Connection` names `Upgrade`.
    pub upgrade: Option<String>,
    /// The sender takes trailers.
    pub trailers: bool,
}

/// Takes out everything that is meant for this hop alone, and says what it said. Framing fields stay: they are set when the head is written.
pub fn strip_hop_by_hop(headers: &mut HeaderBlock, version: Version) -> Hop {
    let mut hop = Hop { close: version == Version::Http10, ..Hop::default() };
    if headers.contains("connection") {
        let (mut close, mut keep, mut upgrade) = (false, false, false);
        let mut named: Vec<String> = Vec::new();
        for token in headers.get_all("connection").flat_map(|v| v.split(|b| *b == b',')).map(<[u8]>::trim_ascii) {
            match token {
                t if t.eq_ignore_ascii_case(b"close") => close = true,
                t if t.eq_ignore_ascii_case(b"keep-alive") => keep = true,
                t if t.eq_ignore_ascii_case(b"upgrade") => upgrade = true,
                // Fields that route or frame are never hop-by-hop, whatever a stranger says.
                t if [&b""[..], b"host", b"content-length", b"transfer-encoding"].iter().any(|n| n.eq_ignore_ascii_case(t)) => {}
                t => named.push(String::from_utf8_lossy(t).into_owned()),
            }
        }
        hop.close = close || hop.close && !keep;
        if upgrade {
            hop.upgrade = headers.text("upgrade").map(str::to_owned);
        }
        named.iter().for_each(|name| _ = headers.remove(name));
        // A field of that name may go with the connection too.
        for name in ["connection", "close"] {
            headers.remove(name);
        }
    }
    if headers.contains("te") {
        hop.trailers = headers.has_token("te", "trailers");
        headers.remove("te");
    }
    for name in ["keep-alive", "proxy-connection", "upgrade", "proxy-authorization"] {
        headers.remove(name);
    }
    hop
}
