//! Cross-origin rules (Fetch standard, section 3.2; Gateway API `HTTPCORSFilter`). A request of an origin that is not allowed is carried all
//! the same, but its answer names no origin, so that the browser withholds it.

use model::route::Cors;
use model::{HeaderBlock, Method, RequestHead, ResponseHead};
use std::sync::Arc;

/// The answer to a preflight request; `None` where it is none, or of an origin that is not allowed.
pub(super) fn preflight(rules: &Cors, head: &RequestHead) -> Option<ResponseHead> {
    let method = head.headers.text("access-control-request-method")?;
    if head.method != Method::Options {
        return None;
    }
    let origin = head.headers.text("origin")?;
    let mut answer = ResponseHead::with_status(204);
    let allowed = allowed_origin(rules, &head.headers);
    debug_assert!(allowed.is_none_or(|allowed| allowed == origin));
    answer_headers(rules, allowed, &mut answer.headers);
    if allowed.is_none() {
        return Some(answer);
    }
    let asked = head.headers.text("access-control-request-headers").unwrap_or("");
    let out = &mut answer.headers;
    if let Some(methods) = listed(&rules.allow_methods, method, rules.allow_credentials) {
        out.push("access-control-allow-methods", methods.as_bytes());
    }
    if let Some(names) = listed(&rules.allow_headers, asked, rules.allow_credentials) {
        out.push("access-control-allow-headers", names.as_bytes());
    }
    out.push("access-control-max-age", rules.max_age.as_secs().to_string().as_bytes());
    Some(answer)
}

/// A list as the browser reads it. `*` means any only without credentials: with them, what was asked for is named.
fn listed(allowed: &[Arc<str>], asked: &str, credentials: bool) -> Option<String> {
    let any = allowed.iter().any(|item| **item == *"*");
    let text = match (any, credentials) {
        (true, true) => asked.to_owned(),
        (true, false) => "*".to_owned(),
        (false, _) => allowed.iter().map(|item| &**item).collect::<Vec<_>>().join(", "),
    };
    (!text.is_empty()).then_some(text)
}

pub(super) fn allowed_origin<'h>(rules: &Cors, headers: &'h HeaderBlock) -> Option<&'h str> {
    let origin = headers.text("origin")?;
    rules.allow_origins.iter().any(|pattern| origin_matches(pattern, origin)).then_some(origin)
}

/// `*`, an origin written out, or one whose host begins with `*.` for any number of labels.
fn origin_matches(pattern: &str, origin: &str) -> bool {
    if pattern == "*" || pattern.eq_ignore_ascii_case(origin) {
        return true;
    }
    let (Some((scheme, host)), Some((got_scheme, got_host))) = (pattern.split_once("://"), origin.split_once("://")) else {
        return false;
    };
    let (host, got_host) = (host.to_ascii_lowercase(), got_host.to_ascii_lowercase());
    let Some(suffix) = host.strip_prefix('*') else { return false };
    let labels = got_host.strip_suffix(suffix).is_some_and(|labels| !labels.is_empty() && !labels.ends_with('.'));
    scheme.eq_ignore_ascii_case(got_scheme) && labels && suffix.starts_with('.')
}

/// The fields that every answer carries. The backend's own are replaced, for two authorities would contradict each other.
pub(super) fn answer_headers(rules: &Cors, origin: Option<&str>, headers: &mut HeaderBlock) {
    headers.remove("access-control-allow-origin");
    headers.remove("access-control-allow-credentials");
    let everyone = rules.allow_origins.iter().any(|pattern| **pattern == *"*") && !rules.allow_credentials;
    if !everyone {
        headers.push("vary", b"Origin");
    }
    let Some(origin) = origin else { return };
    headers.push("access-control-allow-origin", if everyone { b"*" } else { origin.as_bytes() });
    if rules.allow_credentials {
        headers.push("access-control-allow-credentials", b"true");
    }
    if let Some(names) = listed(&rules.expose_headers, "", rules.allow_credentials) {
        headers.set("access-control-expose-headers", names.as_bytes());
    }
}
