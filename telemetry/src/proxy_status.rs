//! The `Proxy-Status` field (RFC 9209) of answers that Organza makes itself. Members of the mesh may read why; strangers get name and error
//! type only.

use crate::limits;
use model::Fault;

/// `organza; error=connection_refused; details="…"`. `name` is the proxy as it may be shown to this caller; `details` only for members.
pub fn proxy_status(name: &str, fault: Fault, details: Option<&str>) -> String {
    let mut out = String::with_capacity(64);
    push_identifier(&mut out, name);
    out.push_str("; error=");
    out.push_str(fault.proxy_error());
    if let Some(details) = details {
        out.push_str("; details=");
        push_string(&mut out, details);
    }
    out
}

/// The proxy's name: a token where it is one (RFC 9651), else a string.
fn push_identifier(out: &mut String, name: &str) {
    let token = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&b));
    match token {
        true => out.push_str(name),
        false => push_string(out, name),
    }
}

/// A structured-field string: printable ASCII, quotes and backslashes escaped; anything else becomes `?`.
fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars().take(limits::DETAIL_BYTES) {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => out.push('?'),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
