//! What the peer sends, frame by frame. An `Err` ends the connection; what ends one stream is told to the peer here.

use super::super::cause;
use super::super::flood::Flood;
use super::super::frame::{Header, word};
use super::super::head::{self, AnswerReading, Flaw, RequestReading};
use super::*;
use crate::body::Length;
use crate::spare;
use bytes::{Buf, Bytes, BytesMut};
use model::HeaderBlock;

/// Payloads below this are copied, so that the buffer they came in can be used again.
const COPIED: usize = 2048;

type Received = Result<(), End>;

fn broken(code: u32, why: &'static str) -> End {
    End::Broken(code, why)
}

fn protocol(why: &'static str) -> End {
    broken(code::PROTOCOL_ERROR, why)
}

impl Connection {
    /// Takes all whole frames out of `bytes`. After the connection's end nothing is taken any more.
    pub fn receive(&mut self, bytes: &mut BytesMut, now: Instant) {
        self.now = now;
        while self.end.is_none()
            && let Some(header) = Header::read(bytes)
        {
            if let Err(end) = self.admit(header) {
                return self.refuse(end);
            }
            let whole = frame::HEADER + header.length;
            if bytes.len() < whole {
                // So that the next read can bring all of it.
                bytes.reserve(whole - bytes.len());
                return;
            }
            let received = match self.watch.frame(header, now) {
                Err(flood) => Err(End::Flood(flood)),
                Ok(()) if header.kind == kind::DATA => self.data(header, bytes.split_to(whole)),
                Ok(()) => {
                    let received = self.frame(header, &bytes[frame::HEADER..whole]);
                    bytes.advance(whole);
                    received
                }
            };
            if let Err(end) = received {
                return self.refuse(end);
            }
        }
    }

    /// What can be told by a header alone.
    fn admit(&self, header: Header) -> Received {
        if header.length > frame::MOST {
            return Err(broken(code::FRAME_SIZE_ERROR, "frame is longer than 16 KiB"));
        }
        if !self.peer.known && header.kind != kind::SETTINGS {
            return Err(protocol("first frame is not SETTINGS"));
        }
        match &self.block {
            Some(block) if header.kind != kind::CONTINUATION || header.stream != block.stream => {
                Err(protocol("header block is interrupted"))
            }
            None if header.kind == kind::CONTINUATION => Err(protocol("CONTINUATION of nothing")),
            _ => Ok(()),
        }
    }

    fn frame(&mut self, header: Header, payload: &[u8]) -> Received {
        match header.kind {
            kind::HEADERS => self.headers(header, payload),
            kind::CONTINUATION => self.continuation(header, payload),
            kind::PRIORITY => self.priority(header, payload),
            kind::RST_STREAM => self.rst_stream(header, payload),
            kind::SETTINGS => self.settings(header, payload),
            kind::PUSH_PROMISE => Err(protocol("PUSH_PROMISE that nobody may send")),
            kind::PING => self.ping(header, payload),
            kind::GOAWAY => self.goaway(header, payload),
            kind::WINDOW_UPDATE => self.window_update(header, payload),
            // Unknown ones are passed over (RFC 9113, section 4.1).
            _ => Ok(()),
        }
    }

    /// A stream that was never begun.
    fn is_idle(&self, id: u32) -> bool {
        let is_ours = (id % 2 == 1) == (self.facing == Facing::Upstream);
        if is_ours { id >= self.next } else { id > self.last }
    }

    /// The peer broke a rule on one stream (RFC 9113, section 5.4.2). Who provokes many is ended.
    fn stream_error(&mut self, id: u32, code: u32, why: &'static str, counts: bool) -> Received {
        if counts && !self.watch.provoked(self.now) {
            return Err(End::Flood(Flood::MadeYouReset));
        }
        if let Some(WhenReset(told)) = self.when_reset.as_ref().filter(|_| counts) {
            told(if why == head::BOMB { "h2_header_list_bomb" } else { cause(code) });
        }
        frame::write(&mut self.output.frames, kind::RST_STREAM, 0, id, &code.to_be_bytes());
        match self.streams.find(id) {
            Some(place) => {
                self.forget_pieces(place);
                self.close(place, Over::Broken(code, why), Closed::ByUs);
            }
            None => self.streams.remember(id, Closed::ByUs),
        }
        Ok(())
    }

