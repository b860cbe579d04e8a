//! The small readers that all messages share, and the error that grows its field's name on the way out. Knows no message.

use crate::enums::Word;
use crate::limits;
use bytes::Bytes;
use std::fmt::Display;
use std::sync::Arc;

pub(super) type Result<T> = std::result::Result<T, Wrong>;

#[derive(Debug)]
pub(super) struct Wrong {
    pub field: String,
    pub why: String,
}

pub(super) fn wrong(why: impl Display) -> Wrong {
    Wrong { field: String::new(), why: why.to_string() }
}

pub(super) fn unknown(number: i32) -> Wrong {
    wrong(format!("holds {number}, which this release does not know"))
}

/// Says where it was.
pub(super) trait Read<T> {
    fn at(self, field: &str) -> Result<T>;
}

impl<T> Read<T> for Result<T> {
    fn at(self, field: &str) -> Self {
        self.map_err(|wrong| {
            let joint = if wrong.field.is_empty() || wrong.field.starts_with('[') || field.is_empty() { "" } else { "." };
            Wrong { field: format!("{field}{joint}{}", wrong.field), why: wrong.why }
        })
    }
}

pub(super) fn some<T>(value: Option<T>) -> Result<T> {
    value.ok_or_else(|| wrong("is missing, or of a kind that this release does not know"))
}

pub(super) fn short(text: &str) -> Result<()> {
    if text.len() > limits::TEXT_BYTES { Err(wrong(format!("is longer than {} bytes", limits::TEXT_BYTES))) } else { Ok(()) }
}

pub(super) fn text(text: String) -> Result<Arc<str>> {
    short(&text)?;
    Ok(text.into())
}

pub(super) fn blob(bytes: Bytes) -> Result<Arc<[u8]>> {
    if bytes.len() > limits::BLOB_BYTES {
        return Err(wrong(format!("is longer than {} bytes", limits::BLOB_BYTES)));
    }
    Ok(Arc::from(&bytes[..]))
}

pub(super) fn port(number: u32) -> Result<u16> {
    u16::try_from(number).ok().filter(|port| *port != 0).ok_or_else(|| wrong(format!("{number} is no port")))
}

pub(super) fn word<W: Word>(number: i32) -> Result<W> {
    W::from_number(number).ok_or_else(|| unknown(number))
}

pub(super) fn list<A, B>(items: Vec<A>, field: &str, mut read: impl FnMut(A) -> Result<B>) -> Result<Vec<B>> {
    if items.len() > limits::LIST {
        return Err(wrong(format!("has more than {} members", limits::LIST))).at(field);
    }
    items.into_iter().enumerate().map(|(i, item)| read(item).at(&format!("[{i}]")).at(field)).collect()
}

pub(super) fn texts(items: Vec<String>, field: &str) -> Result<Vec<Arc<str>>> {
    list(items, field, text)
}
