//! Who stands in front of a gateway and is believed when it says for whom it calls. Values only: `routing` reads what such proxies write.

use crate::Cidr;

/// The proxies in front of a gateway, and where they write for whom they call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies {
    pub who: Trusted,
    pub field: OriginField,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trusted {
    /// The connection alone says who calls.
    #[default]
    Nobody,
    /// Whoever connects from there, and whoever they say from there called them.
    Sources(Vec<Cidr>),
    /// So many proxies stand in front, whatever their addresses, and nobody comes past them; at least one.
    Hops(u8),
}

/// A proxy that writes one of these fields passes the other on as a stranger wrote it: so one of them is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OriginField {
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}