    fn headers(&mut self, header: Header, payload: &[u8]) -> Received {
        if header.stream == 0 {
            return Err(protocol("HEADERS on no stream"));
        }
        let mut block = frame::unpadded(header, payload).ok_or_else(|| protocol("more padding than payload"))?;
        if header.has(flag::PRIORITY) {
            let (priority, rest) = block.split_at_checked(5).ok_or_else(|| broken(code::FRAME_SIZE_ERROR, "HEADERS are cut short"))?;
            if word(priority) == Some(header.stream) {
                return Err(protocol("stream depends on itself"));
            }
            block = rest;
        }
        let ends = header.has(flag::END_STREAM);
        if header.has(flag::END_HEADERS) {
            return self.head(header.stream, ends, block);
        }
        self.block = Some(Block { stream: header.stream, ends, bytes: block.to_vec() });
        Ok(())
    }

    fn continuation(&mut self, header: Header, payload: &[u8]) -> Received {
        let Some(mut block) = self.block.take() else { return Err(protocol("CONTINUATION of nothing")) };
        block.bytes.extend_from_slice(payload);
        if header.has(flag::END_HEADERS) {
            return self.head(block.stream, block.ends, &block.bytes);
        }
        self.block = Some(block);
        Ok(())
    }

    /// A header block that is whole. It is read whatever becomes of its stream, since the tables of both ends must stay the same.
    fn head(&mut self, id: u32, ends: bool, block: &[u8]) -> Received {
        if let Some(place) = self.streams.find(id) {
            let stream = self.streams.get(place);
            return match (stream.recv, self.facing) {
                (Side::Head, _) => self.answer(place, ends, block),
                (Side::Body, _) => self.trailing(place, ends, block),
                (Side::Ended, _) => {
                    self.pass_over(block)?;
                    self.stream_error(id, code::STREAM_CLOSED, "HEADERS behind the end of the stream", true)
                }
            };
        }
        let opens = self.facing == Facing::Downstream && id % 2 == 1 && id > self.last;
        if opens && !matches!(self.drain, Drain::Final(_)) {
            return self.request(id, ends, block);
        }
        self.pass_over(block)?;
        match self.streams.closed(id) {
            _ if opens || self.end.is_some() => Ok(()),
            Some(Closed::ByUs) => Ok(()),
            Some(Closed::ByPeer) => Err(broken(code::STREAM_CLOSED, "HEADERS on a stream that is closed")),
            // An answer to what was given up long ago.
            None if self.facing == Facing::Upstream && !self.is_idle(id) => Ok(()),
            None => Err(protocol("HEADERS on a stream that cannot be begun")),
        }
    }

    fn pass_over(&mut self, block: &[u8]) -> Received {
        self.decoder.decode(block, |_, _| {}).map_err(|e| broken(code::COMPRESSION_ERROR, e.why()))
    }

    fn request(&mut self, id: u32, ends: bool, block: &[u8]) -> Received {
        self.last = id;
        // Those that were answered may be held for a moment longer.
        let most = self.bounds.streams as usize;
        if self.streams.open() >= most || self.streams.held() >= most + limits::H2_STREAMS as usize {
            self.pass_over(block)?;
            return self.stream_error(id, code::REFUSED_STREAM, "more streams than are taken", false);
        }
        let mut into = spare::request();
        let mut reading = RequestReading::new(&mut into, &mut self.names, self.bounds.head_bytes);
        let decoded = self.decoder.decode(block, |name, value| reading.field(name, value));
        decoded.map_err(|e| broken(code::COMPRESSION_ERROR, e.why()))?;
        let told = match reading.end() {
            Ok(told) if ends && told.is_some_and(|length| length > 0) => Err(Flaw::Malformed("content-length without content")),
            told => told,
        };
        let told = match told {
            Ok(told) => told,
            Err(Flaw::Malformed(why)) => return self.stream_error(id, code::PROTOCOL_ERROR, why, true),
            Err(Flaw::Refused(fault, _)) => {
                let place = self.begin(id, ends);
                // What cannot be understood is answered here, and the connection goes on; who still sends a body need not.
                let answer = ResponseHead::with_status(fault.http_status());
                self.respond(place, &answer, Length::Known(0)).map_err(|_| End::Closed)?;
                if !ends {
                    self.reset(place, code::NO_ERROR);
                }
                return Ok(());
            }
        };
        head::name(&mut into, &self.names);
        let place = self.begin(id, ends);
        let stream = self.streams.get(place);
        (stream.announced, stream.expected) = (told, told);
        self.asked.push_back((place, into));
        Ok(())
    }

