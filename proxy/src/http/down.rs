//! The caller's side of one request, whichever engine carries it. Everything above asks here for the request's body and gives the answer here;
//! only this room knows that HTTP/1 has two halves of one connection and HTTP/2 a body and a responder.

use model::{Fault, Method, ResponseHead, Version};
use std::time::Instant;
use transport::body::{Incoming, Length, Outgoing};
use transport::h1::{Framing, Reader, Writer};
use transport::{Error, h2};

/// The caller's side of one request.
pub struct Downstream<'c> {
    pub from: Source<'c>,
    pub to: Sink<'c>,
    pub started: Instant,
    /// The connection ends after this request.
    pub close: bool,
    /// What of the body went up in the last try. It lies here, and not with the try, for one that is cut off says nothing any more.
    pub sent: u64,
    pub given: Given,
}

/// What the caller was given of an answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given {
    /// Once its head was.
    pub status: Option<u16>,
    pub bytes: u64,
}

impl<'c> Downstream<'c> {
    pub fn h1(reader: &'c mut Reader, writer: &'c mut Writer, framing: Framing, started: Instant, close: bool) -> Self {
        Self { from: Source::H1 { reader, framing }, to: Sink::H1(writer), started, close, sent: 0, given: Given::default() }
    }

    pub fn h2(body: h2::BodyReader, responder: h2::Responder, started: Instant) -> Self {
        Self { from: Source::H2(Some(body)), to: Sink::H2(Some(responder)), started, close: false, sent: 0, given: Given::default() }
    }
}

/// Where the request's body comes from.
pub enum Source<'c> {
    H1 {
        reader: &'c mut Reader,
        framing: Framing,
    },
    /// Empty while a try uses it, and after a tunnel has taken it.
    H2(Option<h2::BodyReader>),
}

impl Source<'_> {
    pub fn length(&self) -> Length {
        match self {
            Self::H1 { framing, .. } => framing.length(),
            Self::H2(body) => body.as_ref().map_or(Length::None, h2::BodyReader::length),
        }
    }

    pub fn has_body(&self) -> bool {
        self.length() != Length::None
    }

    /// An HTTP/2 body must be given back by [`Source::put_back`] where it may be needed again.
    pub fn body(&mut self) -> Incoming<'_> {
        if !self.has_body() {
            return Incoming::Empty;
        }
        match self {
            Self::H1 { reader, framing } => Incoming::H1(reader.body(*framing, Fault::MalformedRequest)),
            Self::H2(body) => body.take().map_or(Incoming::Empty, Incoming::H2),
        }
    }

    /// The reading half of an HTTP/1 connection, while nothing is read from it.
    pub fn idle(&mut self) -> Option<&mut Reader> {
        match self {
            Self::H1 { reader, .. } => Some(reader),
            Self::H2(_) => None,
        }
    }

    pub fn put_back(&mut self, left: Option<h2::BodyReader>) {
        if let (Self::H2(body), Some(left)) = (self, left) {
            *body = Some(left);
        }
    }

    pub fn is_h2(&self) -> bool {
        matches!(self, Self::H2(_))
    }
}

/// What is left of a body after a try, where it can be given back.
pub fn left(body: Incoming<'_>) -> Option<h2::BodyReader> {
    match body {
        Incoming::H2(body) => Some(body),
        Incoming::Empty | Incoming::Held(_) | Incoming::H1(_) => None,
    }
}

/// Where the answer goes.
pub enum Sink<'c> {
    H1(&'c mut Writer),
    /// Empty once the answer has begun.
    H2(Option<h2::Responder>),
}

impl Sink<'_> {
    /// An answer of class 1xx. Callers that do not know them hear nothing (RFC 9110, section 15.2).
    ///
    /// # Errors
    /// If the caller is gone.
    pub async fn inform(&mut self, head: &mut ResponseHead, method: &Method, version: Version) -> Result<(), Error> {
        match self {
            Self::H1(_) if version == Version::Http10 => Ok(()),
            Self::H1(writer) => {
                let mut keep = false;
                Outgoing::H1(writer.response(head, Length::None, method, version, &mut keep, None)).flush().await
            }
            Self::H2(responder) => responder.as_mut().map_or(Ok(()), |r| r.inform(head)),
        }
    }

    /// Begins the answer.
    ///
    /// # Errors
    /// If the caller is gone.
    pub fn respond(
        &mut self,
        head: &mut ResponseHead,
        length: Length,
        method: &Method,
        version: Version,
        close: &mut bool,
        upgrade: Option<&str>,
    ) -> Result<Outgoing<'_>, Error> {
        match self {
            Self::H1(writer) => Ok(Outgoing::H1(writer.response(head, length, method, version, close, upgrade))),
            Self::H2(responder) => {
                let responder = responder.take().ok_or_else(|| Error::new(Fault::Internal, "answered twice"))?;
                let bodiless = matches!(head.status, 204 | 304) || *method == Method::Head;
                let length = if bodiless { Length::None } else { length };
                responder.respond(head, length).map(Outgoing::H2)
            }
        }
    }

    /// Ends once the caller has given up, where its protocol can say so before the answer.
    pub async fn gone(&mut self) -> Error {
        match self {
            Self::H2(Some(responder)) => responder.gone().await,
            Self::H1(_) | Self::H2(None) => std::future::pending().await,
        }
    }
}
