//! When a process should end: at SIGTERM or SIGINT, or, for a child of our supervisor, when the pipe on its standard input closes. The
//! kernel closes that pipe however the supervisor ends, so that even `kill -9` of it leaves no child behind.

use std::io::Read;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Completes once, when the process was asked to end.
#[derive(Debug, Clone)]
pub struct Lifeline(watch::Receiver<bool>);

impl Lifeline {
    /// `tethered`: also watch standard input, which the supervisor keeps open and never writes to.
    pub fn new(tethered: bool) -> std::io::Result<Self> {
        let (ended, watched) = watch::channel(false);
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let by_signal = ended.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            by_signal.send_replace(true);
        });
        if tethered {
            std::thread::Builder::new().name("lifeline".into()).spawn(move || {
                let mut ignored = [0u8; 64];
                while matches!(std::io::stdin().read(&mut ignored), Ok(n) if n > 0) {}
                ended.send_replace(true);
            })?;
        }
        Ok(Self(watched))
    }

    /// Ended by whoever is given the other half.
    #[cfg(test)]
    pub fn held() -> (watch::Sender<bool>, Self) {
        let (end, ended) = watch::channel(false);
        (end, Self(ended))
    }

    pub async fn ended(&mut self) {
        // An error means that the sender is gone, and with it every reason to go on.
        let _ = self.0.wait_for(|ended| *ended).await;
    }
}
