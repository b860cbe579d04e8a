//! Small words that strangers write: trace context, tokens, names, keys, identities. What is taken is written and read again, the same.

use identity::Token;
use model::{HostPattern, Hostname, Key, PathMatch, Regex, SpiffeId};
use telemetry::TraceContext;

pub fn check(bytes: &[u8]) {
    if let Some(trace) = TraceContext::parse(bytes) {
        assert_eq!(TraceContext::parse(&trace.traceparent()), Some(trace));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(key) = Key::parse(text) {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(host) = Hostname::parse(text) {
        assert_eq!(Hostname::parse(host.as_str()).as_ref(), Ok(&host));
        assert!(HostPattern::Exact(host.clone()).matches(host.as_str()));
    }
    if let Ok(pattern) = HostPattern::parse(text) {
        assert_eq!(HostPattern::parse(&pattern.to_string()), Ok(pattern.clone()));
        assert_eq!(pattern.intersect(&pattern), Some(pattern.clone()));
    }
    if let Ok(id) = SpiffeId::parse(text) {
        assert_eq!(SpiffeId::parse(&id.to_string()), Ok(id));
    }
    if let Ok(token) = Token::parse(text) {
        let again = Token::parse(&token.to_text()).expect("our own text");
        assert_eq!((&again.address, again.root_sha256, again.secret_hash()), (&token.address, token.root_sha256, token.secret_hash()));
    }
    if let Some((namespace, host)) = wire::parse_host_subscription(text) {
        assert_eq!(wire::host_subscription(namespace, host), text);
    }
    let _ = Regex::new(text).map(PathMatch::Regex);
}
