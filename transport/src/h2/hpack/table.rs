//! The static table (RFC 7541, appendix A), and a dynamic one as either end holds it (section 2.3.2).

use std::collections::VecDeque;

/// Counted for each entry beside its bytes (RFC 7541, section 4.1).
const OVERHEAD: usize = 32;

/// The first has index 1.
pub const STATIC: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

const BUCKETS: usize = 256;

/// Where a name of the static table may be: by [`bucket`], with the next ones tried where it is another.
static NAMES: [u8; BUCKETS] = names();

const fn bucket(name: &[u8]) -> usize {
    if name.is_empty() {
        return 0;
    }
    let (first, middle, last) = (name[0] as usize, name[name.len() / 2] as usize, name[name.len() - 1] as usize);
    (name.len() * 31 + first * 7 + middle * 3 + last * 17) % BUCKETS
}

const fn names() -> [u8; BUCKETS] {
    let mut names = [0; BUCKETS];
    let mut at = STATIC.len();
    // From the end, so that of equal names the first remains.
    while at > 0 {
        let name = STATIC[at - 1].0;
        let mut place = bucket(name);
        while names[place] != 0 && !equal(STATIC[names[place] as usize - 1].0, name) {
            place = (place + 1) % BUCKETS;
        }
        names[place] = at as u8;
        at -= 1;
    }
    names
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The first index of that name in the static table.
pub fn static_name(name: &[u8]) -> Option<usize> {
    let mut place = bucket(name);
    loop {
        match usize::from(NAMES[place]) {
            0 => return None,
            index if STATIC[index - 1].0 == name => return Some(index),
            _ => place = (place + 1) % BUCKETS,
        }
    }
}

#[derive(Debug)]
struct Entry {
    /// Length of the name, behind which the value stands.
    name: usize,
    bytes: Vec<u8>,
}

/// Entries, the newest first.
#[derive(Debug)]
pub struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    most: usize,
    /// Ever put in.
    inserted: u64,
    /// Memory of one that was let go.
    spare: Vec<u8>,
}

impl Table {
    pub fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), size: 0, most, inserted: 0, spare: Vec::new() }
    }

    /// The newest is 0.
    pub fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        self.entries.get(index).map(|entry| entry.bytes.split_at(entry.name))
    }

    pub fn inserted(&self) -> u64 {
        self.inserted
    }

    pub fn most(&self) -> usize {
        self.most
    }

    /// Empty memory for [`Table::insert`].
    pub fn room(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.spare)
    }

    /// Puts in a name of that length with its value behind it. What is larger than the table empties it (RFC 7541, section 4.4).
    pub fn insert(&mut self, name: usize, bytes: Vec<u8>) {
        let size = bytes.len() + OVERHEAD;
        self.shrink_to(self.most.saturating_sub(size));
        if size > self.most {
            return;
        }
        self.size += size;
        self.inserted += 1;
        self.entries.push_front(Entry { name, bytes });
    }

    pub fn resize(&mut self, most: usize) {
        self.most = most;
        self.shrink_to(most);
    }

    fn shrink_to(&mut self, size: usize) {
        while self.size > size
            && let Some(mut entry) = self.entries.pop_back()
        {
            self.size -= entry.bytes.len() + OVERHEAD;
            entry.bytes.clear();
            self.spare = entry.bytes;
        }
    }
}
