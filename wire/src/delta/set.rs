//! All that a proxy should hold, as one value: proxies that should hold the same share it, and how it differs from the one before is worked out once for
//! all of them. It never knows which proxy it is for.

use super::Encoded;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::{Arc, Weak};

#[derive(Debug, Default)]
pub struct Set {
    /// In the order of their names.
    items: Vec<Arc<Encoded>>,
    after: Option<After>,
}

/// What is different from the set before.
#[derive(Debug)]
struct After {
    /// Only to be told apart from others: its memory is nobody else's while this is here.
    before: Weak<Set>,
    difference: Difference,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    pub changed: Vec<Arc<Encoded>>,
    pub gone: Vec<Arc<str>>,
}

/// Of two of one name the last counts.
impl FromIterator<Arc<Encoded>> for Set {
    fn from_iter<I: IntoIterator<Item = Arc<Encoded>>>(items: I) -> Self {
        let mut items: Vec<Arc<Encoded>> = items.into_iter().collect();
        // Stable, and backwards, so that the last of one name comes first and is kept.
        items.reverse();
        items.sort_by(|a, b| a.name.cmp(&b.name));
        items.dedup_by(|later, kept| later.name == kept.name);
        Self { items, after: None }
    }
}

impl Set {
    /// What there is now where there was `before`: that itself, if nothing is different.
    #[must_use]
    pub fn succeeding(self, before: &Arc<Self>) -> Arc<Self> {
        let difference = self.compared(before);
        if difference == Difference::default() {
            return before.clone();
        }
        Arc::new(Self { after: Some(After { before: Arc::downgrade(before), difference }), ..self })
    }

    /// What who has `base` must be told.
    pub fn since(&self, base: &Arc<Self>) -> Cow<'_, Difference> {
        match &self.after {
            _ if std::ptr::eq(self, &**base) => Cow::Owned(Difference::default()),
            Some(after) if after.before.as_ptr() == Arc::as_ptr(base) => Cow::Borrowed(&after.difference),
            _ => Cow::Owned(self.compared(base)),
        }
    }

    fn compared(&self, base: &Self) -> Difference {
        let mut difference = Difference::default();
        let (mut old, mut new) = (base.items.iter().peekable(), self.items.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return difference,
                (Some(a), Some(b)) => a.name.cmp(&b.name),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
            };
            match order {
                Ordering::Less => difference.gone.extend(old.next().map(|item| item.name.clone())),
                Ordering::Greater => difference.changed.extend(new.next().cloned()),
                Ordering::Equal => {
                    let (was, is) = (old.next(), new.next());
                    difference.changed.extend(is.filter(|is| was.is_none_or(|was| was.version != is.version)).cloned());
                }
            }
        }
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Encoded>> {
        let at = self.items.binary_search_by(|item| (*item.name).cmp(name)).ok()?;
        self.items.get(at)
    }

    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.items.iter().map(|item| &item.name)
    }

    pub fn items(&self) -> &[Arc<Encoded>] {
        &self.items
    }
}

#[cfg(test)]
mod tests;
