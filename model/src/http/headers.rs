//! Fields of a head, of requests, answers and trailers alike.

use super::{is_token_byte, is_value_byte};
use std::fmt;
use std::ops::Range;

#[derive(Debug, Clone, Copy)]
struct Field {
    name: (u32, u32),
    value: (u32, u32),
    live: bool,
    /// Where [`mark`] puts its name.
    mark: u8,
}

/// Header fields in order, in one buffer. Removing marks, adding appends: what nobody touched is copied through as it came.
#[derive(Clone, Default)]
pub struct HeaderBlock {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    /// Marks of the names that were ever put in, a bit for each: most questions are about fields that are not there, and are answered here.
    names: u64,
    /// How many fields there were at [`HeaderBlock::keep`]; 0 where nothing is kept.
    kept: usize,
    /// Those of them that were edited since, each as it was before: bytes are only ever added, and so what a field was is still there.
    edited: Vec<(u32, Field)>,
}

/// One of 64, by length and first letter, case ignored. Worked out by the compiler where the name stands in the code: that is why those who ask are to
/// be taken into their callers' code.
#[inline(always)]
fn mark(name: &[u8]) -> u8 {
    let first = match name {
        [first, ..] => first | 0x20,
        [] => 0,
    };
    (name.len() as u8).wrapping_mul(7).wrapping_add(first) % 64
}

/// Whether two names differ by case at most: [`slice::eq_ignore_ascii_case`], eight bytes at a time. Beginning and end are taken as they lie and overlap, so
/// that nobody counts what is left.
#[inline(never)]
fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (Some(ends), Some(others)) = (ends(a), ends(b)) else { return same_eight(few(a), few(b)) };
    if !(same_eight(ends.0, others.0) && same_eight(ends.1, others.1)) {
        return false;
    }
    let between = |text| <[u8]>::as_chunks::<8>(text).0.iter().skip(1).map(|eight| u64::from_ne_bytes(*eight));
    a.len() <= 16 || between(a).zip(between(b)).all(|(a, b)| same_eight(a, b))
}

/// The first and the last eight bytes.
#[inline]
fn ends(text: &[u8]) -> Option<(u64, u64)> {
    Some((u64::from_ne_bytes(*text.first_chunk()?), u64::from_ne_bytes(*text.last_chunk()?)))
}

/// Fewer than eight bytes as a number.
#[inline]
fn few(text: &[u8]) -> u64 {
    match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) => u64::from(u32::from_ne_bytes(*first)) << 32 | u64::from(u32::from_ne_bytes(*last)),
        // Up to three: the first, the one in the middle and the last.
        _ => text
            .first()
            .zip(text.last())
            .map_or(0, |(first, last)| u64::from(*first) << 16 | u64::from(text[text.len() / 2]) << 8 | u64::from(*last)),
    }
}

#[inline]
fn same_eight(a: u64, b: u64) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const CASE: u64 = 0x20 * EACH;
    const HIGH: u64 = 0x80 * EACH;
    let differ = a ^ b;
    if differ & !CASE != 0 || differ == 0 {
        return differ == 0;
    }
    // Where only that bit differs, letters alone are the same. No sum reaches the next byte, for the highest bit is taken out first.
    let low = (a | CASE) & !HIGH;
    let from_a = low.wrapping_add((0x80 - u64::from(b'a')) * EACH);
    let beyond_z = low.wrapping_add((0x80 - u64::from(b'z') - 1) * EACH);
    let letters = from_a & !beyond_z & !a & HIGH;
    differ & !(letters >> 2) == 0
}

