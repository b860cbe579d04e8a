//! One dials for all who wait for the same, and who waited while it failed hears why: a crowd costs one handshake, and one time-out. Never knows what is
//! dialled.

use crate::map::Map;
use futures_util::lock::{Mutex, MutexGuard};
use model::Fault;
use std::borrow::Cow;
use std::hash::Hash;
use std::rc::Rc;
use std::time::Instant;
use transport::{Error, rt};

/// When a dial failed, and why.
struct Failed {
    at: Instant,
    fault: Fault,
    why: Cow<'static, str>,
}

type Lock = Rc<Mutex<Option<Failed>>>;

/// By what is dialled.
pub(super) struct Turns<K>(Map<K, Lock>);

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Map::default())
    }
}

impl<K: Hash + Eq + Clone> Turns<K> {
    pub fn of(&mut self, key: &K) -> Waiting {
        Waiting { lock: self.0.entry(key.clone()).or_default().clone(), asked: rt::now() }
    }

    /// Forgets what nobody waits for.
    pub fn sweep(&mut self) {
        self.0.retain(|_, lock| Rc::strong_count(lock) > 1);
    }
}

/// Somebody who wants to dial.
pub(super) struct Waiting {
    lock: Lock,
    asked: Instant,
}

impl Waiting {
    /// Waits for the turn.
    ///
    /// # Errors
    /// Why somebody failed meanwhile.
    pub async fn take(&self) -> Result<Turn<'_>, Error> {
        let turn = self.lock.lock().await;
        match &*turn {
            Some(Failed { at, fault, why }) if *at > self.asked => Err(Error::new(*fault, why.clone()).with_nothing_received()),
            _ => Ok(Turn(turn)),
        }
    }
}

pub(super) struct Turn<'w>(MutexGuard<'w, Option<Failed>>);

impl Turn<'_> {
    /// For all who wait.
    pub fn failed(&mut self, error: &Error) {
        *self.0 = Some(Failed { at: rt::now(), fault: error.fault, why: error.why.clone() });
    }
}
