//! Words that were said lately. Most of what objects say (namespaces, kinds, groups, names that several of them bear) is said again soon, and lies
//! in memory once if whoever says it asks here. Nothing but memory depends on it; it never knows what a word means.

use crate::limits;
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    /// By hash; of two words with one place only the later is known.
    static WORDS: RefCell<Vec<Option<Arc<str>>>> = const { RefCell::new(Vec::new()) };
}

/// `text`, in the memory in which this thread was given it lately, if it was.
pub fn shared(text: &str) -> Arc<str> {
    if text.len() > limits::LATELY_BYTES {
        return text.into();
    }
    // A thread that ends has no words any more.
    WORDS.try_with(|words| of(&mut words.borrow_mut(), text)).unwrap_or_else(|_| text.into())
}

fn of(words: &mut Vec<Option<Arc<str>>>, text: &str) -> Arc<str> {
    words.resize(limits::LATELY, None);
    // FNV-1a, whose low bits are the mixed ones: words are short, and a clash costs a copy.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let place = &mut words[hash as usize % limits::LATELY];
    match place {
        Some(known) if **known == *text => known.clone(),
        _ => place.insert(text.into()).clone(),
    }
}

#[cfg(test)]
mod tests;
