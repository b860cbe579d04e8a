//! The server name of a TLS ClientHello (RFC 8446, section 4.1.2; RFC 6066, section 3), read without terminating TLS. A verdict depends on the bytes
//! alone and never on how they were split: what a beginning says, every longer reading of the same bytes says too.

use model::Hostname;
use std::borrow::Cow;

/// What the first bytes of a connection say of the server that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sni {
    /// More bytes are needed. Who reads bounds how many, and how long.
    Need,
    /// A ClientHello that names nobody, or an address (which RFC 6066 does not allow, yet some send).
    None,
    Name(Hostname),
    /// Not TLS, or a ClientHello that nobody may send.
    NotTls,
}

/// `handshake` records of TLS (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
/// Longest payload of a plaintext record.
const RECORD_BYTES: usize = 1 << 14;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// Reads as much of a ClientHello as is there.
pub fn sni(bytes: &[u8]) -> Sni {
    match message(bytes) {
        Ok(hello) => server_name(&hello).unwrap_or(Sni::NotTls),
        Err(verdict) => verdict,
    }
}

/// The body of the ClientHello, put together from the records that it is spread over.
fn message(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Sni> {
    let mut head = [0; MESSAGE_HEADER];
    let (mut seen, mut pieces, mut rest) = (0, Vec::new(), bytes);
    loop {
        let (payload, more) = record(rest)?;
        for (place, byte) in head.iter_mut().skip(seen).zip(payload) {
            *place = *byte;
        }
        if seen == 0 && payload.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err(Sni::NotTls);
        }
        seen += payload.len();
        pieces.push(payload);
        let whole = MESSAGE_HEADER + u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        if seen >= MESSAGE_HEADER && seen >= whole {
            return Ok(match &pieces[..] {
                [one] => Cow::Borrowed(&one[MESSAGE_HEADER..whole]),
                _ => Cow::Owned(pieces.concat()[MESSAGE_HEADER..whole].to_vec()),
            });
        }
        rest = more.ok_or(Sni::Need)?;
    }
}

/// What is there of the payload of the first record, and what follows it if it is whole.
fn record(bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>), Sni> {
    // Each byte is judged as soon as it is there: strangers who speak something else are not waited for.
    let first = |at: usize, good: bool| if bytes.len() > at && !good { Err(Sni::NotTls) } else { Ok(()) };
    let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
    first(0, at(0) == HANDSHAKE)?;
    first(1, at(1) == 3)?;
    first(2, at(2) <= 4)?;
    let length = usize::from(u16::from_be_bytes([at(3), at(4)]));
    // A record of the handshake is never empty.
    first(4, (1..=RECORD_BYTES).contains(&length))?;
    let payload = bytes.get(RECORD_HEADER..).ok_or(Sni::Need)?;
    match payload.split_at_checked(length) {
        Some((own, rest)) => Ok((own, Some(rest))),
        None => Ok((payload, None)),
    }
}

/// `None`: what is there is no ClientHello.
fn server_name(hello: &[u8]) -> Option<Sni> {
    let mut hello = Fields(hello);
    // Version and random.
    hello.take(2 + 32)?;
    hello.vector8()?;
    let suites = hello.vector16()?;
    let compression = hello.vector8()?;
    if suites.is_empty() || !suites.len().is_multiple_of(2) || compression.is_empty() {
        return None;
    }
    // Before TLS 1.3 a ClientHello may end here.
    if hello.0.is_empty() {
        return Some(Sni::None);
    }
    let mut extensions = Fields(hello.vector16()?);
    if !hello.0.is_empty() {
        return None;
    }
    let mut found = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let value = extensions.vector16()?;
        // Twice the same extension is an error (RFC 8446, section 4.2): two readers could take two names from it.
        if kind == SERVER_NAME && found.replace(value).is_some() {
            return None;
        }
    }
    match found {
        None => Some(Sni::None),
        Some(value) => name(value),
    }
}

/// The one host name of the extension.
fn name(value: &[u8]) -> Option<Sni> {
    let mut value = Fields(value);
    let mut list = Fields(value.vector16()?);
    let kind = list.take(1)?;
    let text = std::str::from_utf8(list.vector16()?).ok()?;
    if kind != [HOST_NAME] || !list.0.is_empty() || !value.0.is_empty() {
        return None;
    }
    match Hostname::parse(text) {
        Ok(name) => Some(Sni::Name(name)),
        Err(model::host::HostError::Address) => Some(Sni::None),
        Err(_) => None,
    }
}

/// A message that is read from its beginning.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (own, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(own)
    }
    fn number(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }
    fn vector8(&mut self) -> Option<&'b [u8]> {
        let length = self.take(1)?[0];
        self.take(length.into())
    }
    fn vector16(&mut self) -> Option<&'b [u8]> {
        let length = self.number()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests;
