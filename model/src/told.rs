//! What was told and nobody has asked for yet: it lies as its bytes, which take a fifth of what they say, until somebody asks. Its bytes were read once before
//! it came here, so that what cannot be read is refused when it is told, not when it is called. It never knows how bytes are read.

use crate::{Endpoints, Key, Resource, Route};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Reads what it is told again; `None` where these are not its bytes.
pub type Reader<T> = fn(&[u8]) -> Option<Arc<T>>;

/// A resource that is read when it is first asked for.
pub struct Told<T> {
    key: Key,
    value: OnceLock<Arc<T>>,
    /// None any more once it was read.
    bytes: Mutex<Arc<[u8]>>,
    reader: Reader<T>,
}

impl<T> Told<T> {
    /// `bytes` are read by `reader`, and were before.
    pub fn asleep(key: Key, bytes: Arc<[u8]>, reader: Reader<T>) -> Self {
        Self { key, value: OnceLock::new(), bytes: Mutex::new(bytes), reader }
    }

    pub fn awake(key: Key, value: Arc<T>) -> Self {
        Self { key, value: value.into(), bytes: Mutex::default(), reader: |_| None }
    }

    pub fn key(&self) -> &Key {
        &self.key
    }

    pub fn is_awake(&self) -> bool {
        self.value.get().is_some()
    }

    /// What it says, read now if nobody asked before, and kept so. `None` would be bytes that could be read once and cannot be any more.
    #[inline]
    pub fn get(&self) -> Option<&Arc<T>> {
        self.value.get().or_else(|| self.wake())
    }

    #[cold]
    fn wake(&self) -> Option<&Arc<T>> {
        let read = self.read()?;
        // Of two who ask at once both read, and the first one's is kept: nobody waits for another's reading.
        _ = self.value.set(read);
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
        self.value.get()
    }

    /// The same, and it sleeps on: for who looks at all there is.
    pub fn read(&self) -> Option<Arc<T>> {
        if let Some(value) = self.value.get() {
            return Some(value.clone());
        }
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Whoever took the bytes away put the value there before.
        self.value.get().cloned().or_else(|| (self.reader)(&bytes))
    }
}

impl<T: PartialEq> PartialEq for Told<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.read() == other.read()
    }
}

impl<T> fmt::Debug for Told<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").field("key", &self.key).field("awake", &self.is_awake()).finish_non_exhaustive()
    }
}

/// What may sleep: there is as much of it as there are services, and a proxy calls few of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Asleep {
    Endpoints(Arc<Told<Endpoints>>),
    Route(Arc<Told<Route>>),
}

impl Asleep {
    pub fn key(&self) -> &Key {
        match self {
            Self::Endpoints(told) => told.key(),
            Self::Route(told) => told.key(),
        }
    }

    /// What it says; it sleeps on.
    pub fn read(&self) -> Option<Resource> {
        match self {
            Self::Endpoints(told) => told.read().map(Resource::Endpoints),
            Self::Route(told) => told.read().map(Resource::Route),
        }
    }
}

#[cfg(test)]
mod tests;
