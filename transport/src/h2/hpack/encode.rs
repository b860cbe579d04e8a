//! From fields to header blocks. What comes a second time goes into the table and is a byte or two from then on; what is said once, such as the
//! identifier of a request, passes through and pushes nothing out. Texts go unpacked: Huffman's code would save a quarter of those few that are new, and
//! cost both ends more than all the rest.

use super::table::{STATIC, Table, static_name};

/// Fields that were seen, by a hash of name and value. Two places for each: 64 of them hold what a connection repeats.
const SEEN: usize = 128;

/// May be secrets, and connections carry those of many: an index would tell one caller whether it guessed another's (RFC 7541, section 7.1).
fn is_secret(name: &[u8]) -> bool {
    match name.len() {
        6 => name == b"cookie",
        10 => name == b"set-cookie",
        13 => name == b"authorization",
        19 => name == b"proxy-authorization",
        _ => false,
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    hash: u32,
    /// Which entry it became, counted from 1; 0 for none.
    entry: u64,
}

/// One direction of a connection.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    /// Empty until the first field.
    seen: Vec<Seen>,
    /// To be said at the start of the next block: the least size that the table had since the last one.
    resized: Option<usize>,
    most: usize,
}

impl Encoder {
    /// `most`: what the table holds at most, where the other end allows it.
    pub fn new(most: usize) -> Self {
        Self { table: Table::new(most), seen: Vec::new(), resized: None, most }
    }

    /// The other end's SETTINGS_HEADER_TABLE_SIZE.
    pub fn allow(&mut self, size: usize) {
        let size = size.min(self.most);
        if size != self.table.most() {
            self.resized = Some(self.resized.map_or(size, |least| least.min(size)));
            self.table.resize(size);
        }
    }

    /// Stands before the first field of each block.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(least) = self.resized.take() {
            integer(out, 0x20, 5, least);
            if least != self.table.most() {
                integer(out, 0x20, 5, self.table.most());
            }
        }
    }

    /// A field of the static table, whole.
    pub fn indexed(&mut self, index: u8, out: &mut Vec<u8>) {
        out.push(0x80 | index);
    }

    /// `name` in lower case.
    pub fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        if is_secret(name) {
            return literal(out, 0x10, 4, name, value);
        }
        let hash = hash(name, value);
        if self.seen.is_empty() {
            self.seen.resize(SEEN, Seen::default());
        }
        let places = [hash as usize % SEEN, (hash >> 16) as usize % SEEN];
        match places.into_iter().find(|place| self.seen[*place].hash == hash) {
            Some(place) => {
                if let Some(age) = self.age(self.seen[place])
                    && self.table.get(age) == Some((name, value))
                {
                    return integer(out, 0x80, 7, STATIC.len() + 1 + age);
                }
                let before = self.table.inserted();
                let mut room = self.table.room();
                room.extend_from_slice(name);
                room.extend_from_slice(value);
                self.table.insert(name.len(), room);
                literal(out, 0x40, 6, name, value);
                // What is larger than the table did not become an entry.
                let entry = if self.table.inserted() > before { self.table.inserted() } else { 0 };
                self.seen[place] = Seen { hash, entry };
            }
            None => {
                if let Some(place) = places.into_iter().find(|place| !self.is_there(self.seen[*place])) {
                    self.seen[place] = Seen { hash, entry: 0 };
                }
                literal(out, 0, 4, name, value);
            }
        }
    }

    /// Where an entry is in the table; beyond its end where it has left.
    fn age(&self, seen: Seen) -> Option<usize> {
        usize::try_from(self.table.inserted() - seen.entry).ok().filter(|_| seen.entry > 0)
    }

    fn is_there(&self, seen: Seen) -> bool {
        self.age(seen).is_some_and(|age| self.table.get(age).is_some())
    }
}

fn literal(out: &mut Vec<u8>, kind: u8, prefix: u32, name: &[u8], value: &[u8]) {
    match static_name(name) {
        Some(index) => integer(out, kind, prefix, index),
        None => {
            out.push(kind);
            string(out, name);
        }
    }
    string(out, value);
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    integer(out, 0, 7, text.len());
    out.extend_from_slice(text);
}

fn integer(out: &mut Vec<u8>, kind: u8, prefix: u32, value: usize) {
    let mask = (1usize << prefix) - 1;
    if value < mask {
        return out.push(kind | value as u8);
    }
    out.push(kind | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Never 0, which is what an empty place has. Whoever makes two fields collide costs himself a few bytes.
fn hash(name: &[u8], value: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let mut hash = (name.len() << 32 | value.len()) as u64;
    for text in [name, value] {
        let (words, rest) = text.as_chunks::<8>();
        hash = words.iter().fold(hash, |hash, word| mix(hash, u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            hash = mix(hash, last(text, rest));
        }
    }
    (hash >> 32) as u32 | 1
}

/// What is left of a text behind its words, as a word: with bytes before it where there are some, for how long the text is is hashed too.
fn last(text: &[u8], rest: &[u8]) -> u64 {
    if let Some(word) = text.last_chunk::<8>() {
        return u64::from_le_bytes(*word);
    }
    match (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        (Some(first), Some(last)) => u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)),
        _ => rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}