    fn begin(&mut self, id: u32, ends: bool) -> Place {
        let place = self.streams.begin(id, Window::new(self.peer.window));
        self.streams.get(place).recv = if ends { Side::Ended } else { Side::Body };
        place
    }

    fn answer(&mut self, place: Place, ends: bool, block: &[u8]) -> Received {
        let mut into = spare::response();
        into.version = model::Version::Http2;
        let mut reading = AnswerReading::new(&mut into.headers, self.bounds.head_bytes);
        let decoded = self.decoder.decode(block, |name, value| reading.field(name, value));
        decoded.map_err(|e| broken(code::COMPRESSION_ERROR, e.why()))?;
        let read = reading.end();
        let stream = self.streams.get(place);
        let id = stream.id;
        let (status, told) = match read {
            Ok(read) => read,
            Err(Flaw::Malformed(why) | Flaw::Refused(_, why)) => return self.stream_error(id, code::PROTOCOL_ERROR, why, true),
        };
        into.status = status;
        if status < 200 {
            stream.informed += 1;
            if ends || stream.informed > limits::INFORMATIONAL {
                let why = if ends { "informational answer ends the stream" } else { "too many informational answers" };
                return self.stream_error(id, code::PROTOCOL_ERROR, why, true);
            }
        } else {
            // A length tells nothing where no body can be (RFC 9110, section 8.6), and of a tunnel nothing at all.
            let is_tunnel = stream.tunnel && status < 300;
            stream.expected = told.filter(|_| !is_tunnel);
            let bodiless = stream.bodiless || matches!(status, 204 | 304);
            if ends && !bodiless && stream.expected.is_some_and(|length| length > 0) {
                return self.stream_error(id, code::PROTOCOL_ERROR, "content-length without content", true);
            }
            stream.recv = if ends { Side::Ended } else { Side::Body };
            if bodiless {
                stream.expected = Some(0);
            }
            stream.announced = stream.expected;
        }
        stream.answers.push_back(into);
        stream.wake_reader();
        self.close_if_ended(place);
        Ok(())
    }

    fn trailing(&mut self, place: Place, ends: bool, block: &[u8]) -> Received {
        let mut into = HeaderBlock::default();
        let mut reading = AnswerReading::trailers(&mut into, self.bounds.head_bytes);
        let decoded = self.decoder.decode(block, |name, value| reading.field(name, value));
        decoded.map_err(|e| broken(code::COMPRESSION_ERROR, e.why()))?;
        let read = reading.end_of_trailers();
        let stream = self.streams.get(place);
        let short = stream.expected.is_some_and(|left| left > 0);
        let (id, why) = match read {
            _ if !ends => (stream.id, "trailers that do not end the stream"),
            _ if short => (stream.id, "body is shorter than its content-length"),
            Err(Flaw::Malformed(why) | Flaw::Refused(_, why)) => (stream.id, why),
            Ok(()) => {
                stream.trailers = Some(into).filter(|fields| !fields.is_empty());
                stream.recv = Side::Ended;
                stream.wake_reader();
                self.close_if_ended(place);
                return Ok(());
            }
        };
        self.stream_error(id, code::PROTOCOL_ERROR, why, true)
    }

