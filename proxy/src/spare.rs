//! Memory that is used again: what a request needs only while it is carried is taken from here and given back, so that the next one allocates
//! nothing. It never knows what the things are; who gives one back has emptied it.

use std::cell::RefCell;

/// Up to `MOST` of them.
#[derive(Debug)]
pub struct Spare<T, const MOST: usize>(RefCell<Vec<T>>);

impl<T, const MOST: usize> Default for Spare<T, MOST> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T: Default, const MOST: usize> Spare<T, MOST> {
    pub fn take(&self) -> T {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    pub fn give(&self, one: T) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < MOST {
            kept.push(one);
        }
    }
}

/// Empty texts for a record.
pub type Words = Spare<[String; 3], { crate::limits::KEPT_WORDS }>;

impl Words {
    /// Empties them; those that became large are let go.
    pub fn give_emptied(&self, mut words: [String; 3]) {
        if words.iter().all(|word| word.capacity() <= crate::limits::KEPT_WORD_BYTES) {
            words.iter_mut().for_each(String::clear);
            self.give(words);
        }
    }
}

#[cfg(test)]
mod tests;
