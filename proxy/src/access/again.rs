//! Calls that are under way are judged again when policies or trust change: what is no longer allowed ends, the rest is not touched. Each worker hears of a
//! change once and wakes what it carries; what ends by itself before costs a place in a list and no more.

use crate::http::Stop;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Poll, Waker};

/// What one worker carries.
#[derive(Default)]
pub struct Again {
    /// Changes heard of.
    changes: Cell<u64>,
    waiting: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

impl Again {
    /// All that is under way looks again.
    pub fn changed(&self) {
        self.changes.set(self.changes.get() + 1);
        self.waiting.borrow().iter().flatten().for_each(Waker::wake_by_ref);
    }

    fn put(&self, at: &mut Option<usize>, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        let place = *at.get_or_insert_with(|| {
            self.free.borrow_mut().pop().unwrap_or_else(|| {
                waiting.push(None);
                waiting.len() - 1
            })
        });
        match &waiting[place] {
            Some(known) if known.will_wake(waker) => {}
            _ => waiting[place] = Some(waker.clone()),
        }
    }

    fn take(&self, at: usize) {
        self.waiting.borrow_mut()[at] = None;
        self.free.borrow_mut().push(at);
    }
}

/// Frees its place when the work is over, however that is.
struct Seat<'a> {
    again: &'a Again,
    at: Option<usize>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some(at) = self.at {
            self.again.take(at);
        }
    }
}

/// As [`while_allowed`], for what is made of requests that are judged themselves: they are let end by their own word, which is told of them. It is judged
/// before it begins too, for what changed since the handshake is no change that is heard of here.
///
/// # Errors
/// The judge's.
pub async fn while_believed(again: &Again, judge: impl Fn() -> Result<(), Stop>, work: impl Future<Output = ()>) -> Result<(), Stop> {
    let mut seat = Seat { again, at: None };
    let mut work = pin!(work);
    let mut seen = again.changes.get();
    judge()?;
    poll_fn(|cx| {
        let judged = if seen == again.changes.get() { Ok(()) } else { judge() };
        seen = again.changes.get();
        if work.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        again.put(&mut seat.at, cx.waker());
        match judged {
            Ok(()) => Poll::Pending,
            Err(stop) => Poll::Ready(Err(stop)),
        }
    })
    .await
}

/// Does `work` for as long as `judge`, asked at every change, allows it. Work is pinned by who asks: given by value it would be moved, all the kilobytes of a
/// request's, and lie in the caller's future twice.
///
/// # Errors
/// Those of the work, or the judge's, which says that the answer may have begun.
pub async fn while_allowed<T>(
    again: &Again,
    judge: impl Fn() -> Result<(), Stop>,
    mut work: Pin<&mut impl Future<Output = Result<T, Stop>>>,
) -> Result<T, Stop> {
    let mut seat = Seat { again, at: None };
    let mut seen = again.changes.get();
    poll_fn(|cx| {
        if seen != again.changes.get() {
            seen = again.changes.get();
            if let Err(stop) = judge() {
                return Poll::Ready(Err(Stop { begun: true, ..stop }));
            }
        }
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            again.put(&mut seat.at, cx.waker());
        }
        polled
    })
    .await
}

#[cfg(test)]
mod tests;
