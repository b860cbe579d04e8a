//! What goes out on a connection. A head is held back until the first piece of the body comes or is waited for, so that both leave in one
//! system call.

use super::body::BodyWriter;
use super::framing::Framing;
use crate::body::Length;
use crate::decimal::digits;
use crate::rt::{self, Send};
use crate::{limits, spare};
use model::{Fault, HeaderBlock, Method, RequestHead, ResponseHead, Version};
use std::io::Write;
use std::time::Duration;

/// Pieces up to this size are copied behind what is held.
const GATHER: usize = 4 * 1024;

#[derive(Debug)]
pub struct Writer {
    send: Send,
    held: Vec<u8>,
    /// For the receiver to take something.
    pub(super) patience: Duration,
}

impl Writer {
    pub fn new(send: Send) -> Self {
        Self { send, held: Vec::new(), patience: limits::BODY_IDLE }
    }

    pub(super) fn into_send(self) -> Send {
        self.send
    }

    pub fn send_half(&mut self) -> &mut Send {
        &mut self.send
    }

    /// Takes memory for a head.
    fn open(&mut self) {
        if self.held.capacity() == 0 {
            self.held = spare::text();
        }
    }

    pub(super) fn hold(&mut self, text: std::fmt::Arguments<'_>) {
        self.open();
        // Writing to a vector does not fail.
        let _ = self.held.write_fmt(text);
    }

    pub(super) fn hold_fields(&mut self, fields: &HeaderBlock) {
        fields.write_http1(&mut self.held);
    }

    /// Forgets what is held from there on.
    pub(super) fn forget(&mut self, from: usize) {
        self.held.truncate(from);
    }

