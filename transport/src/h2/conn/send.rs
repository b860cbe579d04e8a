//! What the holders of streams ask for: heads and bodies, out and in.

use super::super::frame::Header;
use super::super::head;
use super::*;
use crate::body::Length;
use crate::{Error, h2, spare};
use bytes::Bytes;
use model::{Fault, HeaderBlock, Method};
use std::task::Poll;
use std::time::Duration;

/// What streams are reset for whose receiver opens no window, as metrics name it.
const WINDOW_SHUT: &str = "h2_window_shut";

impl Connection {
    /// Sends a request's head; the caller holds the stream.
    pub fn ask(&mut self, head: &RequestHead, length: Length) -> Result<Place, Error> {
        if !self.is_usable() || !self.has_room() {
            let why =
                if self.is_usable() { "server takes no more streams on this connection" } else { "connection takes no more requests" };
            let fault = if self.is_usable() { Fault::Overflow } else { Fault::UpstreamReset };
            let mut error = Error::new(fault, why).with_nothing_received();
            // Not a byte of it went out.
            error.reset = Some(h2::code::REFUSED_STREAM);
            return Err(error);
        }
        if head.protocol.is_some() && !self.takes_upgrades() {
            return Err(Error::new(Fault::UpstreamProtocol, "server takes no extended CONNECT").with_nothing_received());
        }
        let ends = matches!(length, Length::None | Length::Known(0));
        let id = self.next;
        self.put_head(id, ends, |encoder, out| head::put_request(head, length, encoder, out))?;
        self.next += 2;
        let place = self.streams.begin(id, Window::new(self.peer.window));
        let stream = self.streams.get(place);
        stream.handles = 1;
        stream.send = if ends { Side::Ended } else { Side::Body };
        stream.bodiless = head.method == Method::Head;
        stream.tunnel = head.method == Method::Connect;
        Ok(place)
    }

    /// An answer of class 1xx.
    pub fn inform(&mut self, place: Place, head: &ResponseHead) -> Result<(), Error> {
        let id = self.open_for_sending(place)?;
        self.put_head(id, false, |encoder, out| head::put_response(head, Length::None, encoder, out))
    }

    pub fn respond(&mut self, place: Place, head: &ResponseHead, length: Length) -> Result<(), Error> {
        let id = self.open_for_sending(place)?;
        let ends = matches!(length, Length::None | Length::Known(0));
        self.put_head(id, ends, |encoder, out| head::put_response(head, length, encoder, out))?;
        self.streams.get(place).send = if ends { Side::Ended } else { Side::Body };
        self.close_if_ended(place);
        Ok(())
    }

    fn open_for_sending(&mut self, place: Place) -> Result<u32, Error> {
        match self.streams.get(place).over {
            Some(over) => Err(self.error(over)),
            None => Ok(self.streams.get(place).id),
        }
    }

    /// Writes a header block into one frame, or into as many as the peer wants it cut into.
    fn put_head(&mut self, id: u32, ends: bool, put: impl FnOnce(&mut Encoder, &mut Vec<u8>) -> Result<(), Error>) -> Result<(), Error> {
        let out = &mut self.output.frames;
        let start = out.len();
        out.extend_from_slice(&[0; frame::HEADER]);
        if let Err(error) = put(&mut self.encoder, out) {
            out.truncate(start);
            return Err(error);
        }
        let length = out.len() - start - frame::HEADER;
        let first = length.min(frame::MOST);
        let end_stream = if ends { flag::END_STREAM } else { 0 };
        let end_headers = |is_last: bool| if is_last { flag::END_HEADERS } else { 0 };
        let header = Header { length: first, kind: kind::HEADERS, flags: end_stream | end_headers(first == length), stream: id };
        out[start..start + frame::HEADER].copy_from_slice(&header.bytes());
        if first < length {
            let rest = out.split_off(start + frame::HEADER + first);
            let mut pieces = rest.chunks(frame::MOST).peekable();
            while let Some(piece) = pieces.next() {
                frame::write(out, kind::CONTINUATION, end_headers(pieces.peek().is_none()), id, piece);
            }
        }
        self.stir();
        Ok(())
    }

    /// How much of `wanted` may be sent now, at least something.
    pub fn poll_room(&mut self, place: Place, wanted: usize, cx: &Context<'_>) -> Poll<Result<usize, Error>> {
        let room = self.room();
        let stream = self.streams.get(place);
        if let Some(over) = stream.over {
            return Poll::Ready(Err(self.error(over)));
        }
        let turn = self.uses_turn(place);
        let stream = self.streams.get(place);
        if stream.window.room() == 0 {
            stream.await_writing(cx);
            if turn {
                self.pass();
            }
            return Poll::Pending;
        }
        // Who came before goes before.
        if room == 0 || (!turn && !self.line.is_empty()) {
            if !std::mem::replace(&mut stream.queued, true) {
                self.line.push_back(place);
            }
            stream.await_writing(cx);
            self.pass();
            return Poll::Pending;
        }
        Poll::Ready(Ok(wanted.min(room).min(stream.window.room()).min(frame::MOST)))
    }

