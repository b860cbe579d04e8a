//! Everything that can go wrong with a request, who is at fault, and how each audience is told: one table for HTTP status, gRPC
//! status, Envoy's response flag, metric label and RFC 9209 `Proxy-Status` error type.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    Downstream,
    Upstream,
    Policy,
    Configuration,
    Ourselves,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $blame:ident, $http:literal, $grpc:literal, $flag:literal, $label:literal, $rfc:literal;)*) => {
        /// A reason why Organza itself answered, or ended a connection.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            pub const ALL: &[Self] = &[$(Self::$name,)*];
            pub fn blame(self) -> Blame { match self { $(Self::$name => Blame::$blame,)* } }
            /// The status that the caller gets.
            pub fn http_status(self) -> u16 { match self { $(Self::$name => $http,)* } }
            /// The gRPC status code that a gRPC caller gets instead.
            pub fn grpc_status(self) -> u8 { match self { $(Self::$name => $grpc,)* } }
            /// Envoy's `response_flags` code; `-` where it has none.
            pub fn response_flag(self) -> &'static str { match self { $(Self::$name => $flag,)* } }
            /// The name in metrics and logs.
            pub fn label(self) -> &'static str { match self { $(Self::$name => $label,)* } }
            /// The `error` parameter of `Proxy-Status`.
            pub fn proxy_error(self) -> &'static str { match self { $(Self::$name => $rfc,)* } }
            pub fn parse(label: &str) -> Option<Self> { match label { $($label => Some(Self::$name),)* _ => None } }
        }
    };
}

faults! {
    // The caller's doing.
    MalformedRequest = Downstream, 400, 13, "DPE", "malformed_request", "http_protocol_error";
    HeadTooLarge = Downstream, 431, 8, "DPE", "head_too_large", "http_request_error";
    BodyTooLarge = Downstream, 413, 8, "DPE", "body_too_large", "http_request_error";
    SlowRequest = Downstream, 408, 4, "DT", "slow_request", "http_request_error";
    UnsupportedVersion = Downstream, 400, 13, "DPE", "unsupported_version", "http_protocol_error";
    DownstreamClosed = Downstream, 499, 1, "DC", "downstream_closed", "connection_terminated";
    /// The time that the caller itself gave the request is over; says nothing of who was asked.
    DeadlineExceeded = Downstream, 504, 4, "UT", "deadline_exceeded", "http_response_timeout";
    MisdirectedRequest = Downstream, 421, 5, "NR", "misdirected_request", "http_request_error";
    ExpectationFailed = Downstream, 417, 3, "DPE", "expectation_failed", "http_request_error";
    /// The bytes are not of the protocol that this port's routes or policies need.
    UnrecognisedProtocol = Downstream, 400, 13, "DPE", "unrecognised_protocol", "http_protocol_error";
    // Decided against.
    AccessDenied = Policy, 403, 7, "UAEX", "access_denied", "http_request_denied";
    Unauthenticated = Policy, 401, 16, "UAEX", "unauthenticated", "http_request_denied";
    RateLimited = Policy, 429, 8, "RL", "rate_limited", "http_request_denied";
    /// An authorizer outside of the mesh's own rules was not heard.
    AuthorizerFailed = Policy, 503, 14, "UAEX", "authorizer_failed", "proxy_internal_error";
    ProxyAuthenticationRequired = Policy, 407, 16, "UAEX", "proxy_authentication_required", "http_request_denied";
    // Nothing to send it to.
    NoRoute = Configuration, 404, 12, "NR", "no_route", "destination_not_found";
    NoSuchService = Configuration, 502, 14, "NC", "no_such_service", "destination_not_found";
    InvalidBackend = Configuration, 500, 14, "NC", "invalid_backend", "proxy_configuration_error";
    InvalidFilter = Configuration, 500, 13, "NC", "invalid_filter", "proxy_configuration_error";
    NoBackend = Configuration, 500, 14, "NC", "no_backend", "proxy_configuration_error";
    NoEndpoint = Upstream, 503, 14, "UH", "no_endpoint", "destination_unavailable";
    /// The control plane was not reachable for a service that was never used before.
    NotYetKnown = Ourselves, 503, 14, "NC", "not_yet_known", "destination_unavailable";
    // The other side's doing.
    ConnectRefused = Upstream, 503, 14, "UF", "connect_refused", "connection_refused";
    ConnectTimeout = Upstream, 503, 14, "UF", "connect_timeout", "connection_timeout";
    ConnectFailed = Upstream, 503, 14, "UF", "connect_failed", "destination_ip_unroutable";
    DnsFailed = Upstream, 503, 14, "UF", "dns_failed", "dns_error";
    TlsFailed = Upstream, 503, 14, "UF", "tls_failed", "tls_protocol_error";
    /// The peer's certificate names an identity that is not registered for the destination.
    IdentityMismatch = Upstream, 503, 14, "UF", "identity_mismatch", "tls_certificate_error";
    UpstreamReset = Upstream, 503, 14, "UC", "upstream_reset", "connection_terminated";
    UpstreamProtocol = Upstream, 502, 13, "UPE", "upstream_protocol", "http_protocol_error";
    UpstreamIncomplete = Upstream, 502, 14, "UC", "upstream_incomplete", "http_response_incomplete";
    RequestTimeout = Upstream, 504, 4, "UT", "request_timeout", "http_response_timeout";
    BackendTimeout = Upstream, 504, 4, "UT", "backend_timeout", "http_response_timeout";
    RetriesExhausted = Upstream, 503, 14, "URX", "retries_exhausted", "http_response_incomplete";
    Overflow = Upstream, 503, 14, "UO", "overflow", "connection_limit_reached";
    // Ours.
    Overloaded = Ourselves, 503, 8, "OM", "overloaded", "proxy_internal_error";
    Draining = Ourselves, 503, 14, "-", "draining", "proxy_internal_error";
    NoIdentity = Ourselves, 503, 14, "-", "no_identity", "proxy_internal_error";
    Internal = Ourselves, 500, 13, "-", "internal", "proxy_internal_error";
    Loop = Configuration, 508, 13, "-", "loop", "proxy_loop_detected";
}

#[cfg(test)]
mod tests;
