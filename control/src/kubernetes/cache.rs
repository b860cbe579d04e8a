//! What the API server said last, kind by kind: pure, fed by watches, read by the core (objects) and by the writer of statuses (what is there, and of
//! which version). A list under way is kept aside until it is whole, so that a watch that begins anew takes nothing away that is still there.

use crate::limits;
use frontends::Object;
use model::ObjectRef;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Instant;

/// Group (empty: core) and kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindName {
    pub group: String,
    pub kind: String,
}

/// One object, and what is said of it besides.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub object: Object,
    /// As the API server has it, as text: it is seldom read, and as a value it takes five times as much. Empty where there is none.
    pub status: Box<str>,
    pub uid: String,
    pub version: String,
    /// It is being deleted.
    pub ending: bool,
    /// It is a class that stays while a Gateway uses it.
    pub held: bool,
}

impl Kept {
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.status).unwrap_or(Value::Null)
    }

    /// What says what it said before is the same value: worlds hold the one of before, and of thousands that a status was written of there would be two.
    fn share(&mut self, before: Option<&Self>) -> bool {
        let same = before.filter(|before| before.object == self.object);
        if let Some(before) = same {
            self.object.clone_from(&before.object);
        }
        same.is_some()
    }
}

#[derive(Debug, Default)]
struct Kind {
    objects: BTreeMap<ObjectRef, Kept>,
    /// A list that is not whole yet.
    listed: Option<BTreeMap<ObjectRef, Kept>>,
    synced: bool,
    /// Why nothing new comes, as it was last said.
    trouble: Option<(String, Instant)>,
}

/// What came from a watch.
#[derive(Debug)]
pub enum News {
    /// A new list begins.
    Begin,
    Listed(Box<Kept>),
    /// The list is whole.
    Whole,
    Is(Box<Kept>),
    Gone(ObjectRef),
    Trouble(String, Instant),
}

/// Who has to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    Nothing,
    /// Statuses, versions or troubles alone.
    Beside,
    Objects,
}

#[derive(Debug, Default)]
pub struct Cache {
    kinds: BTreeMap<KindName, Kind>,
}

impl Cache {
    /// Which kinds the API server has. Those that it has no more hold nothing.
    pub fn serve(&mut self, kinds: &[KindName]) -> Changed {
        let lost = self.kinds.iter().any(|(name, kind)| !kinds.contains(name) && !kind.objects.is_empty());
        let same = kinds.len() == self.kinds.len() && kinds.iter().all(|kind| self.kinds.contains_key(kind));
        self.kinds.retain(|name, _| kinds.contains(name));
        for kind in kinds {
            self.kinds.entry(kind.clone()).or_default();
        }
        match (lost, same) {
            (true, _) => Changed::Objects,
            (false, true) => Changed::Nothing,
            (false, false) => Changed::Beside,
        }
    }

    pub fn hear(&mut self, name: &KindName, news: News) -> Changed {
        // A watch that was ended may have had one more thing to say.
        let Some(kind) = self.kinds.get_mut(name) else { return Changed::Nothing };
        if let News::Trouble(why, now) = news {
            let is_news = kind.trouble.as_ref().is_none_or(|(before, _)| *before != why);
            kind.trouble = Some((why, now));
            return if is_news { Changed::Beside } else { Changed::Nothing };
        }
        let recovered = kind.trouble.take().is_some();
        let changed = match news {
            News::Begin => {
                kind.listed = Some(BTreeMap::new());
                Changed::Nothing
            }
            News::Listed(kept) => {
                kind.listed.get_or_insert_default().insert(kept.object.object.clone(), *kept);
                Changed::Nothing
            }
            News::Whole => {
                let mut listed = kind.listed.take().unwrap_or_default();
                let shared = listed.iter_mut().filter_map(|(name, kept)| kept.share(kind.objects.get(name)).then_some(())).count();
                let same = shared == listed.len() && shared == kind.objects.len();
                kind.objects = listed;
                let first = !std::mem::replace(&mut kind.synced, true);
                if same && !first { Changed::Beside } else { Changed::Objects }
            }
            News::Is(mut kept) => {
                let name = kept.object.object.clone();
                let same = kept.share(kind.objects.get(&name));
                kind.objects.insert(name, *kept);
                if same { Changed::Beside } else { Changed::Objects }
            }
            News::Gone(name) => {
                if kind.objects.remove(&name).is_some() {
                    Changed::Objects
                } else {
                    Changed::Nothing
                }
            }
            News::Trouble(..) => Changed::Beside,
        };
        if recovered && changed == Changed::Nothing { Changed::Beside } else { changed }
    }

    /// A watch that goes on where it was says so by nothing but silence: trouble that is not repeated is over.
    pub fn forgive(&mut self, now: Instant) -> Changed {
        let is_over = |kind: &&mut Kind| kind.trouble.as_ref().is_some_and(|(_, at)| now.duration_since(*at) > limits::TROUBLE);
        let mended = self.kinds.values_mut().filter(is_over).map(|kind| kind.trouble = None).count();
        if mended > 0 { Changed::Beside } else { Changed::Nothing }
    }

    /// Every kind that is served was listed whole once.
    pub fn is_synced(&self) -> bool {
        !self.kinds.is_empty() && self.kinds.values().all(|kind| kind.synced)
    }

    pub fn objects(&self) -> Vec<Object> {
        self.kinds.values().flat_map(|kind| kind.objects.values().map(|kept| kept.object.clone())).collect()
    }

    pub fn get(&self, object: &ObjectRef) -> Option<&Kept> {
        let name = KindName { group: object.group.to_string(), kind: object.kind.to_string() };
        self.kinds.get(&name)?.objects.get(object)
    }

    /// All of a kind, where they were listed whole once.
    pub fn whole(&self, group: &str, kind: &str) -> Option<impl Iterator<Item = &Kept>> {
        let name = KindName { group: group.to_owned(), kind: kind.to_owned() };
        self.kinds.get(&name).filter(|kind| kind.synced).map(|kind| kind.objects.values())
    }

    pub fn troubles(&self) -> impl Iterator<Item = (&KindName, &str)> {
        self.kinds.iter().filter_map(|(name, kind)| Some((name, kind.trouble.as_ref()?.0.as_str())))
    }
}

#[cfg(test)]
mod tests;