    /// Holds bytes that go out before the next head: a preface.
    pub fn hold_first(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Has what is held and `piece`, the last of a message, sent without waiting for it, or says that it cannot be.
    pub(super) fn post(&mut self, piece: &[u8]) -> bool {
        if piece.len() > GATHER {
            return false;
        }
        let held = self.held.len();
        self.held.extend_from_slice(piece);
        let posted = self.send.post(&mut self.held, self.patience);
        if !posted {
            self.held.truncate(held);
        }
        posted
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// What is held, then `piece`.
    pub(super) async fn send(&mut self, piece: &[u8]) -> std::io::Result<()> {
        // A peer that stops reading is not waited for without end.
        // One small piece beside another costs the kernel more to gather than us to copy.
        let piece = match piece.len() <= GATHER && !self.held.is_empty() {
            true => {
                self.held.extend_from_slice(piece);
                &[][..]
            }
            false => piece,
        };
        rt::behind().await;
        let patience = self.patience;
        let late = || Err(std::io::Error::new(std::io::ErrorKind::TimedOut, format!("the receiver took nothing for {patience:?}")));
        let sent = match rt::timeout(patience, self.send.send(&self.held, piece)).await {
            Some(sent) => sent,
            None => {
                self.send.stalled(patience);
                late()
            }
        };
        spare::keep_text(std::mem::take(&mut self.held));
        sent
    }

    /// # Errors
    /// Those of the connection.
    pub async fn flush(&mut self) -> std::io::Result<()> {
        match self.held.is_empty() {
            true => Ok(()),
            false => self.send(&[]).await,
        }
    }

    /// Holds a request head and gives the body that belongs to it. `upgrade` names the protocol that is asked for.
    pub fn request(&mut self, head: &mut RequestHead, length: Length, upgrade: Option<&str>) -> BodyWriter<'_> {
        self.open();
        let (framing, at) = (outgoing_framing(length), self.held.len());
        // A request without a body says nothing of its length, but for methods that usually have one (RFC 9110, section 8.6).
        let silent = length == Length::None && !matches!(head.method, Method::Post | Method::Put | Method::Patch);
        frame(&mut head.headers, framing, silent);
        match head.headers.get("host") {
            Some(host) if host == head.authority().as_bytes() => {}
            _ => {
                let authority = head.authority().to_owned();
                head.headers.set("Host", authority.as_bytes());
            }
        }
        let target = if head.method == Method::Connect { head.authority() } else { head.target() };
        self.held.extend_from_slice(head.method.as_str().as_bytes());
        self.held.push(b' ');
        self.held.extend_from_slice(target.as_bytes());
        self.held.extend_from_slice(b" HTTP/1.1\r\n");
        head.headers.write_http1(&mut self.held);
        if let Some(protocol) = upgrade {
            self.hold(format_args!("Connection: Upgrade\r\nUpgrade: {protocol}\r\n"));
        }
        self.held.extend_from_slice(b"\r\n");
        BodyWriter::new(self, framing, Fault::UpstreamReset, at)
    }

    /// Holds a response head and gives the body that belongs to it. `version` is what the receiver speaks; `close` tells it that the connection
    /// ends after this. Answers to HEAD keep the length that they announce and have no body.
    pub fn response(
        &mut self,
        head: &mut ResponseHead,
        length: Length,
        method: &Method,
        version: Version,
        close: &mut bool,
        upgrade: Option<&str>,
    ) -> BodyWriter<'_> {
        let bodiless = head.status < 200 || matches!(head.status, 204 | 304) || *method == Method::Head;
        let framing = match outgoing_framing(length) {
            _ if bodiless => Framing::None,
            // HTTP/1.0 knows no chunks: the end of the connection is the end of the body.
            Framing::Chunked if version == Version::Http10 => Framing::UntilClose,
            framing => framing,
        };
        if !bodiless {
            frame(&mut head.headers, framing, false);
        } else if head.status < 200 || head.status == 204 {
            head.headers.remove("content-length");
            head.headers.remove("transfer-encoding");
        }
        *close |= framing == Framing::UntilClose;
        self.open();
        let at = self.held.len();
        let reason = if head.reason.is_empty() { reason(head.status) } else { &head.reason };
        let digit = |place: u16| b'0' + (head.status / place % 10) as u8;
        self.held.extend_from_slice(b"HTTP/1.1 ");
        self.held.extend_from_slice(&[digit(100), digit(10), digit(1), b' ']);
        self.held.extend_from_slice(reason.as_bytes());
        self.held.extend_from_slice(b"\r\n");
        head.headers.write_http1(&mut self.held);
        if let Some(protocol) = upgrade {
            self.hold(format_args!("Connection: Upgrade\r\nUpgrade: {protocol}\r\n"));
        } else if *close && head.status >= 200 {
            self.held.extend_from_slice(b"Connection: close\r\n");
        } else if version == Version::Http10 && head.status >= 200 {
            self.held.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        self.held.extend_from_slice(b"\r\n");
        BodyWriter::new(self, framing, Fault::DownstreamClosed, at)
    }
}

fn outgoing_framing(length: Length) -> Framing {
    match length {
        Length::None => Framing::Length(0),
        Length::Known(n) => Framing::Length(n),
        Length::Open => Framing::Chunked,
    }
}

/// Makes the framing fields say what will be sent. Where they do already they stay as they lie, and are copied with their neighbours.
fn frame(headers: &mut HeaderBlock, framing: Framing, silent: bool) {
    match framing {
        Framing::Length(n) => {
            headers.remove("transfer-encoding");
            let told = headers.get("content-length");
            if told.is_none() && silent {
                return;
            }
            let mut room = [0; 20];
            let length = digits(n, &mut room);
            // Zeros before the digits make it octal to some.
            if told != Some(length) {
                headers.set("Content-Length", length);
            }
        }
        Framing::Chunked => {
            headers.remove("content-length");
            if headers.get("transfer-encoding") != Some(b"chunked") {
                headers.set("Transfer-Encoding", b"chunked");
            }
        }
        Framing::None | Framing::UntilClose => {
            headers.remove("content-length");
            headers.remove("transfer-encoding");
        }
    }
}

/// Reason phrases of RFC 9110, for answers that came without one.
fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        413 => "Content Too Large",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        508 => "Loop Detected",
        _ => "",
    }
}
