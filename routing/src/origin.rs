//! Where a request came from before it came to a gateway, as proxies in front write it (`X-Forwarded-For`, `Forwarded` of RFC 7239). It is read from the
//! right, where those wrote who are nearest: each says who called it, and is believed as long as it is a trusted proxy itself. What stands left of
//! the first who is not was written by strangers and is nothing. It never knows a connection, and writes no field.

use crate::limits;
use model::{HeaderBlock, OriginField, Scheme, Trusted, TrustedProxies};
use smallvec::SmallVec;
use std::net::{IpAddr, Ipv6Addr};

/// For whom a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behind {
    /// Whoever connects: no trusted proxy says otherwise.
    #[default]
    Peer,
    /// The caller of trusted proxies.
    Client(IpAddr),
    /// Trusted proxies say what is no address (`unknown`, `_hidden`, garbage): who it is cannot be told.
    Unknown,
}

impl Behind {
    /// The address, where it can be told; `peer` is whoever connects.
    pub fn address(self, peer: IpAddr) -> Option<IpAddr> {
        match self {
            Self::Peer => Some(peer),
            Self::Client(client) => Some(client),
            Self::Unknown => None,
        }
    }
}

/// What trusted proxies say of a request. Without one it is as [`Origin::default`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    pub behind: Behind,
    /// Whether a trusted proxy brings the request: what else it says of it is believed too.
    pub believed: bool,
    /// Proxies between the client and whoever connects, nearest to the client first.
    pub between: SmallVec<[IpAddr; 2]>,
    /// How the client called, where they say so.
    pub scheme: Option<Scheme>,
    /// The host that the client called, where they say so.
    pub host: Option<Box<str>>,
    /// The port that the client called, likewise.
    pub port: Option<u16>,
}

impl Origin {
    /// By what scheme and port the client called, where the gateway is called by these itself: what it is sent back to is there.
    pub fn called(&self, scheme: Scheme, port: u16) -> (Scheme, u16) {
        let told = self.scheme.unwrap_or(scheme);
        // Whoever says another scheme and no port means its usual one, not the gateway's own.
        (told, self.port.unwrap_or(if told == scheme { port } else { told.default_port() }))
    }
}

/// One proxy's word.
#[derive(Debug, Default)]
struct Said<'h> {
    /// `None`: no address.
    by: Option<IpAddr>,
    scheme: Option<Scheme>,
    host: Option<std::borrow::Cow<'h, str>>,
}

/// What is believed of `headers` that `peer` brings.
pub fn read(trusted: &TrustedProxies, peer: IpAddr, headers: &HeaderBlock) -> Origin {
    let peer = peer.to_canonical();
    let known = match &trusted.who {
        Trusted::Nobody => false,
        Trusted::Sources(blocks) => blocks.iter().any(|block| block.contains(peer)),
        Trusted::Hops(hops) => *hops > 0,
    };
    if !known {
        return Origin::default();
    }
    let mut origin = Origin { believed: true, ..Origin::default() };
    let said = said(trusted.field, headers);
    let (mut at, mut passed) = (peer, SmallVec::<[IpAddr; 2]>::new());
    for (i, one) in said.iter().take(limits::FORWARDED_HOPS).enumerate() {
        // Who wrote this is believed; how its own caller called is the client's call if that is where it ends.
        let Some(by) = one.by else {
            origin.behind = Behind::Unknown;
            passed.push(at);
            break;
        };
        passed.push(at);
        (at, origin.behind) = (by, Behind::Client(by));
        (origin.scheme, origin.host) = (one.scheme, one.host.as_deref().map(Box::from));
        let ends = match &trusted.who {
            Trusted::Nobody => true,
            Trusted::Sources(blocks) => !blocks.iter().any(|block| block.contains(by)),
            Trusted::Hops(hops) => i + 1 >= usize::from(*hops),
        };
        if ends {
            break;
        }
    }
    if let Trusted::Hops(hops) = trusted.who
        && spoke(trusted.field, headers) < usize::from(hops)
    {
        // Fewer spoke than stand in front: it came past them, and whoever connects is all that is known.
        return Origin::default();
    }
    // Whoever connects is the first that was passed, and known by the connection.
    passed.reverse();
    passed.pop();
    origin.between = passed;
    if trusted.field == OriginField::XForwardedFor {
        origin.scheme = single(headers, "x-forwarded-proto").and_then(scheme);
        origin.host = single(headers, "x-forwarded-host").and_then(host).map(Box::from);
        origin.port = single(headers, "x-forwarded-port").and_then(|port| port.parse().ok());
    }
    origin
}

