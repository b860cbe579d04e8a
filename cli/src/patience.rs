//! How long others are waited for who are to be ready, to lead, or to say why a connection broke.

use crate::limits;
use control::kubernetes::ReachError;

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

/// Who leads the control plane of a cluster, where nobody does for a moment, as when its replicas are replaced: for [`limits::LEADER`] and no longer. Whoever
/// waits longer than [`limits::LEADER_UNSAID`] is told what for.
pub async fn until_one_leads<T, F>(mut find: impl FnMut() -> F, say: impl FnOnce()) -> Result<T, ReachError>
where
    F: Future<Output = Result<T, ReachError>>,
{
    let first = find().await;
    if !matches!(first, Err(ReachError::NobodyLeads)) {
        return first;
    }
    let mut looking = std::pin::pin!(async {
        loop {
            tokio::time::sleep(limits::LEADER_AGAIN).await;
            let found = find().await;
            if !matches!(found, Err(ReachError::NobodyLeads)) {
                return found;
            }
        }
    });
    if let Ok(found) = tokio::time::timeout(limits::LEADER_UNSAID, &mut looking).await {
        return found;
    }
    say();
    let rest = limits::LEADER.saturating_sub(limits::LEADER_UNSAID);
    tokio::time::timeout(rest, looking).await.unwrap_or(Err(ReachError::NobodyLeads))
}

/// Why a connection through the API server broke: that is said beside the connection, in [`limits::CONNECT`] or not at all.
pub async fn reason(said: impl Future<Output = Option<String>>) -> Option<String> {
    tokio::time::timeout(limits::CONNECT, said).await.ok().flatten()
}

#[cfg(test)]
mod tests;
