//! From a path to the matches that have it, by hashing. Few of them are told apart by a tag of each, which lie beside each other where the table itself
//! lies; many by a table of their own. It never knows whether a match holds.

use crate::compiled::{CompiledMatch, NOWHERE};
use crate::cow::hash_of;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Matches of a host that tags are enough for.
const FEW: usize = 16;

/// What a path of a match is; the two never stand for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PathKind {
    Exact = 1,
    Prefix = 2,
}

/// From a path to the first place in [`HostTable::matches`](crate::hosts::HostTable::matches) that has it; the others follow from there, ascending, hence by rank.
#[derive(Default)]
pub(crate) struct Paths {
    /// Of each place, its kind and six bits of its path's hash; 0 where it has no path, and where there are many.
    tags: [u8; FEW],
    many: Option<Box<Many>>,
}

#[derive(Default)]
struct Many {
    exact: HashTable<u32>,
    prefixes: HashTable<u32>,
}

impl Many {
    fn of(&mut self, kind: PathKind) -> &mut HashTable<u32> {
        match kind {
            PathKind::Exact => &mut self.exact,
            PathKind::Prefix => &mut self.prefixes,
        }
    }
}

impl Paths {
    /// For so many matches, which are put in one by one, the last first.
    pub fn for_matches(count: usize) -> Self {
        Self { tags: [0; FEW], many: (count > FEW).then(Box::default) }
    }

    pub fn has_exact(&self) -> bool {
        match &self.many {
            None => self.tags.iter().fold(false, |any, tag| any | (tag & 3 == PathKind::Exact as u8)),
            Some(many) => !many.exact.is_empty(),
        }
    }

    /// The first place with this path, [`NOWHERE`] if there is none.
    pub fn find(&self, kind: PathKind, matches: &[CompiledMatch], path: &[u8]) -> u32 {
        let hash = hash_of(path);
        let is = |place: u32| matches.get(place as usize).is_some_and(|found| *found.path == *path);
        if let Some(many) = &self.many {
            let table = if kind == PathKind::Exact { &many.exact } else { &many.prefixes };
            return table.find(hash, |place| is(*place)).copied().unwrap_or(NOWHERE);
        }
        let wanted = tag(kind, hash);
        // All of them at once, then those that are left one by one.
        let mut alike = self.tags.iter().zip(0u32..).fold(0u32, |alike, (tag, place)| alike | u32::from(*tag == wanted) << place);
        while alike != 0 {
            let place = alike.trailing_zeros();
            if is(place) {
                return place;
            }
            alike &= alike - 1;
        }
        NOWHERE
    }

    /// Puts `place` before all others with its path.
    pub fn put_first(&mut self, kind: PathKind, matches: &mut [CompiledMatch], place: u32) {
        let path = |place: u32| &matches[place as usize].path[..];
        let Some(many) = &mut self.many else {
            let (hash, next) = (hash_of(path(place)), self.find(kind, matches, path(place)));
            matches[place as usize].next = next;
            self.tags[place as usize] = tag(kind, hash);
            return;
        };
        let hash = |place: &u32| hash_of(path(*place));
        match many.of(kind).entry(hash(&place), |other| path(*other) == path(place), hash) {
            Entry::Occupied(mut first) => matches[place as usize].next = std::mem::replace(first.get_mut(), place),
            Entry::Vacant(vacant) => drop(vacant.insert(place)),
        }
    }
}

fn tag(kind: PathKind, hash: u64) -> u8 {
    (((hash >> 58) as u8) << 2) | kind as u8
}