    fn data(&mut self, header: Header, mut bytes: BytesMut) -> Received {
        let Header { stream: id, length, .. } = header;
        if id == 0 || self.is_idle(id) {
            return Err(protocol("DATA on a stream that was never begun"));
        }
        if !self.allowance.take(length) {
            return Err(broken(code::FLOW_CONTROL_ERROR, "more data than the connection's window"));
        }
        bytes.advance(frame::HEADER);
        let size = frame::unpadded(header, &bytes).map(<[u8]>::len).ok_or_else(|| protocol("more padding than payload"))?;
        if size == 0 && length > 0 {
            // Padding alone is nothing either.
            self.watch.frame(Header { length: 0, ..header }, self.now).map_err(End::Flood)?;
        }
        let place = self.streams.find(id);
        let fault = match place {
            None if self.streams.closed(id) == Some(Closed::ByPeer) => Some((code::STREAM_CLOSED, "DATA on a stream that is closed")),
            None => None,
            Some(place) => {
                let stream = self.streams.get(place);
                let longer = stream.expected.is_some_and(|left| left < size as u64);
                let shorter = header.has(flag::END_STREAM) && stream.expected.is_some_and(|left| left > size as u64);
                match stream.recv {
                    Side::Ended => Some((code::STREAM_CLOSED, "DATA behind the end of the stream")),
                    Side::Head => Some((code::PROTOCOL_ERROR, "DATA before a head")),
                    Side::Body if longer || shorter => Some((code::PROTOCOL_ERROR, "body is not as long as its content-length")),
                    Side::Body if !stream.allowance.take(length) => Some((code::FLOW_CONTROL_ERROR, "more data than the stream's window")),
                    Side::Body => None,
                }
            }
        };
        if let Some((code, why)) = fault {
            self.give_back(length);
            return self.stream_error(id, code, why, true);
        }
        let Some(place) = place else {
            self.give_back(length);
            return Ok(());
        };
        if header.has(flag::PADDED) {
            bytes.advance(1);
        }
        bytes.truncate(size);
        self.piece(place, header, bytes);
        Ok(())
    }

    fn piece(&mut self, place: Place, header: Header, bytes: BytesMut) {
        let stream = self.streams.get(place);
        let size = bytes.len();
        stream.expected = stream.expected.map(|left| left - size as u64);
        if header.has(flag::END_STREAM) {
            stream.recv = Side::Ended;
        }
        let unread = stream.unread;
        if size > 0 && !unread {
            stream.put(if size < COPIED { Bytes::copy_from_slice(&bytes) } else { bytes.freeze() });
        }
        stream.wake_reader();
        // Padding is read at once, and so is what nobody wants.
        let read = header.length - if unread { 0 } else { size };
        if read > 0 {
            self.give_back(read);
            if !unread {
                self.give_back_on(place, read);
            }
        }
        self.close_if_ended(place);
    }

    fn priority(&mut self, header: Header, payload: &[u8]) -> Received {
        match word(payload).filter(|_| payload.len() == 5) {
            _ if header.stream == 0 => Err(protocol("PRIORITY of no stream")),
            None => Err(broken(code::FRAME_SIZE_ERROR, "PRIORITY has not its size")),
            Some(on) if on == header.stream => Err(protocol("stream depends on itself")),
            Some(_) => Ok(()),
        }
    }

    fn rst_stream(&mut self, header: Header, payload: &[u8]) -> Received {
        let Ok(code) = payload.try_into().map(u32::from_be_bytes) else {
            return Err(broken(code::FRAME_SIZE_ERROR, "RST_STREAM has not its size"));
        };
        if header.stream == 0 || self.is_idle(header.stream) {
            return Err(protocol("RST_STREAM of a stream that was never begun"));
        }
        if let Some(place) = self.streams.find(header.stream) {
            self.close(place, Over::Reset(code), Closed::ByPeer);
        }
        Ok(())
    }

