//! Where a service may have so many connections and no more: how this worker comes to one. It takes a seat and dials; or it waits, until a seat is free,
//! until a connection that it can use comes back here, or until one of its shared connections has room. Whoever waits rings at all workers, and each
//! closes what lies idle in its pools. Counting is the guard's affair.

use super::{Multiplexed, Multiplexing, Shared, Upstream, UpstreamKey};
use crate::guard::{Counted, Guard, Seat, Waits};
use crate::limits;
use crate::worker::Worker;
use model::Fault;
use routing::room::Ticket;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use transport::preface::Framing;
use transport::{Error, rt};

/// Goes with a connection until it is closed; to what is no service nobody counts them.
pub type Kept = Option<Seat>;
pub type Pooled = Box<transport::pool::Pooled<UpstreamKey, Kept>>;

/// What a wait ends with.
pub enum Got {
    /// A connection may be dialled.
    Seat(Kept),
    /// One of HTTP/1 that somebody here has done with.
    Used(Pooled),
    /// A place on one that is shared.
    Shared(Multiplexed),
}

/// One of this worker's who waits.
pub struct Queued {
    key: UpstreamKey,
    ticket: Ticket,
    /// Wants none that others used before.
    fresh: bool,
    given: RefCell<Option<Pooled>>,
    /// One of the shared connections may have room.
    look: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Queued {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// In the queue until it is dropped; what it was given and did not take goes to another.
struct InQueue<'w>(&'w Worker, Rc<Queued>);

impl Drop for InQueue<'_> {
    fn drop(&mut self) {
        self.0.queue.borrow_mut().retain(|other| !Rc::ptr_eq(other, &self.1));
        if let Some(pooled) = self.1.given.take() {
            self.0.keep(pooled);
        }
    }
}

/// The cause of a refusal by the limit of connections; what is refused so is not tried again, and says nothing of an endpoint.
pub const REFUSED: &str = "connection_overflow";

impl Worker {
    /// Leave to dial, or a connection that makes it needless.
    ///
    /// # Errors
    /// `Overflow` with the cause [`REFUSED`] where too many wait, or for too long.
    pub(super) async fn seat(self: &Rc<Self>, key: &UpstreamKey, fresh: bool) -> Result<Got, Error> {
        let Some(counted) = &key.counted else { return Ok(Got::Seat(None)) };
        let refused = |why: String| Error::new(Fault::Overflow, why).with_nothing_received().with_cause(REFUSED);
        match counted.seat().map_err(|refused_as| refused(refused_as.why))? {
            Ok(seat) => Ok(Got::Seat(Some(seat))),
            Err(waits) => {
                let late = || Err(refused("overloaded: no connection became free in time".to_owned()));
                Box::pin(rt::timeout(limits::PENDING_TIME, self.wait(key, counted, fresh, waits))).await.map_or_else(late, Ok)
            }
        }
    }

    async fn wait(self: &Rc<Self>, key: &UpstreamKey, counted: &Counted, fresh: bool, mut waits: Waits) -> Got {
        let queued = Queued {
            key: key.clone(),
            ticket: waits.ticket,
            fresh,
            given: RefCell::default(),
            look: Cell::new(false),
            waker: RefCell::default(),
        };
        let place = InQueue(self, Rc::new(queued));
        self.queue.borrow_mut().push(place.1.clone());
        counted.guard.ring();
        poll_fn(|cx| {
            if let Some(pooled) = place.1.given.take() {
                return Poll::Ready(Got::Used(pooled));
            }
            if place.1.look.take()
                && let Some(open) = self.multiplexed.borrow_mut().take(self, key, rt::now())
            {
                return Poll::Ready(Got::Shared(open));
            }
            *place.1.waker.borrow_mut() = Some(cx.waker().clone());
            waits.poll(cx.waker()).map(|seat| Got::Seat(Some(seat)))
        })
        .await
    }

    /// A connection of HTTP/1 that carried its request goes to one who waits for it, or back to the pool; where somebody else needs its seat it is closed.
    pub(super) fn keep(&self, mut pooled: Pooled) {
        // Whoever waits gets none whose peer was believed before trust changed, nor one whose server was told of somebody else.
        if self.pool.borrow().is_doubted(pooled.opened) || pooled.key.told.is_some() {
            return;
        }
        if let Some(counted) = &pooled.key.counted
            && counted.guard.wanted() > 0
        {
            let fits = |other: &&Rc<Queued>| !other.fresh && other.key == pooled.key && counted.guard.hand_over(other.ticket);
            if let Some(next) = self.queue.borrow().iter().find(fits) {
                pooled.reused = true;
                *next.given.borrow_mut() = Some(pooled);
                next.wake();
                return;
            }
            if counted.gains() {
                return;
            }
        }
        self.pool.borrow_mut().put(pooled, rt::now());
    }