    /// The peer left no room for so long, and is not waited for any more. A caller who holds its windows shut is told so, and counted by that name; one whose
    /// socket takes nothing hears nothing either.
    #[cold]
    pub fn stalled(&mut self, place: Place, patience: Duration) -> Error {
        let shut = self.window.room() == 0 || self.streams.get(place).window.room() == 0;
        if shut && self.facing == Facing::Downstream {
            if let Some(WhenReset(told)) = &self.when_reset {
                told(WINDOW_SHUT);
            }
            self.reset(place, h2::code::ENHANCE_YOUR_CALM);
        }
        Error::new(self.facing.lost(), format!("receiver opened no window for {patience:?}"))
    }

    /// A piece within what [`Connection::poll_room`] allowed.
    pub fn send(&mut self, place: Place, piece: Bytes, end: bool) -> Result<(), Error> {
        self.put(place, piece.len(), end, |output, id| output.data(id, piece, end))
    }

    /// The same of bytes that stay their owner's.
    pub fn send_copied(&mut self, place: Place, bytes: &[u8]) -> Result<(), Error> {
        self.put(place, bytes.len(), false, |output, id| output.copied(id, bytes))
    }

    fn put(&mut self, place: Place, size: usize, end: bool, write: impl FnOnce(&mut Output, u32)) -> Result<(), Error> {
        let id = self.open_for_sending(place)?;
        self.window.take(size);
        let stream = self.streams.get(place);
        stream.window.take(size);
        if end {
            stream.send = Side::Ended;
        }
        write(&mut self.output, id);
        self.stir();
        if !self.line.is_empty() {
            self.pass();
        }
        self.close_if_ended(place);
        Ok(())
    }

    pub fn send_trailers(&mut self, place: Place, trailers: &HeaderBlock) -> Result<(), Error> {
        let id = self.open_for_sending(place)?;
        self.put_head(id, true, |encoder, out| {
            head::put_trailers(trailers, encoder, out);
            Ok(())
        })?;
        self.streams.get(place).send = Side::Ended;
        self.close_if_ended(place);
        Ok(())
    }

    /// The next head of an answer, exchanged for `into`; whether it is the last one.
    pub fn poll_answer(&mut self, place: Place, into: &mut ResponseHead, cx: &Context<'_>) -> Poll<Result<bool, Error>> {
        let stream = self.streams.get(place);
        if let Some(mut head) = stream.answers.pop_front() {
            std::mem::swap(&mut *head, into);
            spare::keep_response(head);
            return Poll::Ready(Ok(into.status >= 200));
        }
        match stream.over {
            Some(over) => Poll::Ready(Err(self.error(over))),
            None => {
                stream.await_reading(cx);
                Poll::Pending
            }
        }
    }

    /// The next piece of a body, or its end. The window of the piece before is given back.
    pub fn poll_piece(&mut self, place: Place, cx: &Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        let taken = std::mem::take(&mut self.streams.get(place).taken);
        if taken > 0 {
            self.give_back(taken);
            self.give_back_on(place, taken);
        }
        let stream = self.streams.get(place);
        if let Some(piece) = stream.pieces.pop_front() {
            stream.taken = piece.len();
            return Poll::Ready(Ok(Some(piece)));
        }
        match stream.over {
            _ if stream.recv == Side::Ended => Poll::Ready(Ok(None)),
            Some(over) => Poll::Ready(Err(self.error(over))),
            None => {
                stream.await_reading(cx);
                Poll::Pending
            }
        }
    }

    /// Whether the peer has sent the end of its side.
    pub fn all_came(&mut self, place: Place) -> bool {
        self.streams.get(place).recv == Side::Ended
    }

    pub(super) fn give_back_on(&mut self, place: Place, size: usize) {
        let stream = self.streams.get(place);
        if stream.recv == Side::Body
            && stream.over.is_none()
            && let Some(increment) = stream.allowance.give(size)
        {
            let id = stream.id;
            frame::write(&mut self.output.frames, kind::WINDOW_UPDATE, 0, id, &increment.to_be_bytes());
            self.stir();
        }
    }

    /// Nobody reads a stream's body any more.
    pub fn unread(&mut self, place: Place) {
        self.streams.get(place).unread = true;
        self.forget_pieces(place);
    }

    /// Ends once the stream has ended before its time.
    pub fn poll_over(&mut self, place: Place, cx: &Context<'_>) -> Poll<Error> {
        let stream = self.streams.get(place);
        match stream.over {
            Some(over) => Poll::Ready(self.error(over)),
            None => {
                stream.await_writing(cx);
                Poll::Pending
            }
        }
    }

    /// Whether a body that comes in has no more to come, and its announced length.
    pub fn incoming(&mut self, place: Place) -> Length {
        let stream = self.streams.get(place);
        let is_end = stream.recv == Side::Ended && stream.pieces.is_empty() && stream.trailers.is_none();
        head::length(stream.announced, is_end)
    }

    pub fn trailers(&mut self, place: Place) -> Option<HeaderBlock> {
        self.streams.get(place).trailers.take()
    }

    /// Why a stream is over, for those who asked for it.
    fn error(&self, over: Over) -> Error {
        let facing = self.facing;
        match over {
            Over::Reset(code) => facing.reset(code),
            Over::Broken(code, why) => facing.broke(code, why),
            Over::GivenUp => Error::new(facing.lost(), "HTTP/2: stream was given up"),
            Over::Unprocessed => {
                let mut error = Error::new(facing.lost(), "HTTP/2: server goes away and did not begin this request");
                error.reset = Some(h2::code::REFUSED_STREAM);
                error
            }
            Over::Connection => facing.ended(self.end.as_ref().unwrap_or(&End::Closed)),
        }
    }
}
