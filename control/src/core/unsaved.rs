//! Decisions on their way to the store: what the disk does not take holds all the same, is tried again, and is told. It decides nothing.

use super::{Core, Inner, now, seconds};
use crate::limits;
use crate::store::Txn;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use wire::api::Located;

/// Decisions that the store has not taken yet; `None` deletes.
#[derive(Default)]
pub(super) struct Unsaved {
    changes: BTreeMap<String, Option<Vec<u8>>>,
    why: Option<String>,
}

impl Core {
    /// Stores a decision. Where the disk does not take it, it holds all the same, is tried again, and `status` says so.
    pub(super) fn keep(&self, txn: Txn) -> bool {
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        unsaved.changes.extend(txn.put.into_iter().map(|(key, value)| (key, Some(value))));
        unsaved.changes.extend(txn.delete.into_iter().map(|key| (key, None)));
        let mut all = Txn::default();
        for (key, value) in &unsaved.changes {
            match value {
                Some(value) => all.put.push((key.clone(), value.clone())),
                None => all.delete.push(key.clone()),
            }
        }
        let stored = if unsaved.changes.is_empty() { Ok(()) } else { self.store.txn(all) };
        let before = unsaved.why.take();
        match stored {
            Ok(()) => {
                unsaved.changes.clear();
                if before.is_some() {
                    tracing::info!("the store takes changes again");
                }
                true
            }
            Err(e) => {
                let why = e.to_string();
                if before.as_ref() != Some(&why) {
                    tracing::error!("store: {why}; what was decided holds until this process ends");
                }
                unsaved.why = Some(why);
                false
            }
        }
    }

    /// Why the store does not take what was decided, while it does not.
    pub fn store_problem(&self) -> Option<Located> {
        let why = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).why.clone()?;
        Some(Located {
            severity: wire::api::Severity::Error,
            file: "store.redb".into(),
            line: 0,
            column: 0,
            object: String::new(),
            path: String::new(),
            reason: "NotStored".into(),
            message: format!("what changes is not stored and would be lost if the control plane ended: {why}"),
            fix: Some("make room on that disk; it is tried again each second".into()),
        })
    }

    /// Stores what calls were seen, what consumers used and what policies decided since, where it is time or has to be (`force`); and what could not be stored before.
    pub(super) fn keep_calls(&self, force: bool) {
        // One after another: what was counted later is stored later.
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let (counted, reports) = self.lock().counted(seconds(now()), force);
        self.keep(counted);
        if force {
            *stored = reports;
        }
    }

    /// Comes when the first so many reports are in the store, which is when their proxies may be told that they need not repeat them. Those that come shortly
    /// after each other are stored in one step, by whoever waits first; the others wait for their turn and find it done. What the disk does not take is told
    /// by [`Core::store_problem`], and nobody waits for it: pages would stand still for all that are well.
    pub async fn stored(&self, reports: u64) {
        let is_stored = || *self.stored.lock().unwrap_or_else(PoisonError::into_inner) >= reports;
        if is_stored() {
            return;
        }
        let _turn = self.storing.lock().await;
        if is_stored() {
            return;
        }
        tokio::time::sleep(limits::STORED_TOGETHER).await;
        self.keep_calls(true);
    }
}

impl Inner {
    /// What is to be stored of what was counted, and how many reports that is since this process began. Of which reports it was goes with it: one without the
    /// other would count twice, or not at all.
    fn counted(&mut self, now: u64, force: bool) -> (Txn, u64) {
        if !force && now.abs_diff(self.counted_at) < limits::CALLS_SAVE {
            return (Txn::default(), 0);
        }
        self.counted_at = now;
        let all = [self.calls.sweep(now), self.consumption.sweep(now), self.verdicts.sweep(now), self.heard.sweep(now)];
        let mut sum = Txn::default();
        for one in all {
            sum.put.extend(one.put);
            sum.delete.extend(one.delete);
        }
        (sum, self.reports)
    }
}
