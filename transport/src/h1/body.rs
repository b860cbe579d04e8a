//! Bodies of HTTP/1, in and out. Chunked ones are read chunk by chunk and written anew, so that extensions and odd sizes end here.

use super::framing::Framing;
use super::head;
use super::reader::Reader;
use super::writer::Writer;
use crate::body::Length;
use crate::{Error, limits};
use bytes::{Buf, Bytes};
use model::{Fault, HeaderBlock};

#[derive(Debug)]
enum State {
    Length(u64),
    /// Bytes left of the present chunk.
    InChunk(u64),
    /// The CRLF behind a chunk's data.
    ChunkEnd,
    ChunkSize,
    Trailers,
    UntilClose,
    Done,
}

/// A body that is being received. Reading keeps its place here, so that a read given up half-way loses nothing.
#[derive(Debug)]
pub struct BodyReader<'c> {
    reader: &'c mut Reader,
    state: State,
    length: Length,
    trailers: Option<HeaderBlock>,
    /// Bytes of chunk extensions so far.
    extensions: usize,
    /// What a sender that breaks the framing is accused of.
    fault: Fault,
}

impl<'c> BodyReader<'c> {
    pub(super) fn new(reader: &'c mut Reader, framing: Framing, fault: Fault) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(n) => State::Length(n),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        Self { reader, state, length: framing.length(), trailers: None, extensions: 0, fault }
    }

    pub fn length(&self) -> Length {
        self.length
    }

    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Done)
    }

    pub fn trailers(&mut self) -> Option<HeaderBlock> {
        self.trailers.take()
    }

    /// Ends once the sender is gone ([`Reader::gone`]); for use when the whole body has been read.
    pub async fn gone(&mut self) -> Error {
        self.reader.gone().await
    }

    fn error(&self, why: &'static str) -> Error {
        Error::new(self.fault, why)
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// If the framing is broken, the sender pauses too long, or it is gone.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if matches!(self.state, State::Done) {
                return Ok(None);
            }
            if let Some(piece) = self.step()? {
                return Ok(Some(piece));
            }
            if matches!(self.state, State::Done) {
                return Ok(None);
            }
            if !self.more().await? {
                return match self.state {
                    State::UntilClose => {
                        self.state = State::Done;
                        Ok(None)
                    }
                    _ => Err(Error::new(self.lost_by(), "closed before the body's end")),
                };
            }
        }
    }

    /// What can be said without reading more.
    pub fn at_hand(&mut self) -> Option<Result<Option<Bytes>, Error>> {
        match self.step() {
            Ok(None) => matches!(self.state, State::Done).then_some(Ok(None)),
            told => Some(told),
        }
    }

    fn lost_by(&self) -> Fault {
        match self.fault {
            Fault::MalformedRequest => Fault::DownstreamClosed,
            _ => Fault::UpstreamIncomplete,
        }
    }

    async fn more(&mut self) -> Result<bool, Error> {
        let request = self.fault == Fault::MalformedRequest;
        let (idle, late) = match request {
            true => {
                let idle = self.reader.bounds.body_idle;
                (idle, Error::new(Fault::SlowRequest, format!("body stood still for {idle:?}")))
            }
            false => (limits::ANSWER_IDLE, Error::new(Fault::BackendTimeout, "body stood still for an hour")),
        };
        let read = self.reader.fill_within(limits::BODY_BUFFER, idle).await;
        match read {
            Some(Ok(more)) => Ok(more),
            Some(Err(e)) => Err(Error::new(self.lost_by(), e.to_string())),
            None => Err(late),
        }
    }

    /// One step with what is in the buffer; a piece of the body where there is one. `None` asks for more bytes, unless the state is `Done`.
    fn step(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.state {
                State::Done => return Ok(None),
                State::UntilClose => return Ok(self.take(u64::MAX)),
                State::Length(left) => {
                    let piece = self.take(left);
                    if let Some(piece) = &piece {
                        let left = left - piece.len() as u64;
                        self.state = if left == 0 { State::Done } else { State::Length(left) };
                    }
                    return Ok(piece);
                }
                State::InChunk(left) => {
                    let piece = self.take(left);
                    if let Some(piece) = &piece {
                        let left = left - piece.len() as u64;
                        self.state = if left == 0 { State::ChunkEnd } else { State::InChunk(left) };
                    }
                    return Ok(piece);
                }
                State::ChunkEnd => {
                    let buffer = &mut self.reader.buffer;
                    if buffer.len() < 2 {
                        return Ok(None);
                    }
                    if !buffer.starts_with(b"\r\n") {
                        return Err(self.error("chunk is longer than its size"));
                    }
                    buffer.advance(2);
                    self.state = State::ChunkSize;
                }
                State::ChunkSize => match self.chunk_size()? {
                    None => return Ok(None),
                    Some(0) => self.state = State::Trailers,
                    Some(size) => self.state = State::InChunk(size),
                },
                State::Trailers => {
                    if !self.read_trailers()? {
                        return Ok(None);
                    }
                    self.state = State::Done;
                }
            }
        }
    }

    fn take(&mut self, most: u64) -> Option<Bytes> {
        let buffer = &mut self.reader.buffer;
        let n = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
        (n > 0).then(|| buffer.split_to(n).freeze())
    }

    /// A chunk-size line: hexadecimal digits, at most 16, then CRLF or an extension, which is dropped.
    fn chunk_size(&mut self) -> Result<Option<u64>, Error> {
        let buffer = &self.reader.buffer;
        let window = &buffer[..buffer.len().min(limits::CHUNK_LINE_BYTES)];
        let Some(end) = memchr::memchr(b'\n', window) else {
            return match buffer.len() >= limits::CHUNK_LINE_BYTES {
                true => Err(self.error("chunk-size line is longer than 256 bytes")),
                false => Ok(None),
            };
        };
        let line = window[..end].strip_suffix(b"\r").ok_or_else(|| self.error("chunk-size line is not ended by CRLF"))?;
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let (number, extension) = line.split_at(digits);
        // Judged before it is trimmed: to Rust CR and form feed are white space, to HTTP they are not.
        let good = (1..=16).contains(&digits)
            && extension.iter().all(|b| model::http::is_value_byte(*b))
            && matches!(extension.trim_ascii_start(), [] | [b';', ..]);
        let size = std::str::from_utf8(number).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
        let size = size.filter(|_| good).ok_or_else(|| self.error("chunk size is not hexadecimal digits"))?;
        self.extensions += extension.len();
        if self.extensions > limits::CHUNK_EXTENSION_BYTES {
            return Err(self.error("chunk extensions of one body are longer than 16 KiB"));
        }
        self.reader.buffer.advance(end + 1);
        Ok(Some(size))
    }

    fn read_trailers(&mut self) -> Result<bool, Error> {
        let buffer = &self.reader.buffer;
        if buffer.starts_with(b"\r\n") {
            self.reader.buffer.advance(2);
            return Ok(true);
        }
        let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") else {
            return match buffer.len() > limits::TRAILER_BYTES {
                true => Err(self.error("trailer section is longer than 8 KiB")),
                false => Ok(false),
            };
        };
        if end > limits::TRAILER_BYTES {
            return Err(self.error("trailer section is longer than 8 KiB"));
        }
        let block = head::find_end(&buffer[..end + 4], &mut 0, limits::HEAD_BYTES).and_then(|_| head::trailers(&buffer[..end + 4]));
        self.trailers = Some(block.map_err(|e| Error::new(self.fault, e.why))?);
        self.reader.buffer.advance(end + 4);
        Ok(true)
    }
}

