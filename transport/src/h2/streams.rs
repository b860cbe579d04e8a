//! Streams of one connection: a place for each, which handles name by its index, and the numbers of those that are open.

use super::flow::{Allowance, Window};
use crate::limits;
use bytes::Bytes;
use model::{HeaderBlock, ResponseHead};
use std::collections::VecDeque;
use std::task::{Context, Waker};

/// A place of a stream. It stays the stream's as long as somebody holds a handle.
pub type Place = usize;

/// One direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    /// The head is still to come.
    #[default]
    Head,
    Body,
    Ended,
}

/// Why a stream ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The peer reset it.
    Reset(u32),
    /// The peer broke its rules, and was told so.
    Broken(u32, &'static str),
    /// We gave it up.
    GivenUp,
    /// The peer said that it did not begin.
    Unprocessed,
    /// With its connection, which knows why.
    Connection,
}

#[derive(Debug)]
pub struct Stream {
    pub id: u32,
    /// Who holds it. Nobody does while a request waits to be taken.
    pub handles: u8,
    pub recv: Side,
    pub send: Side,
    pub over: Option<Over>,
    /// Nobody reads any more: what still comes is dropped.
    pub unread: bool,
    /// Of a client's stream: the request was HEAD, or CONNECT, to which a length in the answer means nothing.
    pub bodiless: bool,
    pub tunnel: bool,
    /// What the peer may send.
    pub allowance: Allowance,
    /// What may be sent to it.
    pub window: Window,
    /// How long the body is to be, and how much of that is still to come.
    pub announced: Option<u64>,
    pub expected: Option<u64>,
    /// Answers that were not taken up yet: informational ones, and the one.
    pub answers: VecDeque<Box<ResponseHead>>,
    /// Informational ones that came.
    pub informed: usize,
    pub pieces: VecDeque<Bytes>,
    pub trailers: Option<HeaderBlock>,
    /// Of the piece that was handed out last: given back when the next is asked for.
    pub taken: usize,
    /// Waits for room of the connection.
    pub queued: bool,
    /// It is this one's turn to take of that.
    pub turn: bool,
    pub reader: Option<Waker>,
    pub writer: Option<Waker>,
}

impl Stream {
    fn new(window: u32) -> Self {
        Self {
            id: 0,
            handles: 0,
            recv: Side::Head,
            send: Side::Head,
            over: None,
            unread: false,
            bodiless: false,
            tunnel: false,
            allowance: Allowance::new(window),
            window: Window::new(0),
            announced: None,
            expected: None,
            answers: VecDeque::new(),
            informed: 0,
            pieces: VecDeque::new(),
            trailers: None,
            taken: 0,
            queued: false,
            turn: false,
            reader: None,
            writer: None,
        }
    }

    /// Makes the place another stream's; its memory stays.
    fn begin(&mut self, id: u32, window: Window) {
        self.answers.clear();
        self.pieces.clear();
        (self.trailers, self.reader, self.writer) = (None, None, None);
        (self.id, self.window, self.allowance) = (id, window, self.allowance.renewed());
        (self.handles, self.recv, self.send, self.over) = (0, Side::Head, Side::Head, None);
        (self.unread, self.bodiless, self.tunnel, self.queued, self.turn) = (false, false, false, false, false);
        (self.announced, self.expected, self.informed, self.taken) = (None, None, 0, 0);
    }

    pub fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    pub fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    pub fn await_reading(&mut self, cx: &Context<'_>) {
        remember(&mut self.reader, cx);
    }

    pub fn await_writing(&mut self, cx: &Context<'_>) {
        remember(&mut self.writer, cx);
    }

    /// Adds a piece of the body. Crumbs are put together: a stream of bytes in frames of one each costs the window alone.
    pub fn put(&mut self, piece: Bytes) {
        const CRUMB: usize = 1024;
        match self.pieces.back_mut() {
            Some(last) if piece.len() < CRUMB && last.len() < CRUMB => {
                let mut whole = bytes::BytesMut::from(std::mem::take(last));
                whole.extend_from_slice(&piece);
                *last = whole.freeze();
            }
            _ => self.pieces.push_back(piece),
        }
    }
}

pub fn remember(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

/// How a stream was closed that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// We reset it: what the peer sent before it knew does no harm.
    ByUs,
    /// Both sides ended, or the peer reset it: nothing may follow.
    ByPeer,
}

#[derive(Debug)]
pub struct Streams {
    /// What the peer may send on each.
    allowed: u32,
    places: Vec<Stream>,
    free: Vec<Place>,
    /// Open streams in the order of their numbers, which only grow.
    open: Vec<(u32, Place)>,
    /// Streams that were closed last.
    closed: VecDeque<(u32, Closed)>,
}

impl Streams {
    pub fn new(allowed: u32) -> Self {
        Self { allowed, places: Vec::new(), free: Vec::new(), open: Vec::new(), closed: VecDeque::new() }
    }

    /// Those that the protocol counts.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Those that have a place: open ones, and closed ones that somebody holds.
    pub fn held(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Places that there is memory for.
    #[cfg(test)]
    pub fn memory(&self) -> usize {
        self.places.len()
    }

    pub fn find(&self, id: u32) -> Option<Place> {
        // Most frames are of one of the first or the last few.
        let at = self.open.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.open[at].1)
    }

    pub fn get(&mut self, place: Place) -> &mut Stream {
        &mut self.places[place]
    }

    /// The number is above all others.
    pub fn begin(&mut self, id: u32, window: Window) -> Place {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Stream::new(self.allowed));
            self.places.len() - 1
        });
        self.places[place].begin(id, window);
        self.open.push((id, place));
        place
    }

    /// Ends a stream for the protocol; its place stays while it is held.
    pub fn close(&mut self, place: Place, how: Closed) {
        let id = self.places[place].id;
        if let Ok(at) = self.open.binary_search_by_key(&id, |(id, _)| *id) {
            self.open.remove(at);
            self.remember(id, how);
        }
        self.leave(place);
    }

    pub fn remember(&mut self, id: u32, how: Closed) {
        if self.closed.len() == limits::H2_CLOSED_STREAMS {
            self.closed.pop_front();
        }
        self.closed.push_back((id, how));
    }

    /// With the connection all are closed.
    pub fn abandon(&mut self) {
        self.open.clear();
    }

    /// Gives the place back, if nobody holds it and the stream is closed.
    pub fn leave(&mut self, place: Place) {
        let stream = &mut self.places[place];
        if stream.handles == 0 && stream.id != 0 && self.open.binary_search_by_key(&stream.id, |(id, _)| *id).is_err() {
            stream.begin(0, Window::new(0));
            self.free.push(place);
        }
    }

    /// Lets go of a burst's memory, once no place is anybody's.
    pub fn shrink(&mut self) {
        if self.places.len() > limits::H2_KEPT_PLACES && self.free.len() == self.places.len() {
            self.places.truncate(limits::H2_KEPT_PLACES);
            self.places.shrink_to_fit();
            self.free.retain(|place| *place < limits::H2_KEPT_PLACES);
            self.free.shrink_to_fit();
        }
    }

    /// How a stream was closed, if it is remembered.
    pub fn closed(&self, id: u32) -> Option<Closed> {
        self.closed.iter().rev().find(|(known, _)| *known == id).map(|(_, how)| *how)
    }

    /// Those that are open and those that are closed and held.
    pub fn each(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.places.iter_mut().filter(|stream| stream.id != 0)
    }

    /// The open ones above a number.
    pub fn above(&self, id: u32) -> Vec<Place> {
        self.open.iter().filter(|(known, _)| *known > id).map(|(_, place)| *place).collect()
    }
}
