//! Sessions (GEP-1619): what a client's token says, which of the tokens it sends is believed, and what it is told. The token names backend and endpoint
//! by hashes, so that it always has the same length. It never knows how a token is sealed, and who may be used is the balancer's to say.

use crate::balance::xxh64;
use crate::limits;
use model::session::{Carrier, Persistence};
use model::{Backend, HeaderBlock, PathMatch};
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const VERSION: u8 = 1;
const BYTES: usize = 33;

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    pub backend: u64,
    pub endpoint: u64,
    /// Unix time in seconds.
    began: u64,
    used: u64,
}

/// A backend as tokens name it.
pub fn backend(backend: &Backend) -> u64 {
    xxh64(backend.to_string().as_bytes(), 0)
}

/// An endpoint as tokens name it.
pub fn endpoint(id: &str) -> u64 {
    xxh64(id.as_bytes(), 1)
}

impl Session {
    pub fn new(backend: u64, endpoint: u64, now: SystemTime) -> Self {
        Self { backend, endpoint, began: seconds(now), used: seconds(now) }
    }

    pub fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [VERSION; BYTES];
        let words = [self.backend, self.endpoint, self.began, self.used];
        bytes[1..].chunks_exact_mut(8).zip(words).for_each(|(to, word)| to.copy_from_slice(&word.to_be_bytes()));
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = <&[u8; BYTES]>::try_from(bytes).ok()?.split_first()?;
        let mut words = rest.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_be_bytes));
        let mut next = || words.next();
        let read = Self { backend: next()?, endpoint: next()?, began: next()?, used: next()? };
        (*version == VERSION).then_some(read)
    }

    /// Whether the session goes on. Clocks of two proxies may differ a little.
    pub fn is_alive(&self, rule: &Persistence, now: SystemTime) -> bool {
        let now = seconds(now);
        let within = |since: u64, limit: Option<Duration>| {
            since <= now + limits::SESSION_CLOCKS.as_secs() && limit.is_none_or(|limit| now.saturating_sub(since) < limit.as_secs().max(1))
        };
        within(self.began, rule.absolute) && within(self.used, rule.idle)
    }

    /// The same session used again, where the client needs to hear of that: a part of its idle time has passed.
    pub fn renewed(&self, rule: &Persistence, now: SystemTime) -> Option<Self> {
        let since = seconds(now).saturating_sub(self.used);
        let due = rule.idle.is_some_and(|idle| since >= (idle.as_secs() / limits::SESSION_RENEWALS).max(1));
        due.then(|| Self { used: seconds(now), ..*self })
    }

    /// How long a cookie of it is kept, where it is kept beyond the browser's own session.
    fn left(&self, rule: &Persistence, now: SystemTime) -> Option<u64> {
        let absolute = rule.absolute.filter(|_| rule.carrier == Carrier::PermanentCookie)?;
        Some((self.began + absolute.as_secs()).saturating_sub(seconds(now)))
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The tokens that a request carries under the rule's name, the first few; a client may send cookies of several paths.
pub fn tokens<'h>(rule: &'h Persistence, headers: &'h HeaderBlock) -> impl Iterator<Item = &'h [u8]> {
    let header = (rule.carrier == Carrier::Header).then(|| headers.get_all(&rule.name)).into_iter().flatten();
    let cookies = (rule.carrier != Carrier::Header).then(|| headers.get_all("cookie")).into_iter().flatten();
    let pairs = cookies.flat_map(|value| value.split(|b| *b == b';')).filter_map(|pair| {
        let at = pair.iter().position(|b| *b == b'=')?;
        (pair[..at].trim_ascii() == rule.name.as_bytes()).then(|| pair[at + 1..].trim_ascii())
    });
    header.chain(pairs).filter(|token| token.len() <= limits::SESSION_TOKEN_BYTES).take(limits::SESSION_TOKENS)
}

/// Puts a sealed token into an answer. `path`: of a rule, what it matched, where nothing else is said; a Service's session has none.
pub fn tell(rule: &Persistence, session: &Session, token: &str, path: Option<&str>, secure: bool, now: SystemTime, into: &mut HeaderBlock) {
    if rule.carrier == Carrier::Header {
        return into.set(&rule.name, token.as_bytes());
    }
    let mut cookie = format!("{}={token}", rule.name);
    if let Some(path) = rule.path.as_deref().or(path) {
        cookie.push_str("; Path=");
        cookie.push_str(path);
    }
    if let Some(left) = session.left(rule, now) {
        // A string takes whatever is written.
        let _ = write!(cookie, "; Max-Age={left}");
    }
    cookie.push_str(if secure { "; HttpOnly; Secure; SameSite=Lax" } else { "; HttpOnly; SameSite=Lax" });
    into.push("set-cookie", cookie.as_bytes());
}

/// Where a cookie of a rule is sent back: below what was matched; of an expression, its longest part in plain letters, up to a slash.
pub fn cookie_path(matched: Option<&PathMatch>) -> &str {
    let path = match matched {
        None => "/",
        Some(PathMatch::Exact(path) | PathMatch::Prefix(path)) => path,
        Some(PathMatch::Regex(regex)) => {
            let pattern = regex.pattern().trim_start_matches('^');
            let plain = pattern.find(|c: char| !(c.is_ascii_alphanumeric() || "/-_~".contains(c))).unwrap_or(pattern.len());
            pattern[..plain].rfind('/').map_or("/", |slash| &pattern[..slash])
        }
    };
    if model::session::is_cookie_path(path) { path } else { "/" }
}

#[cfg(test)]
mod tests;
