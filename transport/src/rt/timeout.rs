//! Work that may take so long and no longer. Most work of the data path is done at once: it needs neither a look at the clock nor a timer, and no room
//! for either. Never knows what is waited for.

use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

pin_project! {
    /// What [`timeout`] gives. An `async fn` would have room for the work twice.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct Timeout<F> {
        #[pin]
        work: F,
        limit: Duration,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

/// `None` where the time was over first. The time begins when the work first has to wait.
pub fn timeout<F: Future>(limit: Duration, work: F) -> Timeout<F> {
    Timeout { work, limit, timer: None }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.work.poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => {
                let limit = *this.limit;
                this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit))).as_mut().poll(cx).map(|()| None)
            }
        }
    }
}
