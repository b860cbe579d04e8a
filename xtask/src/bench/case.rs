//! What is measured: which way the bytes go, and what the callers do. Data alone; how a proxy is told to do it is `contender`'s business.

/// What callers speak, or the proxy speaks to the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    Http1,
    Http2,
    Tls1,
    Tls2,
    /// Bytes that nobody reads.
    Opaque,
}

impl Speech {
    pub fn tls(self) -> bool {
        matches!(self, Self::Tls1 | Self::Tls2)
    }

    pub fn http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Tls2)
    }
}

/// What is between the callers and the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One proxy before the backend.
    Edge { front: Speech, back: Speech },
    /// Two proxies with mutual TLS between them; HAProxy alone, as an edge, is measured beside them.
    Mesh(Speech),
    /// One proxy with so many routes, for each of the numbers.
    Routes(&'static [usize]),
    /// One proxy with so many policies of access, for each of the numbers, without tokens and with them.
    Access(&'static [usize]),
    /// One proxy, with each set of those who are told what it carries.
    Telling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// wrk: connections, what each request is.
    Http1(u32, Request),
    /// h2load: connections, streams of each, messages of 100 bytes in each gRPC call (none: plain GETs).
    Http2(u32, u32, Option<usize>),
    /// One connection that reads so many MiB.
    Bulk(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// 100 bytes come back.
    Small,
    /// 64 KiB down, 64 KiB up, in turns.
    Large,
    /// A connection for each.
    Close,
    /// Spread over so many routes.
    Spread,
}

pub struct Case {
    pub name: &'static str,
    pub shape: &'static str,
    pub way: Way,
    pub load: Load,
}

const H1: Way = Way::Edge { front: Speech::Http1, back: Speech::Http1 };
const H2: Way = Way::Edge { front: Speech::Http2, back: Speech::Http2 };

pub const CASES: &[Case] = &[
    Case {
        name: "h1-64",
        shape: "HTTP/1.1, 64 connections kept open, answers of 100 bytes",
        way: H1,
        load: Load::Http1(64, Request::Small),
    },
    Case { name: "h1-1", shape: "the same with one connection", way: H1, load: Load::Http1(1, Request::Small) },
    Case { name: "h1-body", shape: "64 KiB down and 64 KiB up in turns, 16 connections", way: H1, load: Load::Http1(16, Request::Large) },
    Case { name: "h1-close", shape: "a connection for each request, 16 at a time", way: H1, load: Load::Http1(16, Request::Close) },
    Case { name: "h2-4x16", shape: "HTTP/2 to HTTP/2, 4 connections of 16 streams", way: H2, load: Load::Http2(4, 16, None) },
    Case { name: "h2-32x1", shape: "HTTP/2 to HTTP/2, 32 connections of one stream", way: H2, load: Load::Http2(32, 1, None) },
    Case { name: "grpc", shape: "gRPC, unary echo of 100 bytes, 4 × 16", way: H2, load: Load::Http2(4, 16, Some(1)) },
    Case { name: "grpc-stream", shape: "gRPC, echo of a stream of 1,000 messages, 4 × 1", way: H2, load: Load::Http2(4, 1, Some(1000)) },
    Case {
        name: "tls-h1",
        shape: "TLS 1.3 (P-256) ended at the proxy, HTTP/1.1, 64 connections",
        way: Way::Edge { front: Speech::Tls1, back: Speech::Http1 },
        load: Load::Http1(64, Request::Small),
    },
    Case {
        name: "tls-h2",
        shape: "TLS 1.3 (P-256) ended at the proxy, HTTP/2 to HTTP/2, 4 × 16",
        way: Way::Edge { front: Speech::Tls2, back: Speech::Http2 },
        load: Load::Http2(4, 16, None),
    },
    Case {
        name: "mesh-http",
        shape: "two proxies, mutual TLS, HTTP/1.1 read by both, 64 connections; CPU of both",
        way: Way::Mesh(Speech::Http1),
        load: Load::Http1(64, Request::Small),
    },
    Case {
        name: "mesh-tcp",
        shape: "two proxies, mutual TLS, bytes unread, 64 connections; CPU of both",
        way: Way::Mesh(Speech::Opaque),
        load: Load::Http1(64, Request::Small),
    },
    Case {
        name: "bulk",
        shape: "two proxies, mutual TLS, 1 GiB unread over one connection; CPU of both, per MiB",
        way: Way::Mesh(Speech::Opaque),
        load: Load::Bulk(1024),
    },
    Case {
        name: "routes",
        shape: "h1-64 with 1, 1,000 and 10,000 routes on up to 1,000 hosts, requests spread over all",
        way: Way::Routes(&[1, 1_000, 10_000]),
        load: Load::Http1(64, Request::Spread),
    },
    Case {
        name: "access",
        shape: "h1-64 with 0, 100 and 1,000 policies of ten rules, without tokens and with one that is verified (jwt); Envoy by its RBAC and JWT filters",
        way: Way::Access(&[0, 100, 1_000]),
        load: Load::Http1(64, Request::Small),
    },
    Case {
        name: "telling",
        shape: "h1-64 told to nobody, to a tap that asks for everything, to a collector that takes 1 and 100 % and one that hangs, and with a Prometheus that is down",
        way: Way::Telling,
        load: Load::Http1(64, Request::Small),
    },
];
