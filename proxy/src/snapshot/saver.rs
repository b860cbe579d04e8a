//! Keeps the snapshot on disk near what is in force, beside the thread that applies: the latest wins, one write is under way at most, and the
//! last one is written before the saver is gone. Knows nothing of control planes, nor what a snapshot means.

use super::file::{self, Stored};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

#[derive(Default)]
struct Slot {
    latest: Option<Stored>,
    writing: bool,
    /// Another process of the same proxy writes: what is put waits here.
    held: bool,
    ended: bool,
}

#[derive(Default)]
struct Desk {
    slot: Mutex<Slot>,
    changed: Condvar,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        // Each change of the slot is whole: a panic elsewhere leaves nothing half done.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, busy: impl FnMut(&mut Slot) -> bool) -> MutexGuard<'_, Slot> {
        self.changed.wait_while(self.lock(), busy).unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Saver {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Saver {
    /// # Errors
    /// If no thread can be had.
    pub fn start(path: PathBuf) -> io::Result<Self> {
        Self::with(move |stored| {
            if let Err(error) = file::write(&path, stored) {
                tracing::error!(%error, "snapshot cannot be written; a restart without the control plane would serve an older one");
            }
        })
    }

    fn with(write: impl FnMut(&Stored) + Send + 'static) -> io::Result<Self> {
        let desk = Arc::new(Desk::default());
        let theirs = desk.clone();
        let thread = std::thread::Builder::new().name("snapshot".into()).spawn(move || work(&theirs, write))?;
        Ok(Self { desk, thread: Some(thread) })
    }

    /// To be written as soon as what is being written is done, unless a later one comes first.
    pub fn put(&self, stored: Stored) {
        self.desk.lock().latest = Some(stored);
        self.desk.changed.notify_all();
    }

    /// Returns when what was put was tried to be written.
    pub fn settle(&self) {
        drop(self.desk.wait_while(|slot| (slot.latest.is_some() && !slot.held) || slot.writing));
    }

    /// From now on another process of the same proxy writes its files; what is put waits. Returns when nothing is being written any more.
    pub fn hold(&self) {
        self.desk.lock().held = true;
        drop(self.desk.wait_while(|slot| slot.writing));
    }

    /// The files are this process's: what waited is written.
    pub fn release(&self) {
        self.desk.lock().held = false;
        self.desk.changed.notify_all();
    }

    /// Whether the proxy's files are another process's to write.
    pub fn is_held(&self) -> bool {
        self.desk.lock().held
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.desk.lock().ended = true;
        self.desk.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has said so.
            _ = thread.join();
        }
    }
}

fn work(desk: &Desk, mut write: impl FnMut(&Stored)) {
    loop {
        let mut slot = desk.wait_while(|slot| (slot.latest.is_none() || slot.held) && !slot.ended);
        let Some(stored) = slot.latest.take().filter(|_| !slot.held) else { return };
        slot.writing = true;
        drop(slot);
        write(&stored);
        desk.lock().writing = false;
        desk.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
