//! How long others are waited for who are to be ready, to lead, or to say why a connection broke.

use crate::limits;
use tokio::time::Instant;

/// Looks again and again until there is something to say, for [`limits::READY`] and no longer.
pub async fn until_ready<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> Option<T> {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(limits::LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(limits::READY, looking).await.ok()
}

/// What only whoever leads the control plane of a cluster can tell, where nobody does for a moment, as when its replicas are replaced or one was killed: for
/// [`limits::LEADER`] and no longer, and only where what is wrong `passes`. Whoever waits longer than [`limits::LEADER_UNSAID`] is told what for. What is asked
/// has bounds of its own and is not cut off: it may be a change that is being carried out.
pub async fn until_one_leads<T, E, F>(mut ask: impl FnMut() -> F, passes: impl Fn(&E) -> bool, say: impl FnOnce()) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let begun = Instant::now();
    let mut last = match ask().await {
        Err(error) if passes(&error) => error,
        answered => return answered,
    };
    let mut asking = std::pin::pin!(async {
        loop {
            let left = limits::LEADER.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(last);
            }
            tokio::time::sleep(limits::LEADER_AGAIN.min(left)).await;
            match ask().await {
                Err(error) if passes(&error) => last = error,
                answered => return answered,
            }
        }
    });
    if let Ok(answered) = tokio::time::timeout(limits::LEADER_UNSAID, &mut asking).await {
        return answered;
    }
    say();
    asking.await
}

/// Why a connection through the API server broke: that is said beside the connection, in [`limits::CONNECT`] or not at all.
pub async fn reason(said: impl Future<Output = Option<String>>) -> Option<String> {
    tokio::time::timeout(limits::CONNECT, said).await.ok().flatten()
}

#[cfg(test)]
mod tests;
