//! What of a head is written of a request, and what of that is made unreadable: values only. What says who somebody is, or lets one be him, is recorded by
//! no rule: [`NEVER`].

use crate::{RegexError, limits};
use std::fmt;
use std::sync::Arc;

/// Fields that are never recorded, whatever a policy says; in lower case.
pub const NEVER: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "proxy-authenticate",
    "www-authenticate",
    "x-api-key",
    "api-key",
    "apikey",
    "x-auth-token",
    "x-csrf-token",
    "x-amz-security-token",
    "x-forwarded-client-cert",
    "sec-websocket-protocol",
    "authentication-info",
    "proxy-authentication-info",
    "x-forwarded-access-token",
    "x-access-token",
    "x-id-token",
    "x-amzn-oidc-data",
    "x-amzn-oidc-accesstoken",
    "x-goog-iap-jwt-assertion",
    "x-vault-token",
    "private-token",
];

/// Fields whose values are addresses: a query, which no record holds, stands in them too. In lower case.
pub const ADDRESSES: &[&str] = &[
    "referer",
    "location",
    "content-location",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-forwarded-uri",
    "x-envoy-original-path",
];

/// Whether a field of this name, in lower case, may be recorded.
pub fn may_be_recorded(name: &str) -> bool {
    !NEVER.contains(&name)
}

/// What may be recorded of the value of a field of this name, in lower case: of an address what stands before its query and its fragment.
pub fn recordable<'v>(name: &str, value: &'v [u8]) -> &'v [u8] {
    let end = || value.iter().position(|byte| matches!(byte, b'?' | b'#'));
    match ADDRESSES.contains(&name) {
        true => &value[..end().unwrap_or(value.len())],
        false => value,
    }
}

/// Names of fields, in lower case.
pub type Names = Arc<[Arc<str>]>;

/// Where something is made unreadable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RedactedField {
    Path,
    /// A recorded field of the request; in lower case.
    RequestHeader(Arc<str>),
    ResponseHeader(Arc<str>),
}

/// What matches is replaced, in all that is told of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redaction {
    pub field: RedactedField,
    pub pattern: Pattern,
    pub replacement: Arc<str>,
}

/// A regular expression that may match anywhere in a value, unlike [`crate::Regex`]. Linear in time, limited in size, bytes not Unicode.
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    program: regex::bytes::Regex,
}

impl Pattern {
    /// # Errors
    /// If it is none, or is too large.
    pub fn new(text: &str) -> Result<Self, RegexError> {
        if text.len() > limits::REGEX_PATTERN_BYTES {
            return Err(RegexError::TooLong);
        }
        let mut builder = regex::bytes::RegexBuilder::new(text);
        let built = builder.unicode(false).size_limit(limits::REGEX_PROGRAM_BYTES).build();
        Ok(Self { text: text.into(), program: built? })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value with each match replaced, as it is written; `None` where nothing matches.
    pub fn replaced(&self, value: &str, with: &str) -> Option<String> {
        match self.program.replace_all(value.as_bytes(), regex::bytes::NoExpand(with.as_bytes())) {
            std::borrow::Cow::Borrowed(_) => None,
            std::borrow::Cow::Owned(made) => Some(String::from_utf8_lossy(&made).into_owned()),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "~{}", self.text)
    }
}

#[cfg(test)]
mod tests;
