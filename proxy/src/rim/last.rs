//! The last report of a proxy that ends: what was counted since the one before would be lost with the process. Whoever ends it asks for that report
//! and waits until all is told; where the control plane is away, or does not answer in time, it is lost, for nobody keeps it.

use crate::limits;
use std::sync::Arc;
use tokio::sync::watch;
use transport::rt;

#[derive(Clone)]
pub struct LastWord {
    asked: Arc<watch::Sender<bool>>,
    told: Arc<watch::Sender<bool>>,
}

impl LastWord {
    pub(super) fn new() -> Self {
        Self { asked: Arc::new(watch::Sender::new(false)), told: Arc::new(watch::Sender::new(false)) }
    }

    /// Says it; call it once nothing is counted any more.
    pub async fn say(&self) {
        self.asked.send_replace(true);
        // Without a connection nobody listens.
        if self.asked.receiver_count() == 0 {
            return;
        }
        let mut told = self.told.subscribe();
        if rt::timeout(limits::LAST_WORD, told.wait_for(|told| *told)).await.is_none() {
            tracing::warn!(
                "the control plane did not take the last report within {:?}: what was counted since the one before is lost",
                limits::LAST_WORD
            );
        }
    }

    /// For whoever reports, as long as it does.
    pub(super) fn listen(&self) -> watch::Receiver<bool> {
        self.asked.subscribe()
    }

    pub(super) fn is_told(&self) {
        self.told.send_replace(true);
    }
}

#[cfg(test)]
mod tests;
