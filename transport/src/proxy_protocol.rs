//! The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`), as receivers read it and senders write it: a load balancer in front says whose
//! connection it brings. [`parse`] and [`header`] are pure: bytes in, verdict out, and back. As with [`crate::detect`], what a beginning says, every longer reading of the same bytes says too. It never
//! decides whom to believe: who may say this is judged before it is read.

use crate::rt::{self, Stream};
use crate::{Error, limits};
use model::Fault;
use model::traffic::ProxyHeader;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What version 2 begins with.
pub const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";
/// Longest line of version 1, its end included.
const LINE_BYTES: usize = 107;
/// Of version 2 before the addresses: signature, version and command, family and transport, length.
const FIXED_BYTES: usize = 16;
/// Type of the extension that holds a checksum of the whole header.
const CRC32C: u8 = 3;

/// A whole header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its bytes; what follows is the caller's own.
    pub size: usize,
    pub told: Told,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The connection is brought for this caller, who dialled that address.
    Caller { source: SocketAddr, destination: SocketAddr },
    /// The sender speaks for itself (a health check), or does not know: the connection's own addresses hold.
    Nothing,
}

/// Reads the header at the start of `bytes`; `None` asks for more of them, and never for more than [`limits::PROXY_HEADER_BYTES`].
///
/// # Errors
/// If this is no PROXY header, with why; the connection is then to be closed without an answer.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Error> {
    if bytes.starts_with(SIGNATURE) {
        return binary(bytes);
    }
    if bytes.starts_with(WORD) {
        return line(bytes);
    }
    match SIGNATURE.starts_with(bytes) || WORD.starts_with(bytes) {
        true => Ok(None),
        false => Err(bad("the connection does not begin with a PROXY header")),
    }
}

fn bad(why: &'static str) -> Error {
    Error::new(Fault::MalformedRequest, why).with_cause("proxy_protocol_malformed")
}

/// Reads a header off a connection, and not a byte more.
///
/// # Errors
/// As [`parse`]; and if it takes too long, or the sender goes away.
pub async fn read(stream: &mut Stream) -> Result<Told, Error> {
    let read = async {
        let mut bytes = Vec::with_capacity(LINE_BYTES);
        loop {
            if let Some(header) = parse(&bytes)? {
                return Ok(header.told);
            }
            let (size, more) = (bytes.len(), missing(&bytes));
            bytes.resize(size + more, 0);
            let gone = |e: std::io::Error| Error::new(Fault::DownstreamClosed, e.to_string());
            stream.read_exact(&mut bytes[size..]).await.map_err(gone)?;
        }
    };
    let late = || Error::new(Fault::SlowRequest, "no PROXY header within 10 s").with_cause("proxy_protocol_timeout");
    rt::timeout(limits::PREFACE_TIME, read).await.ok_or_else(late)?
}

/// The header by which a server is told this.
pub fn header(version: ProxyHeader, told: Told) -> Vec<u8> {
    match (version, told) {
        (ProxyHeader::V1, Told::Nothing) => b"PROXY UNKNOWN\r\n".to_vec(),
        (ProxyHeader::V2, Told::Nothing) => [SIGNATURE, &[0x20, 0, 0, 0][..]].concat(),
        (ProxyHeader::V1, Told::Caller { source, destination }) => {
            let (family, [from, to]) = match alike(source.ip(), destination.ip()) {
                Alike::V4(ips) => ("TCP4", ips.map(IpAddr::V4)),
                Alike::V6(ips) => ("TCP6", ips.map(IpAddr::V6)),
            };
            format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
        }
        (ProxyHeader::V2, Told::Caller { source, destination }) => {
            let (family, ips) = match alike(source.ip(), destination.ip()) {
                Alike::V4(ips) => (0x11, ips.map(|ip| ip.octets().to_vec()).concat()),
                Alike::V6(ips) => (0x21, ips.map(|ip| ip.octets().to_vec()).concat()),
            };
            let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
            let length = ((ips.len() + ports.len()) as u16).to_be_bytes();
            [SIGNATURE, &[0x21, family][..], &length, &ips, &ports].concat()
        }
    }
}

/// Two addresses of one family, for a header has room for one.
enum Alike {
    V4([Ipv4Addr; 2]),
    V6([Ipv6Addr; 2]),
}

fn alike(source: IpAddr, destination: IpAddr) -> Alike {
    let wide = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Alike::V4([source, destination]),
        _ => Alike::V6([wide(source), wide(destination)]),
    }
}

/// Writes a header onto a connection on which nothing was sent yet.
///
/// # Errors
/// If the server does not take it.
pub async fn tell(stream: &mut Stream, header: &[u8]) -> Result<(), Error> {
    let lost = |e: std::io::Error| Error::new(Fault::UpstreamReset, e.to_string()).with_nothing_received();
    stream.write_all(header).await.map_err(lost)
}

