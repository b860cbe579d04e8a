//! One HTTP/2 connection (RFC 9113) without its socket: bytes come in by [`Connection::receive`], what is to go out lies in [`Connection::output`], and the
//! clock is an argument. What happens to a stream is told by waking whoever waits for it. Nothing here waits, locks, or knows a route.
//!
//! Frames are written into one buffer in the order in which they are decided, and a body's piece takes its window at that moment, so streams have no
//! queues for sending. Where the connection has no room the writers stand in line, and each takes one frame's worth when it is its turn.

mod receive;
mod send;

use super::code;
use super::flood::{Flood, Watch, Who};
use super::flow::{Allowance, Window};
use super::frame::{self, flag, kind, setting};
use super::head::Names;
use super::hpack::{Decoder, Encoder};
use super::output::Output;
use super::streams::{Closed, Over, Place, Side, Streams, remember};
use super::{CLIENT_PREFACE, Facing};
use crate::{Bounds, limits};
use model::{RequestHead, ResponseHead};
use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Waker};
use std::time::Instant;

/// What a connection ended for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The peer closed it, or both sides had said that they were done.
    Closed,
    /// The socket's error.
    Lost(String),
    /// The peer's machine acknowledges nothing any more.
    Gone,
    /// The peer is a proxy, and answers nothing any more, though its machine is there.
    Still,
    /// We were told to end it, by this reason: nothing more goes out.
    Cut(String),
    /// The peer said GOAWAY with an error, and closed it.
    Refused(u32),
    /// The peer broke the protocol, and was told this code.
    Broken(u32, &'static str),
    Flood(Flood),
}

/// What the peer's settings say.
#[derive(Debug, Clone, Copy)]
struct Peer {
    window: u32,
    streams: u32,
    frame: usize,
    takes_upgrades: bool,
    /// Its first SETTINGS have come.
    known: bool,
}

/// Where our own goodbye is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    No,
    /// GOAWAY was said without a last stream, and a PING: what the peer sends before it answers that is still taken.
    Announced,
    /// The last stream that is taken.
    Final(u32),
}

/// A header block that is not whole yet.
#[derive(Debug)]
struct Block {
    stream: u32,
    ends: bool,
    bytes: Vec<u8>,
}

#[derive(Debug)]
pub struct Connection {
    pub facing: Facing,
    bounds: Bounds,
    pub output: Output,
    pub streams: Streams,
    watch: Watch,
    decoder: Decoder,
    encoder: Encoder,
    block: Option<Block>,
    names: Names,
    peer: Peer,
    allowance: Allowance,
    window: Window,
    /// Of the peer's streams; our own begin at `next`.
    last: u32,
    next: u32,
    drain: Drain,
    /// The last of our streams that the peer takes, and the code, if it has said GOAWAY.
    goodbye: Option<(u32, u32)>,
    end: Option<End>,
    /// Requests that nobody took yet.
    asked: VecDeque<(Place, Box<RequestHead>)>,
    /// Writers in line for room of the connection.
    line: VecDeque<Place>,
    /// Turns that were given and not used yet, how many ever were, and how many when the connection rested last.
    turns: usize,
    given: u64,
    rested: u64,
    driver: Option<Waker>,
    /// Of what is being received.
    now: Instant,
    /// Nobody will ask anything more.
    pub done: bool,
    /// Hears by name what streams of the peer are reset for.
    pub when_reset: Option<WhenReset>,
    /// The peer's machine acknowledges nothing, or the proxy there answers nothing, perhaps for a moment alone.
    pub silent: bool,
    /// The peer is a proxy of the mesh: it answers a PING at once, however long its application thinks.
    pub of_proxy: bool,
}

/// Is told the name of a cause.
pub struct WhenReset(pub Box<dyn Fn(&'static str)>);

impl fmt::Debug for WhenReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhenReset")
    }
}

const DRAIN_PING: [u8; 8] = *b"goodbye!";
const KNOCK_PING: [u8; 8] = *b"standing";

impl Connection {
    pub fn new(facing: Facing, who: Who, bounds: Bounds, now: Instant) -> Self {
        let mut connection = Self {
            facing,
            bounds,
            output: Output::default(),
            streams: Streams::new(bounds.stream_window),
            watch: Watch::new(who, now),
            decoder: Decoder::new(limits::H2_TABLE_BYTES),
            encoder: Encoder::new(limits::H2_TABLE_BYTES),
            block: None,
            names: Names::default(),
            peer: Peer { window: 65_535, streams: limits::H2_STREAMS, frame: frame::MOST, takes_upgrades: false, known: false },
            allowance: Allowance::new(bounds.connection_window),
            window: Window::new(65_535),
            last: 0,
            next: 1,
            drain: Drain::No,
            goodbye: None,
            end: None,
            asked: VecDeque::new(),
            line: VecDeque::new(),
            turns: 0,
            given: 0,
            rested: 0,
            driver: None,
            now,
            done: false,
            when_reset: None,
            silent: false,
            of_proxy: false,
        };
        connection.greet();
        connection
    }

