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

/// What of a resource is of a later release and was read as its strictest.
#[derive(Debug, Default)]
pub(super) struct Later {
    /// It holds fields that this release skipped.
    pub has_fields: bool,
    notes: Vec<String>,
}

impl Later {
    pub fn new(has_fields: bool) -> Self {
        Self { has_fields, notes: Vec::new() }
    }

    pub fn note(&mut self, what: impl Into<String>) {
        let what = what.into();
        if self.notes.len() < limits::NOTES && !self.notes.contains(&what) {
            self.notes.push(what);
        }
    }

    /// A word that is not known is read as the strictest one.
    pub fn word<W: Word + std::fmt::Debug>(&mut self, number: i32, field: &str, strictest: W) -> W {
        W::from_number(number).unwrap_or_else(|| {
            self.note(format!("{field} holds {number}, which this release does not know: read as {strictest:?}"));
            strictest
        })
    }

    /// In words, where there is something to say.
    pub fn told(self) -> Option<String> {
        (!self.notes.is_empty()).then(|| self.notes.join("; "))
    }
}

/// Says where it was.
pub(super) trait Read<T> {
    fn at(self, field: &str) -> Result<T>;
}

impl<T> Read<T> for Result<T> {
    fn at(self, field: &str) -> Self {
        self.map_err(|wrong| wrong.at(field))
    }
}

impl Wrong {
    fn at(self, field: &str) -> Self {
        let joint = if self.field.is_empty() || self.field.starts_with('[') || field.is_empty() { "" } else { "." };
        Self { field: format!("{field}{joint}{}", self.field), why: self.why }
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
    Ok(model::lately::shared(&text))
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
    // As large as what it holds: `collect` would keep the memory of what came, which grew in steps and held what is larger.
    let mut all = Vec::with_capacity(items.len());
    for (i, item) in items.into_iter().enumerate() {
        all.push(read(item).map_err(|wrong| wrong.at(&format!("[{i}]")).at(field))?);
    }
    Ok(all)
}

pub(super) fn texts(items: Vec<String>, field: &str) -> Result<Vec<Arc<str>>> {
    list(items, field, text)
}

/// What every field of this number holds, where they hold bytes. The rest is skipped; what cannot be read ends it, for it was read before.
pub(super) fn pieces(mut bytes: &[u8], number: u32) -> Vec<&[u8]> {
    use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
    let mut all = Vec::new();
    while let Ok((tag, kind)) = decode_key(&mut bytes) {
        if (tag, kind) != (number, WireType::LengthDelimited) {
            if skip_field(kind, tag, &mut bytes, DecodeContext::default()).is_err() {
                break;
            }
            continue;
        }
        let length = decode_varint(&mut bytes).ok().and_then(|length| usize::try_from(length).ok());
        let Some((piece, rest)) = length.and_then(|length| bytes.split_at_checked(length)) else { break };
        all.push(piece);
        bytes = rest;
    }
    all
}
