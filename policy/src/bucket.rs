//! Rules that some callers have in common, found by what a rule needs of the request: its path, else its port.

use crate::attributes::{Attributes, Moment};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::access::{AccessMatch, AccessPath, Clause};
use std::sync::Arc;

/// Keys come from configuration; strangers only look them up.
pub type Map<K, V> = HashMap<K, V, FixedState>;

/// A rule's number among those of its set, by which it also ranks.
pub type Number = u32;

/// How a rule is found in a bucket: by the clause at this place, all of whose groups say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Path(usize),
    Port(usize),
    Nothing,
}

#[derive(Debug, Default)]
pub struct Bucket {
    exact: Map<Arc<str>, Vec<Number>>,
    prefixes: Map<Arc<str>, Vec<Number>>,
    /// Lengths that the prefixes have, ascending.
    lengths: Vec<usize>,
    /// All that are found by path, for connections that have none yet.
    by_path: Vec<Number>,
    ports: Map<u16, Vec<Number>>,
    rest: Vec<Number>,
}

/// What a clause says where each of its groups says it by one term of such matches alone.
pub fn alone(clause: &Clause, is: impl Fn(&AccessMatch) -> bool) -> bool {
    let group = |group: &model::access::Group| matches!(&group.0[..], [term] if !term.negated && term.any.iter().all(&is));
    !clause.0.is_empty() && clause.0.iter().all(group)
}

fn is_path(one: &AccessMatch) -> bool {
    matches!(one, AccessMatch::Path(AccessPath::Exact(_) | AccessPath::Segments(_)))
}

/// The best way to find a rule with these clauses.
pub fn by(clauses: &[Clause]) -> By {
    let place = |is: fn(&AccessMatch) -> bool| clauses.iter().position(|clause| alone(clause, is));
    let by_path = place(is_path).map(By::Path);
    by_path.or_else(|| place(|one| matches!(one, AccessMatch::Port(_))).map(By::Port)).unwrap_or(By::Nothing)
}

impl Bucket {
    /// Rules must come in the order of their numbers.
    pub fn add(&mut self, number: Number, clauses: &[Clause], by: By) {
        let matches = |at: usize| clauses[at].0.iter().flat_map(|group| &group.0).flat_map(|term| &term.any);
        match by {
            By::Nothing => push(&mut self.rest, number),
            By::Port(at) => {
                for one in matches(at) {
                    if let AccessMatch::Port(port) = one {
                        push(self.ports.entry(*port).or_default(), number);
                    }
                }
            }
            By::Path(at) => {
                push(&mut self.by_path, number);
                for one in matches(at) {
                    match one {
                        AccessMatch::Path(AccessPath::Exact(path)) => push(self.exact.entry(path.clone()).or_default(), number),
                        AccessMatch::Path(AccessPath::Segments(path)) => {
                            // `/` is the beginning of every path, and is kept as what stands before its slash.
                            let path: Arc<str> = if **path == *"/" { "".into() } else { path.clone() };
                            if let Err(at) = self.lengths.binary_search(&path.len()) {
                                self.lengths.insert(at, path.len());
                            }
                            push(self.prefixes.entry(path).or_default(), number);
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// Every rule that may hold, list by list, each in ascending order. The flag says whether the clause that it is found by holds.
    pub fn candidates(&self, of: &Attributes<'_>, mut each: impl FnMut(&[Number], bool)) {
        each(&self.rest, false);
        if !self.ports.is_empty() {
            for port in of.ports {
                self.ports.get(port).into_iter().for_each(|list| each(list, true));
            }
        }
        let Moment::Request(request) = &of.moment else { return each(&self.by_path, false) };
        let path = request.path;
        if !self.exact.is_empty() {
            self.exact.get(path).into_iter().for_each(|list| each(list, true));
        }
        for length in self.lengths.iter().take_while(|length| **length <= path.len()) {
            let whole = *length == 0 || matches!(path.as_bytes().get(*length), None | Some(b'/'));
            // A prefix ends where a character does, for it is one of the path's own.
            if let Some(begin) = path.get(..*length).filter(|_| whole) {
                self.prefixes.get(begin).into_iter().for_each(|list| each(list, true));
            }
        }
    }
}

fn push(list: &mut Vec<Number>, number: Number) {
    if list.last() != Some(&number) {
        list.push(number);
    }
}