    /// What either side says first.
    fn greet(&mut self) {
        let out = &mut self.output.frames;
        let mut settings =
            vec![(setting::INITIAL_WINDOW_SIZE, self.bounds.stream_window), (setting::MAX_HEADER_LIST_SIZE, self.bounds.head_bytes as u32)];
        match self.facing {
            Facing::Upstream => {
                out.extend_from_slice(CLIENT_PREFACE);
                settings.push((setting::ENABLE_PUSH, 0));
            }
            Facing::Downstream => {
                settings.push((setting::MAX_CONCURRENT_STREAMS, self.bounds.streams));
                settings.push((setting::ENABLE_CONNECT_PROTOCOL, 1));
            }
        }
        let payload: Vec<u8> = settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        frame::write(out, kind::SETTINGS, 0, 0, &payload);
        frame::write(out, kind::WINDOW_UPDATE, 0, 0, &(self.bounds.connection_window - 65_535).to_be_bytes());
    }

    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Whether more may be read: a peer that takes nothing is not listened to.
    pub fn listens(&self) -> bool {
        self.end.is_none() && self.output.len() < limits::H2_UNSENT
    }

    /// Whether all is said and done: nothing under way, and one of us has said goodbye.
    pub fn is_over(&self) -> bool {
        let said = match self.facing {
            Facing::Downstream => matches!(self.drain, Drain::Final(_)) || self.goodbye.is_some(),
            Facing::Upstream => self.done || self.goodbye.is_some(),
        };
        said && self.streams.held() == 0 && self.asked.is_empty()
    }

    /// Whether somebody waits for what the peer has to say.
    pub fn awaits(&self) -> bool {
        self.facing == Facing::Upstream && self.streams.open() > 0
    }

    /// Asks whether the peer's program is there. Whatever comes next says so.
    pub fn knock(&mut self) {
        frame::write(&mut self.output.frames, kind::PING, 0, 0, &KNOCK_PING);
    }

    /// Whether requests may still be sent.
    pub fn is_usable(&self) -> bool {
        self.end.is_none() && self.goodbye.is_none() && self.next < 1 << 31
    }

    pub fn has_room(&self) -> bool {
        !self.silent && self.streams.held() < self.peer.streams.min(self.bounds.streams) as usize
    }

    pub fn takes_upgrades(&self) -> bool {
        self.peer.takes_upgrades
    }

    /// Says that no more streams will be taken, so that nothing is lost that is on its way.
    pub fn drain(&mut self) {
        if self.drain != Drain::No || self.end.is_some() {
            return;
        }
        self.drain = Drain::Announced;
        self.say_goodbye(0x7fff_ffff, code::NO_ERROR);
        frame::write(&mut self.output.frames, kind::PING, 0, 0, &DRAIN_PING);
        self.stir();
    }

    /// The peer has heard of it.
    fn drained(&mut self) {
        if self.drain == Drain::Announced {
            self.drain = Drain::Final(self.last);
            self.say_goodbye(self.last, code::NO_ERROR);
        }
    }

    fn say_goodbye(&mut self, last: u32, code: u32) {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        frame::write(&mut self.output.frames, kind::GOAWAY, 0, 0, &payload);
    }

    /// The last word, where the peer is not at fault.
    pub fn leave(&mut self) {
        if self.end.is_none() && !matches!(self.drain, Drain::Final(_)) {
            self.say_goodbye(self.last, code::NO_ERROR);
        }
        self.finish(End::Closed);
    }

    /// The peer is gone.
    pub fn lost(&mut self, end: End) {
        let end = match (end, self.goodbye) {
            (End::Closed, Some((_, code))) if code != code::NO_ERROR => End::Refused(code),
            (end, _) => end,
        };
        self.finish(end);
    }

    /// We are done with the peer, and say no word more to it.
    pub fn cut(&mut self, why: &str) {
        self.finish(End::Cut(why.to_owned()));
    }

    /// Tells the peer what it did, and ends everything.
    fn refuse(&mut self, end: End) {
        let code = match &end {
            End::Broken(code, _) => *code,
            End::Flood(_) => code::ENHANCE_YOUR_CALM,
            End::Closed | End::Lost(_) | End::Gone | End::Still | End::Cut(_) | End::Refused(_) => code::NO_ERROR,
        };
        self.say_goodbye(self.last, code);
        self.finish(end);
    }

