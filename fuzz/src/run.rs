//! One runtime for all inputs of a thread, on virtual time: whoever waits for a clock alone is let on at once, so that no input can hang for
//! longer than it keeps the processor busy.

use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
}

/// Runs `work`, and ends all that it spawned with it.
///
/// # Panics
/// If `work` never ends: everything that waits for a peer must end by time.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
    RUNTIME.with(|runtime| {
        let bounded = async { tokio::time::timeout(DAY, work).await.expect("ends within a day of virtual time") };
        LocalSet::new().block_on(runtime, bounded)
    })
}