/// How many bytes more the header has at least.
fn missing(bytes: &[u8]) -> usize {
    match bytes {
        _ if bytes.len() < SIGNATURE.len() => SIGNATURE.len() - bytes.len(),
        // A line's end is looked for byte by byte: what follows is not ours.
        [b'P', ..] => 1,
        [.., high, low] if bytes.len() == FIXED_BYTES => usize::from(u16::from_be_bytes([*high, *low])),
        _ => FIXED_BYTES.saturating_sub(bytes.len()).max(1),
    }
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n`
fn line(bytes: &[u8]) -> Result<Option<Header>, Error> {
    let window = &bytes[..bytes.len().min(LINE_BYTES)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() == LINE_BYTES { Err(bad("PROXY line is longer than 107 bytes")) } else { Ok(None) };
    };
    let text = window[..end].strip_suffix(b"\r").ok_or_else(|| bad("PROXY line is not ended by CRLF"))?;
    let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|b| matches!(b, b' '..=b'~')));
    let text = text.ok_or_else(|| bad("PROXY line is not printable ASCII"))?;
    let mut words = text.split(' ').skip(1);
    let told = match words.next() {
        // Whatever else the line says is to be ignored.
        Some("UNKNOWN") => Told::Nothing,
        Some("TCP4") => addresses(words, |text| text.parse().ok().map(IpAddr::V4))?,
        Some("TCP6") => addresses(words, |text| text.parse().ok().map(IpAddr::V6))?,
        _ => return Err(bad("PROXY line is neither of TCP4, TCP6 nor UNKNOWN")),
    };
    Ok(Some(Header { size: end + 1, told }))
}

fn addresses<'t>(mut words: impl Iterator<Item = &'t str>, ip: impl Fn(&str) -> Option<IpAddr>) -> Result<Told, Error> {
    // Digits alone, no sign and no zero before them.
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| port.to_string() == text);
    let mut word = || words.next().unwrap_or_default();
    let (source, destination) = (ip(word()), ip(word()));
    let (from, to) = (port(word()), port(word()));
    match (source, destination, from, to, words.next()) {
        (Some(source), Some(destination), Some(from), Some(to), None) => {
            Ok(Told::Caller { source: SocketAddr::new(source, from), destination: SocketAddr::new(destination, to) })
        }
        _ => Err(bad("PROXY line is not two addresses of its family and two ports")),
    }
}

fn binary(bytes: &[u8]) -> Result<Option<Header>, Error> {
    let (Some(&command), Some(&family)) = (bytes.get(12), bytes.get(13)) else { return Ok(None) };
    // Judged before the rest is waited for.
    let local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(bad("PROXY header is not of version 2, or its command is neither LOCAL nor PROXY")),
    };
    let wants = match family {
        // Not known, or a Unix socket's path: nothing that a policy or a log can use.
        0x00 | 0x31 => 0,
        0x11 => 12,
        0x21 => 36,
        _ if local => 0,
        _ => return Err(bad("PROXY header is for no stream of IPv4, IPv6 or Unix")),
    };
    let Some(&[high, low]) = bytes.get(14..FIXED_BYTES).and_then(|b| <&[u8; 2]>::try_from(b).ok()) else { return Ok(None) };
    let size = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if size > limits::PROXY_HEADER_BYTES {
        return Err(bad("PROXY header is longer than 4 KiB"));
    }
    let Some(whole) = bytes.get(..size) else { return Ok(None) };
    let rest = &whole[FIXED_BYTES..];
    // What LOCAL says of addresses is to be skipped, whatever it is.
    if local {
        return Ok(Some(Header { size, told: Told::Nothing }));
    }
    let skipped = if family == 0x31 { 216 } else { wants };
    let extensions = rest.get(skipped..).ok_or_else(|| bad("PROXY header is too short for its addresses"))?;
    check_extensions(whole, extensions)?;
    let told = match family {
        0x11 => told::<4>(rest, |ip| Ipv4Addr::from(ip).into()),
        0x21 => told::<16>(rest, |ip| Ipv6Addr::from(ip).into()),
        _ => Some(Told::Nothing),
    };
    told.map(|told| Some(Header { size, told })).ok_or_else(|| bad("PROXY header is too short for its addresses"))
}

/// Two addresses of `N` bytes, then two ports.
fn told<const N: usize>(bytes: &[u8], ip: impl Fn([u8; N]) -> IpAddr) -> Option<Told> {
    let (source, rest) = bytes.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (from, rest) = rest.split_first_chunk::<2>()?;
    let (to, _) = rest.split_first_chunk::<2>()?;
    let source = SocketAddr::new(ip(*source), u16::from_be_bytes(*from));
    Some(Told::Caller { source, destination: SocketAddr::new(ip(*destination), u16::from_be_bytes(*to)) })
}

/// Extensions are whole, and the checksum holds where there is one; what else they say is not used.
fn check_extensions(whole: &[u8], mut extensions: &[u8]) -> Result<(), Error> {
    let cut = || bad("an extension of the PROXY header is cut short");
    while let [kind, high, low, rest @ ..] = extensions {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, next) = rest.split_at_checked(length).ok_or_else(cut)?;
        if *kind == CRC32C {
            let at = whole.len() - next.len() - length;
            let told = <[u8; 4]>::try_from(value).map(u32::from_be_bytes).map_err(|_| cut())?;
            // The checksum is taken as if its own bytes were zero.
            let sum = crc32c(crc32c(crc32c(!0, &whole[..at]), &[0; 4]), next);
            if !sum != told {
                return Err(bad("checksum of the PROXY header is wrong"));
            }
        }
        extensions = next;
    }
    if extensions.is_empty() { Ok(()) } else { Err(cut()) }
}

/// Castagnoli's, bit by bit: a header comes once per connection, and with a checksum seldom.
fn crc32c(sum: u32, bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(sum, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 }))
}

#[cfg(test)]
mod tests;