    fn finish(&mut self, end: End) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(end);
        for stream in self.streams.each() {
            stream.over.get_or_insert(Over::Connection);
            stream.wake_reader();
            stream.wake_writer();
        }
        self.streams.abandon();
        self.asked.clear();
        self.stir();
    }

    pub fn has_requests(&self) -> bool {
        !self.asked.is_empty()
    }

    /// The next request, for which the caller holds the stream from now on.
    pub fn take_request(&mut self) -> Option<(Place, Box<RequestHead>)> {
        let (place, head) = self.asked.pop_front()?;
        self.streams.get(place).handles = 1;
        Some((place, head))
    }

    pub fn hold(&mut self, place: Place) {
        self.streams.get(place).handles += 1;
    }

    /// One holder less. What nobody holds and is not at its end is given up (RFC 9113, section 8.1: a caller whose answer is whole need send no more).
    pub fn release(&mut self, place: Place) {
        let stream = self.streams.get(place);
        stream.handles -= 1;
        if stream.handles > 0 {
            return;
        }
        let answered = self.facing == Facing::Downstream && stream.send == Side::Ended;
        self.reset(place, if answered { code::NO_ERROR } else { code::CANCEL });
        self.forget_pieces(place);
        self.streams.leave(place);
        if self.done || self.drain != Drain::No || self.goodbye.is_some() {
            self.stir();
        }
    }

    /// Ends a stream with a code, unless it has ended.
    pub fn reset(&mut self, place: Place, code: u32) {
        let stream = self.streams.get(place);
        if stream.over.is_none() && (stream.recv, stream.send) != (Side::Ended, Side::Ended) {
            let id = stream.id;
            frame::write(&mut self.output.frames, kind::RST_STREAM, 0, id, &code.to_be_bytes());
            self.forget_pieces(place);
            self.close(place, Over::GivenUp, Closed::ByUs);
            self.stir();
        }
    }

    /// A stream has ended before its time.
    fn close(&mut self, place: Place, over: Over, how: Closed) {
        let stream = self.streams.get(place);
        stream.over.get_or_insert(over);
        stream.wake_reader();
        stream.wake_writer();
        let waits = stream.handles == 0;
        let turn = self.uses_turn(place);
        if waits {
            self.forget_pieces(place);
            self.asked.retain(|(asked, _)| *asked != place);
        }
        self.streams.close(place, how);
        if turn {
            self.pass();
        }
    }

    /// Both sides have ended as they should.
    fn close_if_ended(&mut self, place: Place) {
        let stream = self.streams.get(place);
        if (stream.recv, stream.send) == (Side::Ended, Side::Ended) && stream.over.is_none() {
            self.streams.close(place, Closed::ByPeer);
        }
    }

    /// What was not read goes back to the connection's window.
    fn forget_pieces(&mut self, place: Place) {
        let stream = self.streams.get(place);
        let size = stream.pieces.drain(..).map(|piece| piece.len()).sum::<usize>() + std::mem::take(&mut stream.taken);
        self.give_back(size);
    }

    fn give_back(&mut self, size: usize) {
        if let Some(increment) = self.allowance.give(size)
            && self.end.is_none()
        {
            frame::write(&mut self.output.frames, kind::WINDOW_UPDATE, 0, 0, &increment.to_be_bytes());
            self.stir();
        }
    }

    /// So much of the output was written; those who wait for room may go on.
    pub fn wrote(&mut self, size: usize) {
        self.watch.wrote(size);
        self.output.wrote(size);
        self.pass();
    }

    /// Bytes of bodies that may go out now.
    fn room(&self) -> usize {
        self.window.room().min(limits::H2_SEND_BUFFER.saturating_sub(self.output.len()))
    }

    fn uses_turn(&mut self, place: Place) -> bool {
        let turn = std::mem::take(&mut self.streams.get(place).turn);
        self.turns = self.turns.saturating_sub(usize::from(turn));
        turn
    }

    /// Gives their turn to as many writers as there is room for, in the order in which they came.
    fn pass(&mut self) {
        let mut room = self.room().saturating_sub(self.turns * frame::MOST);
        while room > 0
            && let Some(place) = self.line.pop_front()
        {
            let stream = self.streams.get(place);
            // A place may be another stream's by now, which then stands there once more.
            if std::mem::take(&mut stream.queued) {
                stream.turn = true;
                (self.turns, self.given) = (self.turns + 1, self.given + 1);
                stream.wake_writer();
                room = room.saturating_sub(frame::MOST);
            }
        }
    }

    /// Something is to be done: whoever moves the bytes must look.
    pub fn stir(&mut self) {
        if let Some(waker) = self.driver.take() {
            waker.wake();
        }
    }

    /// Called by whoever moves the bytes, when there is nothing to be moved.
    pub fn await_stirring(&mut self, cx: &Context<'_>) {
        if self.streams.held() == 0 {
            self.line.clear();
            self.streams.shrink();
        }
        // Whoever did not use his turn since the last rest will not: nobody else is to wait for him.
        if std::mem::replace(&mut self.rested, self.given) == self.given && self.turns > 0 {
            self.turns = 0;
            self.pass();
        }
        remember(&mut self.driver, cx);
    }

    /// Called before bytes are moved: what is decided meanwhile needs no waking.
    pub fn moves(&mut self) {
        self.driver = None;
    }
}

#[cfg(test)]
mod tests;
