//! Who speaks first decides. A caller is given a moment; then upstream is dialled, so that a server that greets can do so. What the caller says is
//! sniffed however late it comes. Where nothing but HTTP may pass, upstream is never dialled for its greeting, and what is not HTTP is named.

use super::{Sniffed, sniff};
use crate::limits;
use model::Hostname;
use std::time::Instant;

/// What may pass on the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    Anything,
    /// Layer-7 routes or policies hang on it: there is no falling back to bytes.
    HttpAlone,
}

/// What happened since the last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'b> {
    /// Nothing but time.
    Time,
    /// The caller said more; this is all that it said so far.
    Caller(&'b [u8]),
    /// The caller says no more.
    CallerEnded,
    Server,
    /// Upstream closed without a word.
    ServerEnded,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// For the next event, or for this moment.
    Wait(Option<Instant>),
    /// Upstream, once; then wait for the next event.
    Dial,
    Decided(Verdict),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Http1,
    Http2,
    /// Bytes; the caller's TLS and whom it names, where it is that.
    Opaque {
        server_first: bool,
        tls: Option<Option<Hostname>>,
    },
    /// The caller left, or waited for too long, without a word.
    Nothing,
    /// HTTP alone may pass, and this is not it.
    Unrecognised(&'static str),
}

/// One connection until its protocol is known.
#[derive(Debug)]
pub struct Detection {
    reads: Reads,
    began: Instant,
    dialled: bool,
    /// When the caller began to speak.
    spoke: Option<Instant>,
}

const BYTES: Verdict = Verdict::Opaque { server_first: false, tls: None };

impl Detection {
    /// `dialled`: upstream is open already.
    pub fn new(reads: Reads, dialled: bool, now: Instant) -> Self {
        Self { reads, began: now, dialled, spoke: None }
    }

    pub fn handle(&mut self, event: Event<'_>, now: Instant) -> Step {
        match (event, self.reads) {
            (Event::Time, _) => self.wait(now),
            (Event::Caller(bytes), reads) => {
                self.spoke.get_or_insert(now);
                match (sniff(bytes), reads) {
                    (Sniffed::Need, _) => self.wait(now),
                    (Sniffed::Http1, _) => Step::Decided(Verdict::Http1),
                    (Sniffed::Http2, _) => Step::Decided(Verdict::Http2),
                    (Sniffed::Tls(name), Reads::Anything) => Step::Decided(Verdict::Opaque { server_first: false, tls: Some(name) }),
                    (Sniffed::Other, Reads::Anything) => Step::Decided(BYTES),
                    (Sniffed::Tls(_), Reads::HttpAlone) => unrecognised("TLS of the caller's own came where only HTTP can be routed"),
                    (Sniffed::Other, Reads::HttpAlone) => unrecognised("what came is neither HTTP/1 nor HTTP/2"),
                }
            }
            // It may still want to listen.
            (Event::CallerEnded, Reads::Anything) => Step::Decided(BYTES),
            (Event::CallerEnded, Reads::HttpAlone) if self.spoke.is_none() => Step::Decided(Verdict::Nothing),
            (Event::CallerEnded, Reads::HttpAlone) => unrecognised("the caller ended within its first words"),
            // It has not seen a byte of the caller's, so it spoke first whatever the caller has begun to say.
            (Event::Server, _) => Step::Decided(Verdict::Opaque { server_first: true, tls: None }),
            (Event::ServerEnded, _) => Step::Decided(BYTES),
        }
    }

    fn wait(&mut self, now: Instant) -> Step {
        let (until, late) = match (self.spoke, self.reads) {
            (Some(spoke), Reads::Anything) => (spoke + limits::SNIFF_TIME, Step::Decided(BYTES)),
            (Some(spoke), Reads::HttpAlone) => (spoke + limits::HEAD_TIME, unrecognised("the caller said too little to tell its protocol")),
            (None, Reads::HttpAlone) => (self.began + limits::KEEP_ALIVE, Step::Decided(Verdict::Nothing)),
            // Neither side has said a word: as long as two pieces of bytes may be apart.
            (None, Reads::Anything) if self.dialled => (self.began + limits::TUNNEL_IDLE, Step::Decided(Verdict::Nothing)),
            (None, Reads::Anything) => (self.began + limits::SPEAK_FIRST, Step::Dial),
        };
        if now < until {
            return Step::Wait(Some(until));
        }
        self.dialled |= late == Step::Dial;
        late
    }
}

fn unrecognised(why: &'static str) -> Step {
    Step::Decided(Verdict::Unrecognised(why))
}

#[cfg(test)]
mod tests;
