//! Keeps the snapshot on disk near what is in force, beside the thread that applies: the latest wins, one write is under way at most, and the
//! last one is written before the saver is gone. Knows nothing of control planes, nor what a snapshot means.

use super::file::{self, Fresh, Kept, SnapshotError};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Notify;

/// How long nothing is put before memory is given back: a little more than the allocator keeps what was freed, should it be wanted again (a second).
const QUIET: Duration = Duration::from_millis(1_200);
/// Larger than any block that the allocator has at hand.
const UNUSUAL: usize = 4 << 20;

#[derive(Default)]
struct Slot {
    latest: Option<Kept>,
    /// Bytes that no file has yet.
    owed: Fresh,
    writing: bool,
    /// Another process of the same proxy writes: what is put waits here.
    held: bool,
    ended: bool,
}

#[derive(Default)]
struct Desk {
    slot: Mutex<Slot>,
    changed: Condvar,
    /// Told when bytes are needed that nobody has.
    lost: Notify,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        // Each change of the slot is whole: a panic elsewhere leaves nothing half done.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, busy: impl FnMut(&mut Slot) -> bool) -> MutexGuard<'_, Slot> {
        self.changed.wait_while(self.lock(), busy).unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` where it is still so after that time.
    fn wait_a_while(&self, time: Duration, busy: impl FnMut(&mut Slot) -> bool) -> Option<MutexGuard<'_, Slot>> {
        let (slot, waited) = self.changed.wait_timeout_while(self.lock(), time, busy).unwrap_or_else(PoisonError::into_inner);
        (!waited.timed_out()).then_some(slot)
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
        Self::with(move |kept, fresh| file::write(&path, kept, fresh), (QUIET, give_back))
    }

    /// `idle`: what is done when nothing was put for so long.
    fn with<W, I>(write: W, idle: (Duration, I)) -> io::Result<Self>
    where
        W: FnMut(&Kept, &Fresh) -> Result<(), SnapshotError> + Send + 'static,
        I: FnMut() + Send + 'static,
    {
        let desk = Arc::new(Desk::default());
        let theirs = desk.clone();
        let thread = std::thread::Builder::new().name("snapshot".into()).spawn(move || work(&theirs, write, idle))?;
        Ok(Self { desk, thread: Some(thread) })
    }

    /// To be written as soon as what is being written is done, unless a later one comes first. `fresh` are the bytes of what is held since the last time.
    pub fn put(&self, kept: Kept, fresh: Fresh) {
        let mut slot = self.desk.lock();
        match slot.owed.is_empty() {
            // As it came: its nodes are full.
            true => slot.owed = fresh,
            false => slot.owed.extend(fresh),
        }
        slot.owed.retain(|key, applied| kept.held.get(key) == Some(&applied.version));
        slot.latest = Some(kept);
        drop(slot);
        self.desk.changed.notify_all();
    }

    /// Returns when bytes are needed that nobody has any more: then all is to be asked for again. Once for each write that failed for it.
    pub async fn lost(&self) {
        self.desk.lost.notified().await;
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

fn work(desk: &Desk, mut write: impl FnMut(&Kept, &Fresh) -> Result<(), SnapshotError>, (quiet, mut idle): (Duration, impl FnMut())) {
    let nothing = |slot: &mut Slot| (slot.latest.is_none() || slot.held) && !slot.ended;
    // What a process needs for its beginning it does not need again either.
    let mut grown = true;
    loop {
        let slot = if grown { desk.wait_a_while(quiet, nothing) } else { Some(desk.wait_while(nothing)) };
        let Some(mut slot) = slot else {
            idle();
            grown = false;
            continue;
        };
        let Some(kept) = slot.latest.take().filter(|_| !slot.held) else { return };
        let fresh = std::mem::take(&mut slot.owed);
        slot.writing = true;
        drop(slot);
        let written = write(&kept, &fresh);
        let mut slot = desk.lock();
        if let Err(error) = written {
            tracing::error!(%error, "snapshot cannot be written; a restart without the control plane would serve an older one");
            if matches!(error, SnapshotError::Lost(..)) {
                desk.lost.notify_one();
            }
            // What came meanwhile is newer.
            let newer = std::mem::replace(&mut slot.owed, fresh);
            slot.owed.extend(newer);
        }
        slot.writing = false;
        drop(slot);
        desk.changed.notify_all();
        grown = true;
    }
}

/// Has the allocator give back to the system what a step needed and nobody took again. It looks for that only where it is asked for more than it has at
/// hand, and a proxy that has its step asks for little.
fn give_back() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(UNUSUAL)));
}

#[cfg(test)]
mod tests;
