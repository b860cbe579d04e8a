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
    /// What seals the client's token: the same for all proxies that are told of this. Without it none is made or believed.
    pub key: Option<SessionKey>,
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