/// A body that is being sent behind a head that the [`Writer`] holds.
#[derive(Debug)]
pub struct BodyWriter<'c> {
    writer: &'c mut Writer,
    framing: Framing,
    left: u64,
    fault: Fault,
    /// Where the head begins in what is held, while nothing of it has gone out.
    held_at: Option<usize>,
}

impl<'c> BodyWriter<'c> {
    pub(super) fn new(writer: &'c mut Writer, framing: Framing, fault: Fault, head_at: usize) -> Self {
        let left = if let Framing::Length(n) = framing { n } else { 0 };
        Self { writer, framing, left, fault, held_at: Some(head_at) }
    }

    /// Takes the head back where nothing of it has gone out, and says whether it could: another answer may then take its place.
    pub fn withdraw(&mut self) -> bool {
        let held_at = self.held_at.take();
        held_at.map(|at| self.writer.forget(at)).is_some()
    }

    fn lost(&self, e: &std::io::Error) -> Error {
        Error::new(self.fault, e.to_string())
    }

    /// # Errors
    /// If the receiver is gone, or more comes than was announced.
    pub async fn send(&mut self, piece: &[u8]) -> Result<(), Error> {
        if piece.is_empty() {
            return Ok(());
        }
        self.held_at = None;
        let sent = match self.framing {
            Framing::None => return Ok(()),
            Framing::Length(_) => {
                let size = piece.len() as u64;
                self.left = self.left.checked_sub(size).ok_or_else(|| Error::new(Fault::Internal, "body is longer than announced"))?;
                self.writer.send(piece).await
            }
            Framing::UntilClose => self.writer.send(piece).await,
            Framing::Chunked => {
                self.writer.hold(format_args!("{:x}\r\n", piece.len()));
                let sent = self.writer.send(piece).await;
                self.writer.hold(format_args!("\r\n"));
                sent
            }
        };
        sent.map_err(|e| self.lost(&e))
    }

    /// Has the last piece sent without waiting for it, if it is the last, small, and others have something to send too.
    pub fn post(&mut self, piece: &[u8]) -> bool {
        let posted = matches!(self.framing, Framing::Length(_)) && self.left == piece.len() as u64 && self.writer.post(piece);
        if posted {
            (self.held_at, self.left) = (None, 0);
        }
        posted
    }

    /// Ends the body where nobody has to be waited for.
    pub fn end(&mut self) -> bool {
        let whole = match self.framing {
            Framing::Length(_) => self.left == 0,
            Framing::None | Framing::UntilClose => true,
            Framing::Chunked => false,
        };
        let ended = whole && (self.writer.is_empty() || self.writer.post(&[]));
        if ended {
            self.held_at = None;
        }
        ended
    }

    /// # Errors
    /// If the receiver is gone.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.held_at = None;
        self.writer.flush().await.map_err(|e| self.lost(&e))
    }

    /// # Errors
    /// If the receiver is gone, or less came than was announced.
    pub async fn finish(&mut self, trailers: Option<&HeaderBlock>) -> Result<(), Error> {
        match self.framing {
            Framing::Length(_) if self.left > 0 => return Err(Error::new(Fault::Internal, "body is shorter than announced")),
            Framing::Chunked => {
                self.writer.hold(format_args!("0\r\n"));
                if let Some(trailers) = trailers {
                    self.writer.hold_fields(trailers);
                }
                self.writer.hold(format_args!("\r\n"));
            }
            _ => {}
        }
        self.flush().await
    }
}
