//! What an authorizer changes of a request that it allows: fields of its head, never what frames it or says whom it is for.

use model::HeaderBlock;
use wire::authorization::{HeaderValueOption, Manner};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// In lower case.
    pub removed: Vec<String>,
    pub written: Vec<(String, Vec<u8>, Manner)>,
}

impl Edits {
    /// A field that is to be written; `false` where no field can be such, so that the answer is none.
    pub fn write(&mut self, name: &str, value: &[u8], manner: Manner) -> bool {
        let name = name.to_ascii_lowercase();
        let fits = !name.is_empty() && name.bytes().all(model::http::is_token_byte) && value.iter().all(|b| model::http::is_value_byte(*b));
        let heard = fits || name.starts_with(':');
        // What an authorizer may not change is left as it is (Envoy's filter does the same).
        if fits && !super::is_framing(&name) {
            self.written.push((name, value.to_vec(), manner));
        }
        heard
    }

    /// As [`Edits::write`], from a message; without a header it says nothing.
    pub fn option(&mut self, option: &HeaderValueOption) -> bool {
        option.header.as_ref().is_none_or(|header| self.write(&header.key, header.bytes(), option.manner()))
    }

    pub fn remove(&mut self, name: &str) {
        if !super::is_framing(name) {
            self.removed.push(name.to_ascii_lowercase());
        }
    }

    pub fn apply(&self, headers: &mut HeaderBlock) {
        self.removed.iter().for_each(|name| _ = headers.remove(name));
        for (name, value, manner) in &self.written {
            match (manner, headers.contains(name)) {
                (Manner::Append, _) => headers.push(name, value),
                (Manner::IfAbsent, true) | (Manner::IfPresent, false) => {}
                (Manner::IfAbsent, false) | (Manner::IfPresent, true) | (Manner::Replace, _) => headers.set(name, value),
            }
        }
    }
}
