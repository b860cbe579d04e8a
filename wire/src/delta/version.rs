//! Versions as a proxy holds them: one for each resource, and there may be tens of thousands.

use std::fmt;
use std::sync::Arc;

/// The version of a resource as it was given. Most are the hash that [`crate::version`] writes, which is held as its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Hash([u8; 16]),
    Text(Arc<str>),
}

impl Version {
    /// That of a resource whose bytes are lost and asked for again.
    pub fn none() -> Self {
        "".into()
    }

    pub fn is_none(&self) -> bool {
        matches!(&self.0, Form::Text(text) if text.is_empty())
    }
}

impl From<&str> for Version {
    fn from(text: &str) -> Self {
        let is_hash = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let hash = is_hash.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        Self(hash.map_or_else(|| Form::Text(text.into()), |hash| Form::Hash(hash.to_be_bytes())))
    }
}

impl From<String> for Version {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Hash(bytes) => write!(f, "{:032x}", u128::from_be_bytes(*bytes)),
            Form::Text(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests;