impl HeaderBlock {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.names = 0;
        self.keep();
    }

    /// From here on the fields can be had as they are now ([`RequestHead::keep`](super::RequestHead::keep)).
    pub(super) fn keep(&mut self) {
        self.kept = self.fields.len();
        self.edited.clear();
    }

    /// The fields as they were when they were kept.
    pub(super) fn as_kept(&self) -> Self {
        let mut fields = self.fields[..self.kept].to_vec();
        for (at, before) in self.edited.iter().rev() {
            fields[*at as usize] = *before;
        }
        Self { bytes: self.bytes.clone(), fields, names: self.names, ..Self::default() }
    }

    /// A field that is about to be edited.
    fn edit(&mut self, at: usize) -> &mut Field {
        let field = &mut self.fields[at];
        if at < self.kept {
            self.edited.push((at as u32, *field));
        }
        field
    }

    /// Gives back memory that an unusually large message took. Called when a connection goes idle.
    pub fn shrink(&mut self, bytes: usize) {
        self.bytes.shrink_to(bytes);
        self.fields.shrink_to(bytes / 32);
        self.edited.shrink_to(bytes / 32);
    }

    /// Adds a field. The engine has checked name and value; [`is_token_byte`] and [`is_value_byte`] say how.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        self.push_bytes(name.as_bytes(), value);
    }

    /// As [`HeaderBlock::push`].
    pub fn push_bytes(&mut self, name: &[u8], value: &[u8]) {
        debug_assert!(name.iter().all(|b| is_token_byte(*b)) && value.iter().all(|b| is_value_byte(*b)));
        self.add(name, value);
    }

    /// Takes over a head as it was read: `raw` is copied once, and `fields` are places in it (name, value).
    pub fn fill(&mut self, raw: &[u8], fields: impl Iterator<Item = (Range<usize>, Range<usize>)>) {
        self.clear();
        self.bytes.extend_from_slice(raw);
        let place = |r: Range<usize>| (r.start as u32, r.end as u32);
        let names = &mut self.names;
        self.fields.extend(fields.map(|(name, value)| {
            let mark = mark(&raw[name.clone()]);
            *names |= 1 << mark;
            Field { name: place(name), value: place(value), live: true, mark }
        }));
    }

    /// As HTTP/1 has it, so that what was added one after another is written as one piece.
    fn add(&mut self, name: &[u8], value: &[u8]) {
        let mark = mark(name);
        self.names |= 1 << mark;
        let name = self.store(name);
        self.bytes.extend_from_slice(b": ");
        let value = self.store(value);
        self.bytes.extend_from_slice(b"\r\n");
        self.fields.push(Field { name, value, live: true, mark });
    }

    /// Puts a text behind all others, and says where.
    pub(super) fn store(&mut self, text: &[u8]) -> (u32, u32) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        (start, self.bytes.len() as u32)
    }

    /// What [`HeaderBlock::store`] put there since it was all cleared.
    pub(super) fn stored(&self, (from, to): (u32, u32)) -> &str {
        self.bytes.get(from as usize..to as usize).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }

    #[inline]
    fn at(&self, place: (u32, u32)) -> &[u8] {
        &self.bytes[place.0 as usize..place.1 as usize]
    }

    /// Fields in order: name as it came, value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        // Names were checked to be tokens, hence ASCII.
        self.iter_bytes().map(|(name, value)| (std::str::from_utf8(name).unwrap_or(""), value))
    }

    /// As [`HeaderBlock::iter`], for whoever copies names and does not read them.
    #[inline]
    pub fn iter_bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().filter(|f| f.live).map(|f| (self.at(f.name), self.at(f.value)))
    }

    pub fn len(&self) -> usize {
        self.fields.iter().filter(|f| f.live).count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first field of that name, case ignored.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let mark = self.marked(name)?;
        self.find(mark, name)
    }

    fn find(&self, mark: u8, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|f| self.is(f, mark, name)).map(|f| self.at(f.value))
    }

    /// The first field as text; `None` too where it is not UTF-8.
    #[inline]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    #[inline]
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let mark = self.marked(name);
        let fields = if mark.is_some() { &self.fields[..] } else { &[] };
        fields.iter().filter(move |f| mark.is_some_and(|mark| self.is(f, mark, name))).map(|f| self.at(f.value))
    }

    /// The mark of a name, where a field of that mark was ever put in.
    #[inline(always)]
    fn marked(&self, name: &str) -> Option<u8> {
        let mark = mark(name.as_bytes());
        if self.names & 1 << mark != 0 { Some(mark) } else { None }
    }

    /// Most fields are none of whom is asked for, and their mark says so.
    #[inline(always)]
    fn is(&self, field: &Field, mark: u8, name: &str) -> bool {
        field.mark == mark && field.live && same(self.at(field.name), name.as_bytes())
    }

    #[inline]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether a list field (`Connection`, `TE`) holds `token`, case ignored.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.get_all(name).flat_map(|v| v.split(|b| *b == b',')).any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Removes every field of that name; says whether there was one.
    #[inline]
    pub fn remove(&mut self, name: &str) -> bool {
        match self.marked(name) {
            Some(mark) => self.take_out(mark, name),
            None => false,
        }
    }

    fn take_out(&mut self, mark: u8, name: &str) -> bool {
        let mut found = false;
        for i in 0..self.fields.len() {
            if self.is(&self.fields[i], mark, name) {
                self.edit(i).live = false;
                found = true;
            }
        }
        found
    }

    /// Removes every field whose name begins so, case ignored.
    pub fn remove_prefixed(&mut self, prefix: &str) {
        for i in 0..self.fields.len() {
            let (start, end) = self.fields[i].name;
            let begins = self.bytes.get(start as usize..end as usize).and_then(|name| name.get(..prefix.len()));
            if begins.is_some_and(|begins| same(begins, prefix.as_bytes())) {
                self.edit(i).live = false;
            }
        }
    }

    /// Replaces every field of that name by one, in the place of the first.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        let Some(mark) = self.marked(name) else { return self.add(name.as_bytes(), value) };
        let mut done = false;
        for i in 0..self.fields.len() {
            if self.is(&self.fields[i], mark, name) {
                if done {
                    self.edit(i).live = false;
                } else {
                    self.edit(i).value = self.store(value);
                    done = true;
                }
            }
        }
        if !done {
            self.add(name.as_bytes(), value);
        }
    }

    /// Writes the fields as HTTP/1 has them, each ended by CRLF. Runs of fields that lie as they were read (`name: value\r\n` exactly) are
    /// copied as one piece.
    pub fn write_http1(&self, out: &mut Vec<u8>) {
        let mut run: Option<(usize, usize)> = None;
        for f in &self.fields {
            if !f.live {
                continue;
            }
            let (start, end) = (f.name.0 as usize, f.value.1 as usize);
            let canonical = f.value.0 == f.name.1 + 2
                && self.bytes.get(f.name.1 as usize..f.value.0 as usize) == Some(b": ")
                && self.bytes.get(end..end + 2) == Some(b"\r\n");
            if canonical {
                run = match run {
                    Some((from, to)) if to == start => Some((from, end + 2)),
                    other => {
                        flush(&self.bytes, other, out);
                        Some((start, end + 2))
                    }
                };
            } else {
                flush(&self.bytes, run.take(), out);
                out.extend_from_slice(self.at(f.name));
                out.extend_from_slice(b": ");
                out.extend_from_slice(self.at(f.value));
                out.extend_from_slice(b"\r\n");
            }
        }
        flush(&self.bytes, run, out);
    }
}

fn flush(bytes: &[u8], run: Option<(usize, usize)>, out: &mut Vec<u8>) {
    if let Some((from, to)) = run {
        out.extend_from_slice(&bytes[from..to]);
    }
}

impl fmt::Debug for HeaderBlock {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

impl PartialEq for HeaderBlock {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests;