    /// A shared connection has room again.
    pub(super) fn roomier(&self, guard: &Guard) {
        if guard.wanted() == 0 {
            return;
        }
        let of = |other: &&Rc<Queued>| other.key.framing == Framing::Http2 && other.key.is_counted_by(guard);
        for waiting in self.queue.borrow().iter().filter(of) {
            waiting.look.set(true);
            waiting.wake();
        }
    }

    /// Closes idle connections whenever somebody waits for one, at this worker or another. Ends with the worker.
    pub async fn give_way(self: Rc<Self>) {
        let mut later: Vec<(Instant, Arc<Guard>)> = Vec::new();
        loop {
            let pause = later.iter().map(|(at, _)| at.saturating_duration_since(rt::now())).min().unwrap_or(Duration::MAX);
            let mut rung = {
                let mut timer = pin!(rt::sleep(pause.min(limits::H2_TURN)));
                let due = !later.is_empty();
                poll_fn(|cx| match self.bell.poll(cx.waker()) {
                    Poll::Ready(rung) => Poll::Ready(rung),
                    Poll::Pending if due => timer.as_mut().poll(cx).map(|()| Vec::new()),
                    Poll::Pending => Poll::Pending,
                })
                .await
            };
            let now = rt::now();
            let mut due = later.extract_if(.., |(at, _)| *at <= now).map(|(_, guard)| guard).collect();
            rung.append(&mut due);
            for guard in rung {
                if let Some(again) = self.close_idle(&guard, now) {
                    later.retain(|(_, other)| !Arc::ptr_eq(other, &guard));
                    later.push((again, guard));
                }
            }
        }
    }

    /// Closes as many idle connections as somebody gains by, those first that lay idle longest; of shared ones also those that had their turn. Says
    /// when to look again.
    fn close_idle(&self, guard: &Arc<Guard>, now: Instant) -> Option<Instant> {
        let gains = |key: &UpstreamKey| key.is_counted_by(guard) && key.counted.as_ref().is_some_and(Counted::gains);
        while guard.wanted() > 0 {
            let idle = self.pool.borrow_mut().take_oldest(gains);
            let Some(idle) = idle else { break };
            drop(idle);
        }
        match guard.wanted() {
            0 => None,
            most => self.multiplexed.borrow_mut().retire(most, gains, now),
        }
    }
}

impl Multiplexing {
    /// Lets go of shared connections for others' sake: idle ones, and those that are [`limits::H2_TURN`] old. They end with the last request on them.
    /// Says when the next has had its turn.
    fn retire(&mut self, most: u32, gains: impl Fn(&UpstreamKey) -> bool, now: Instant) -> Option<Instant> {
        let mut left = most;
        let mut next: Option<Instant> = None;
        for (_, open) in self.open.iter_mut().filter(|(key, _)| gains(key)) {
            open.retain(|one: &Shared| {
                let turn = one.opened + limits::H2_TURN;
                let over = left > 0 && (one.client.active() == 0 || turn <= now);
                left -= u32::from(over);
                if !over && turn > now {
                    next = Some(next.map_or(turn, |other| other.min(turn)));
                }
                !over
            });
        }
        next.filter(|_| left > 0)
    }
}

/// Tells who waits, when a request on a shared connection is over.
pub struct Room(Rc<Worker>, Counted);

impl Room {
    pub(super) fn of(worker: &Rc<Worker>, key: &UpstreamKey) -> Option<Self> {
        key.counted.as_ref().map(|counted| Self(worker.clone(), counted.clone()))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.roomier(&self.1.guard);
    }
}

impl UpstreamKey {
    fn is_counted_by(&self, guard: &Guard) -> bool {
        self.counted.as_ref().is_some_and(|counted| std::ptr::eq(Arc::as_ptr(&counted.guard), guard))
    }
}

impl Upstream {
    /// Gives the connection back for the next request.
    pub fn release(self, worker: &Worker) {
        worker.keep(self.pooled);
    }
}
