//! Who serves requests of HTTP/1: futures that serve one after another, whosever they are. A thread makes as many as serve at once and keeps them, so that
//! in steady traffic a request allocates nothing and an idle connection holds nothing of what serves one. Knows nothing of requests.

use super::{After, Served};
use crate::limits;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use transport::rt;

thread_local! {
    static FREE: RefCell<Vec<Clerk>> = const { RefCell::new(Vec::new()) };
}

struct Clerk {
    desk: Rc<Desk>,
    /// Serves what lies on the desk, for ever.
    work: Pin<Box<dyn Future<Output = Infallible>>>,
}

#[derive(Default)]
struct Desk {
    asked: Cell<Option<Box<Served>>>,
    done: Cell<Option<(Box<Served>, After)>>,
}

/// Has one request served. Where this is dropped before it is done, the connection is, with whatever was under way.
pub(super) async fn carry(served: Box<Served>) -> (Box<Served>, After) {
    let mut clerk = FREE.with_borrow_mut(Vec::pop).unwrap_or_else(Clerk::new);
    clerk.desk.asked.set(Some(served));
    let done = poll_fn(|cx| match clerk.work.as_mut().poll(cx) {
        Poll::Ready(never) => match never {},
        Poll::Pending => clerk.desk.done.take().map_or(Poll::Pending, Poll::Ready),
    })
    .await;
    FREE.with_borrow_mut(|free| {
        if free.len() < limits::SPARE_CLERKS {
            free.push(clerk);
        }
    });
    done
}

impl Clerk {
    fn new() -> Self {
        let desk = Rc::<Desk>::default();
        let own = desk.clone();
        let work = rt::boxed(|| async move {
            loop {
                let mut served = poll_fn(|_| own.asked.take().map_or(Poll::Pending, Poll::Ready)).await;
                let after = super::carry(&mut served).await;
                own.done.set(Some((served, after)));
            }
        });
        Self { desk, work }
    }
}

#[cfg(test)]
mod tests;
