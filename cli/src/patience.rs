//! How long others are waited for who are to be ready, or to say why a connection broke.

use crate::limits;

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

/// Why a connection through the API server broke: that is said beside the connection, in [`limits::CONNECT`] or not at all.
pub async fn reason(said: impl Future<Output = Option<String>>) -> Option<String> {
    tokio::time::timeout(limits::CONNECT, said).await.ok().flatten()
}

#[cfg(test)]
mod tests;