/// The words, nearest proxy first. Of a field that cannot be read nothing is, and nothing that stands before it.
fn said(field: OriginField, headers: &HeaderBlock) -> Vec<Said<'_>> {
    let mut all = Vec::new();
    let name = if field == OriginField::Forwarded { "forwarded" } else { "x-forwarded-for" };
    let lines: SmallVec<[&[u8]; 4]> = headers.get_all(name).collect();
    for line in lines.into_iter().rev() {
        match field {
            OriginField::XForwardedFor => all.extend(
                line.rsplit(|b| *b == b',')
                    .map(|item| Said { by: std::str::from_utf8(item).ok().and_then(|item| node(item.trim())), ..Said::default() }),
            ),
            OriginField::Forwarded => match std::str::from_utf8(line).ok().and_then(elements) {
                Some(elements) => all.extend(elements.into_iter().rev()),
                None => all.push(Said::default()),
            },
        }
        // What is left of these is of nobody.
        if all.len() >= limits::FORWARDED_HOPS || all.iter().any(|one| one.by.is_none()) {
            break;
        }
    }
    all
}

/// How many entries there are, whatever stands in them.
fn spoke(field: OriginField, headers: &HeaderBlock) -> usize {
    match field {
        OriginField::XForwardedFor => headers.get_all("x-forwarded-for").map(|line| line.split(|b| *b == b',').count()).sum(),
        // Of one that cannot be read nobody knows how many stand in it.
        OriginField::Forwarded => {
            headers.get_all("forwarded").map(|line| std::str::from_utf8(line).ok().and_then(elements).map_or(1, |all| all.len())).sum()
        }
    }
}

fn single<'h>(headers: &'h HeaderBlock, name: &str) -> Option<&'h str> {
    let mut fields = headers.get_all(name);
    let first = fields.next()?;
    fields.next().is_none().then(|| std::str::from_utf8(first).ok()).flatten().map(str::trim)
}

fn scheme(text: &str) -> Option<Scheme> {
    [("http", Scheme::Http), ("https", Scheme::Https)]
        .into_iter()
        .find(|(name, _)| text.eq_ignore_ascii_case(name))
        .map(|(_, scheme)| scheme)
}

/// What can stand in `Host`.
fn host(text: &str) -> Option<&str> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]".contains(&b);
    (!text.is_empty() && text.len() <= model::limits::HOSTNAME_BYTES + 6 && text.bytes().all(fits)).then_some(text)
}

/// The address of a node (RFC 7239, section 6), also as `X-Forwarded-For` has it: with or without a port, of IPv6 with or without brackets. The zone
/// of an address means something to whoever wrote it alone.
pub fn node(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, after) = rest.split_once(']')?;
        let fits = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        return v6(inner).filter(|_| fits);
    }
    if let Some(v6) = v6(text) {
        return Some(v6);
    }
    let (address, port) = text.split_once(':').map_or((text, None), |(address, port)| (address, Some(port)));
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    port.is_none_or(is_port).then_some(IpAddr::V4(address))
}

fn v6(text: &str) -> Option<IpAddr> {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    let fits = |zone: &str| !zone.is_empty() && zone.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b));
    let address: Ipv6Addr = address.parse().ok()?;
    zone.is_none_or(fits).then(|| IpAddr::V6(address).to_canonical())
}

/// A number, or a word that hides one.
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(hidden) => !hidden.is_empty() && hidden.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
        None => text.len() <= 5 && text.parse::<u16>().is_ok() && !text.starts_with('+'),
    }
}

/// The elements of one `Forwarded` field, in their order; `None` where it is not wholly as RFC 7239 has it: with one quotation mark too many a stranger
/// could hide what a proxy wrote after it.
fn elements(line: &str) -> Option<Vec<Said<'_>>> {
    let mut all = Vec::new();
    let mut rest = line.trim_start_matches(BLANK);
    loop {
        let (one, after) = element(rest)?;
        all.push(one);
        match after.strip_prefix(',') {
            Some(next) => rest = next.trim_start_matches(BLANK),
            None => return after.is_empty().then_some(all),
        }
    }
}

const BLANK: [char; 2] = [' ', '\t'];

/// One element, and what follows it.
fn element(mut rest: &str) -> Option<(Said<'_>, &str)> {
    let (mut said, mut seen) = (Said::default(), SmallVec::<[&str; 4]>::new());
    loop {
        let end = rest.bytes().position(|b| !model::http::is_token_byte(b))?;
        let (name, after) = rest.split_at(end);
        let (value, after) = value(after.strip_prefix('=').filter(|_| !name.is_empty())?)?;
        if seen.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return None;
        }
        seen.push(name);
        match name.to_ascii_lowercase().as_str() {
            "for" => said.by = node(&value),
            "proto" => said.scheme = scheme(&value),
            "host" => said.host = host(&value).is_some().then_some(value),
            _ => {}
        }
        let after = after.trim_start_matches(BLANK);
        match after.strip_prefix(';') {
            Some(next) => rest = next.trim_start_matches(BLANK),
            None => return Some((said, after)),
        }
    }
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> Option<(std::borrow::Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.bytes().position(|b| !model::http::is_token_byte(b)).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].into(), &text[end..]));
    };
    let (mut out, mut chars) = (String::new(), quoted.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out.into(), &quoted[at + 1..])),
            '\\' => out.push(chars.next()?.1),
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests;
