//! What goes out behind all else that this thread is about to do: whole messages of many connections, one after another, so that a peer on this machine is woken once
//! for all of them, and nobody has to be asked again for that (to wake somebody costs the sender more than to write, and a request that is looked at again has
//! left the processor's cache meanwhile). Knows no protocol.

use super::ring;
use super::stream::Stream;
use crate::spare;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;

thread_local! {
    static POST: RefCell<Post> = const { RefCell::new(Post { round: NonZeroU64::MIN, letters: Vec::new(), postman: None }) };
    /// Streams of which the kernel did not take a letter at once, and who waits to write more.
    static LATE: RefCell<Vec<Late>> = const { RefCell::new(Vec::new()) };
    /// The thread is one of [`super::run`].
    static OPEN: Cell<bool> = const { Cell::new(false) };
}

struct Post {
    /// Which time it goes next.
    round: NonZeroU64,
    letters: Vec<Option<Letter>>,
    postman: Option<Waker>,
}

type Late = (Rc<RefCell<Stream>>, Option<Waker>);

struct Letter {
    stream: Rc<RefCell<Stream>>,
    bytes: Vec<u8>,
    /// For the peer to take something of it.
    patience: Duration,
}

/// Where a letter lies until the post goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    round: NonZeroU64,
    at: usize,
}

/// Whether this thread has a post.
pub(super) fn is_open() -> bool {
    OPEN.get()
}

pub(super) fn open() {
    OPEN.set(true);
}

/// What was still to go goes now, as far as it is taken at once.
pub(super) fn close() {
    deliver();
    OPEN.set(false);
    POST.with_borrow_mut(|post| post.postman = None);
    LATE.with_borrow_mut(Vec::clear);
}

/// Takes a letter.
pub(super) fn put(stream: &Rc<RefCell<Stream>>, bytes: Vec<u8>, patience: Duration) -> Ticket {
    let (ticket, first, known) = POST.with_borrow_mut(|post| {
        let ticket = Ticket { round: post.round, at: post.letters.len() };
        post.letters.push(Some(Letter { stream: stream.clone(), bytes, patience }));
        // Behind all that is ready now: the others that come in time go along.
        let known = post.postman.is_some();
        let first = if ticket.at == 0 { post.postman.take() } else { None };
        (ticket, first, known || ticket.at > 0)
    });
    match first {
        Some(postman) => postman.wake(),
        None if !known => drop(tokio::task::spawn_local(tokio::task::coop::unconstrained(poll_fn(|cx| {
            deliver();
            POST.with_borrow_mut(|post| post.postman = Some(cx.waker().clone()));
            Poll::<()>::Pending
        })))),
        None => {}
    }
    ticket
}

/// Whether the letter still lies here.
pub(super) fn is_here(ticket: Ticket) -> bool {
    POST.with_borrow(|post| post.round == ticket.round)
}

/// Gives a letter back that has not gone yet, and how long its receiver may take.
pub(super) fn take(ticket: Ticket) -> Option<(Vec<u8>, Duration)> {
    POST.with_borrow_mut(|post| {
        let lies_here = post.round == ticket.round;
        post.letters.get_mut(ticket.at).filter(|_| lies_here)?.take().map(|letter| (letter.bytes, letter.patience))
    })
}

fn deliver() {
    let mut letters = POST.with_borrow_mut(|post| {
        post.round = post.round.saturating_add(1);
        std::mem::take(&mut post.letters)
    });
    together(&mut letters);
    for letter in letters.drain(..).flatten() {
        letter.go();
    }
    POST.with_borrow_mut(|post| {
        // The memory serves the next round; a crowd's is let go.
        if post.letters.capacity() == 0 && letters.capacity() <= crate::limits::LETTERS {
            post.letters = letters;
        }
    });
}

/// What goes by io_uring goes by one call.
fn together(letters: &mut [Option<Letter>]) {
    if !ring::is_open() {
        return;
    }
    let ringed =
        |letter: &Option<Letter>| letter.as_ref().and_then(|letter| letter.stream.borrow_mut().ringed().map(|socket| socket.key()));
    let (places, together): (Vec<_>, Vec<_>) =
        letters.iter().enumerate().filter_map(|(place, letter)| Some((place, (ringed(letter)?, &*letter.as_ref()?.bytes)))).unzip();
    let mut sent: Vec<io::Result<usize>> = Vec::with_capacity(places.len());
    ring::send(&together, |_, result| sent.push(result));
    for (place, sent) in places.into_iter().zip(sent) {
        let Some(letter) = letters[place].take() else { continue };
        match sent {
            Ok(all) if all == letter.bytes.len() => spare::keep_text(letter.bytes),
            Ok(some) => letter.wait(some),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => letter.wait(0),
            // Whoever reads from a stream that broke is told there.
            Err(_) => {}
        }
    }
}

impl Letter {
    fn go(self) {
        let mut sent = 0;
        let mut cx = Context::from_waker(Waker::noop());
        let gone = self.stream.borrow_mut().poll_write_all(&mut cx, &self.bytes, &mut sent);
        match gone {
            // Whoever reads from a stream that broke is told there.
            Poll::Ready(_) => spare::keep_text(self.bytes),
            Poll::Pending => self.wait(sent),
        }
    }

    /// A peer that takes nothing is waited for, and given up in the end.
    fn wait(self, mut sent: usize) {
        let Self { stream, bytes, patience } = self;
        LATE.with_borrow_mut(|late| late.push((stream.clone(), None)));
        super::spawn(async move {
            let rest = poll_fn(|cx| stream.borrow_mut().poll_write_all(cx, &bytes, &mut sent));
            if super::timeout(patience, rest).await.is_none() {
                stream.borrow_mut().give_up(patience);
            }
            let waits = LATE.with_borrow_mut(|late| {
                let at = late.iter().position(|(known, _)| Rc::ptr_eq(known, &stream))?;
                late.swap_remove(at).1
            });
            waits.iter().for_each(Waker::wake_by_ref);
        });
    }
}

/// Ready once nothing of this stream is late.
pub(super) fn poll_gone(stream: &Rc<RefCell<Stream>>, cx: &mut Context<'_>) -> Poll<()> {
    LATE.with_borrow_mut(|late| match late.iter_mut().find(|(known, _)| Rc::ptr_eq(known, stream)) {
        None => Poll::Ready(()),
        Some((_, waits)) => {
            *waits = Some(cx.waker().clone());
            Poll::Pending
        }
    })
}

pub(super) fn is_late(stream: &Rc<RefCell<Stream>>) -> bool {
    LATE.with_borrow(|late| late.iter().any(|(known, _)| Rc::ptr_eq(known, stream)))
}

/// All of it, and what TLS keeps back until it is told.
impl Stream {
    pub(super) fn poll_write_all(&mut self, cx: &mut Context<'_>, bytes: &[u8], sent: &mut usize) -> Poll<io::Result<()>> {
        while *sent < bytes.len() {
            match ready!(Pin::new(&mut *self).poll_write(cx, &bytes[*sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => *sent += n,
            }
        }
        match self.tls().is_some() {
            true => Pin::new(self).poll_flush(cx),
            false => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests;
