//! A process that has started, or has less to do than it had, holds no pages of the program that it does not run (`decisions/0070`). Commands that end sooner
//! never come to it.

use crate::limits;
use std::io;

/// For as long as the process lives.
pub async fn watch() {
    give_back_by(resident::give_back).await;
}

async fn give_back_by(mut give_back: impl FnMut() -> io::Result<usize>) {
    let mut pause = limits::SETTLED;
    loop {
        tokio::time::sleep(pause).await;
        pause = limits::SETTLED_AGAIN;
        if let Err(error) = give_back() {
            tracing::debug!(%error, "what only the start needed stays in memory");
            return;
        }
    }
}

#[cfg(test)]
mod tests;
