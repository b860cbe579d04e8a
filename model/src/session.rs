//! Sessions: how a client is led back to the endpoint that it was led to before. What Gateway API's `sessionPersistence` says (GEP-1619); `routing` decides by
//! it and `identity` seals what the client carries.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persistence {
    /// Of the cookie or the header; a token (RFC 9110, section 5.6.2).
    pub name: Arc<str>,
    pub carrier: Carrier,
    /// A session ends so long after it began.
    pub absolute: Option<Duration>,
    /// A session ends where it was not used for so long.
    pub idle: Option<Duration>,
    /// Where a cookie is sent back; `None`: below what its rule matched, as Gateway API had it up to v1.6.
    pub path: Option<Arc<str>>,
    /// It keeps a client to an endpoint of the backend that the weights draw for each request, and never leads to a backend.
    pub within: bool,
    /// What seals the client's token: the same for all proxies that are told of this. Without it none is made or believed.
    pub key: Option<SessionKey>,
}

/// Whether a cookie can say that it is sent back below that (RFC 6265, section 4.1.1): a path, in letters that end no attribute.
pub fn is_cookie_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b';')
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// Until the browser ends.
    Cookie,
    /// As long as the session may last.
    PermanentCookie,
    Header,
}

/// A secret of 32 bytes, which never appears in `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionKey(pub [u8; 32]);

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}