    fn settings(&mut self, header: Header, payload: &[u8]) -> Received {
        if header.stream != 0 {
            return Err(protocol("SETTINGS of a stream"));
        }
        if header.has(flag::ACK) {
            let is_first = !self.peer.known;
            return match payload.is_empty() {
                true if is_first => Err(protocol("first SETTINGS are an acknowledgement")),
                true => Ok(()),
                false => Err(broken(code::FRAME_SIZE_ERROR, "acknowledgement of SETTINGS is not empty")),
            };
        }
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(broken(code::FRAME_SIZE_ERROR, "SETTINGS have not their size"));
        }
        for [a, b, w, x, y, z] in settings {
            self.setting(u16::from_be_bytes([*a, *b]), u32::from_be_bytes([*w, *x, *y, *z]))?;
        }
        let is_told = |id: u16| settings.iter().any(|setting| setting[..2] == id.to_be_bytes());
        if !std::mem::replace(&mut self.peer.known, true) && !is_told(setting::MAX_CONCURRENT_STREAMS) {
            self.peer.streams = u32::MAX;
        }
        frame::write(&mut self.output.frames, kind::SETTINGS, flag::ACK, 0, &[]);
        Ok(())
    }

    fn setting(&mut self, id: u16, value: u32) -> Received {
        match id {
            setting::HEADER_TABLE_SIZE => self.encoder.allow(value as usize),
            setting::ENABLE_PUSH if value > 1 => return Err(protocol("ENABLE_PUSH is neither 0 nor 1")),
            setting::ENABLE_PUSH if value == 1 && self.facing == Facing::Upstream => return Err(protocol("a server allows pushes")),
            setting::MAX_CONCURRENT_STREAMS => self.peer.streams = value,
            setting::INITIAL_WINDOW_SIZE => return self.initial_window(value),
            setting::MAX_FRAME_SIZE => match value as usize {
                frame::MOST..0x100_0000 => self.peer.frame = value as usize,
                _ => return Err(protocol("MAX_FRAME_SIZE is out of bounds")),
            },
            setting::ENABLE_CONNECT_PROTOCOL if value > 1 => return Err(protocol("ENABLE_CONNECT_PROTOCOL is neither 0 nor 1")),
            setting::ENABLE_CONNECT_PROTOCOL => self.peer.takes_upgrades = value == 1,
            _ => {}
        }
        Ok(())
    }

    /// Applies to streams under way too (RFC 9113, section 6.9.2).
    fn initial_window(&mut self, value: u32) -> Received {
        let too_large = || broken(code::FLOW_CONTROL_ERROR, "window beyond all bounds");
        if value > 0x7fff_ffff {
            return Err(too_large());
        }
        let difference = i64::from(value) - i64::from(self.peer.window);
        self.peer.window = value;
        for stream in self.streams.each() {
            if !stream.window.widen(difference) {
                return Err(too_large());
            }
            if difference > 0 {
                stream.wake_writer();
            }
        }
        Ok(())
    }

    fn ping(&mut self, header: Header, payload: &[u8]) -> Received {
        match (header.stream, payload.len()) {
            (0, 8) if !header.has(flag::ACK) => frame::write(&mut self.output.frames, kind::PING, flag::ACK, 0, payload),
            (0, 8) if payload == DRAIN_PING => self.drained(),
            (0, 8) => {}
            (0, _) => return Err(broken(code::FRAME_SIZE_ERROR, "PING has not its size")),
            _ => return Err(protocol("PING of a stream")),
        }
        Ok(())
    }

    fn goaway(&mut self, header: Header, payload: &[u8]) -> Received {
        if header.stream != 0 {
            return Err(protocol("GOAWAY of a stream"));
        }
        let (Some(last), Some(code)) = (word(payload), payload.get(4..8).and_then(|code| code.try_into().ok())) else {
            return Err(broken(code::FRAME_SIZE_ERROR, "GOAWAY is cut short"));
        };
        let before = self.goodbye.map_or(u32::MAX, |(last, _)| last);
        if last > before {
            return Err(protocol("GOAWAY with a later stream than before"));
        }
        self.goodbye = Some((last, u32::from_be_bytes(code)));
        if self.facing == Facing::Upstream {
            for place in self.streams.above(last) {
                self.close(place, Over::Unprocessed, Closed::ByPeer);
            }
        }
        Ok(())
    }

    fn window_update(&mut self, header: Header, payload: &[u8]) -> Received {
        let Some(increment) = word(payload).filter(|_| payload.len() == 4) else {
            return Err(broken(code::FRAME_SIZE_ERROR, "WINDOW_UPDATE has not its size"));
        };
        if header.stream == 0 {
            if increment == 0 {
                return Err(protocol("WINDOW_UPDATE of nothing"));
            }
            if !self.window.widen(i64::from(increment)) {
                return Err(broken(code::FLOW_CONTROL_ERROR, "window beyond all bounds"));
            }
            self.pass();
            return Ok(());
        }
        if self.is_idle(header.stream) {
            return Err(protocol("WINDOW_UPDATE of a stream that was never begun"));
        }
        let Some(place) = self.streams.find(header.stream) else { return Ok(()) };
        if increment == 0 {
            return self.stream_error(header.stream, code::PROTOCOL_ERROR, "WINDOW_UPDATE of nothing", true);
        }
        let stream = self.streams.get(place);
        if !stream.window.widen(i64::from(increment)) {
            return self.stream_error(header.stream, code::FLOW_CONTROL_ERROR, "window beyond all bounds", true);
        }
        stream.wake_writer();
        Ok(())
    }
}
