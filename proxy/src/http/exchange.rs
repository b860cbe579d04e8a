//! One try: the request goes up while the answer is awaited, for an answer may come before the request has ended; then the answer comes down.

use super::down::{self, Downstream, Given, Sink, Source};
use super::judged::Shared;
use super::{After, Stop, mark};
use crate::upstream::{UpstreamKey, Way};
use crate::worker::Worker;
use bytes::Bytes;
use model::{Fault, HeaderBlock, Method, RequestHead, ResponseHead, Version};
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;
use telemetry::Peer;
use transport::body::{Incoming, Length, Outgoing, Side, pump};
use transport::h1::{Framing, Hop, Reader, strip_hop_by_hop};
use transport::{Error, Stream, h1, h2, limits, rt, spare, tunnel};

/// What one try is made of.
pub struct Try<'r, 'h> {
    pub head: &'r Shared<'h>,
    /// Of the head: what is asked while an answer is awaited.
    pub method: Method,
    /// Version that the caller speaks.
    pub version: Version,
    pub hop: &'r Hop,
    /// The body, where it is held for more tries than this.
    pub held: Option<Bytes>,
    pub deadline: Option<(Instant, Fault)>,
    pub close: bool,
}

/// What the caller of a try decides on, once the answer's head is there.
pub enum Verdict {
    Forward,
    TryAgain,
    /// It is not for the caller, who gets another.
    Instead,
}

/// How a try ended.
pub enum Ended {
    Answered {
        after: After,
        status: u16,
        reusable: bool,
    },
    /// The answer asked to be tried again, and will be.
    Refused,
    /// The answer is not for the caller.
    Withheld,
    /// No answer came.
    Failed {
        error: Error,
        body_spent: bool,
    },
}

/// What is learnt of a try, beside what went either way ([`Downstream::sent`], [`Downstream::given`]).
#[derive(Debug, Default)]
pub struct Counts {
    pub first_byte: Option<Instant>,
    pub peer: Option<Peer>,
    pub grpc_status: Option<u8>,
}

/// Runs one try. `judge` sees the answer's head before the caller does, and may edit it. What it is given stays where it lies: by value it would lie in
/// the caller's future too, and all that lies there while an answer is awaited has left the processor's cache when it comes.
pub async fn run(
    down: &mut Downstream<'_>,
    up: &mut Way,
    what: &mut Try<'_, '_>,
    counts: &mut Counts,
    judge: &mut impl FnMut(&mut ResponseHead) -> Verdict,
) -> Result<Ended, Stop> {
    let Downstream { from, to, sent, given, .. } = down;
    (*sent, *given) = (0, Given::default());
    let upgrades = what.hop.upgrade.is_some();
    // Whoever has the caller's reading half watches it; what follows the head of an upgrade belongs to the tunnel.
    let (mut body, mut watched) = match what.held.take() {
        Some(bytes) => (Incoming::Held(Some(bytes)), from.idle()),
        None if upgrades && from.is_h2() => (Incoming::Empty, None),
        None if !from.has_body() => (Incoming::Empty, from.idle()),
        None => (from.body(), None),
    };
    let (mut upward, mut replies) = match begin(up, &mut what.head.borrow_mut(), body.length(), what.hop, counts) {
        Ok(begun) => begun,
        Err(error) => {
            let left = down::left(body);
            from.put_back(left);
            return Ok(Ended::Failed { error, body_spent: false });
        }
    };
    let mut answer = spare::response();
    let result = {
        let whole = Cell::new(false);
        let mut upload = pin!(async {
            pump(&mut body, &mut upward, sent).await?;
            whole.set(true);
            let left = match &mut watched {
                _ if upgrades => std::future::pending().await,
                Some(reader) => reader.gone().await,
                None => body.gone().await,
            };
            Err((Side::From, left))
        });
        let mut session = Session { to, what, counts, given, judge, whole: &whole };
        session.answer(&mut replies, &mut answer, upload.as_mut()).await
    };
    spare::keep_response(answer);
    let read_whole = body.is_finished();
    drop((upward, replies));
    let left = down::left(body);
    from.put_back(left);
    match result {
        Ok(Progress::Answered { after, status, reusable, upload_done }) => {
            let after = if upload_done || read_whole { after } else { After::Linger };
            Ok(Ended::Answered { after, status, reusable: reusable && upload_done })
        }
        Ok(Progress::Upgraded(writer)) => {
            Box::pin(tunnel(from, to, writer, up, (sent, &mut given.bytes))).await;
            Ok(Ended::Answered { after: After::Close, status: if what.version == Version::Http2 { 200 } else { 101 }, reusable: false })
        }
        Ok(Progress::TryAgain) => Ok(Ended::Refused),
        Ok(Progress::Withheld) => Ok(Ended::Withheld),
        Err(Broken::Caller(error)) => Err(Stop::from(error)),
        Err(Broken::Upstream(error)) => Ok(Ended::Failed { error, body_spent: *sent > 0 }),
        Err(Broken::Begun(error)) => Err(Stop { begun: true, ..Stop::from(error) }),
    }
}

/// Gives the head to the upstream's engine.
fn begin<'u>(
    up: &'u mut Way,
    head: &mut RequestHead,
    length: Length,
    hop: &Hop,
    counts: &mut Counts,
) -> Result<(Outgoing<'u>, Replies<'u>), Error> {
    match up {
        Way::H1(up) => {
            let owes = std::mem::take(&mut up.owes_welcome);
            let connection = &mut up.pooled.connection;
            let upward = Outgoing::H1(connection.writer.request(head, length, hop.upgrade.as_deref()));
            Ok((upward, Replies::H1 { reader: &mut connection.reader, owes }))
        }
        Way::H2(up) => {
            counts.peer.clone_from(&up.peer);
            let (upward, answer) = up.client.request(head, length)?;
            Ok((Outgoing::H2(upward), Replies::H2(answer)))
        }
    }
}

/// What an upgrade opened: bytes both ways until both sides have ended. However that ends, the caller sees it on the connection itself.
async fn tunnel(from: &mut Source<'_>, to: &mut Sink<'_>, writer: Option<h2::BodyWriter>, up: &mut Way, carried: (&mut u64, &mut u64)) {
    let Way::H1(up) = up else { return };
    let connection = &mut up.pooled.connection;
    let upstream = (&mut connection.reader, &mut connection.writer);
    let ends = match (from, to, writer) {
        (Source::H1 { reader, .. }, Sink::H1(writer), None) => tunnel::splice((reader, writer), upstream, carried).await,
        (Source::H2(body), _, Some(writer)) => match body.take() {
            Some(body) => {
                let mut caller = h1::Connection::new(Stream::Tunnel(Box::new(h2::Tunnel::new(body, writer))));
                tunnel::splice((&mut caller.reader, &mut caller.writer), upstream, carried).await
            }
            None => Ok(()),
        },
        _ => Ok(()),
    };
    drop(ends);
}

/// Where the answer comes from.
enum Replies<'u> {
    H1 {
        reader: &'u mut Reader,
        /// The peer's preface comes first.
        owes: bool,
    },
    H2(h2::Answer),
}

/// What follows a head.
enum Shape {
    /// Another head.
    Informational,
    H1(Framing),
    H2(h2::BodyReader),
}

impl Replies<'_> {
    async fn head(&mut self, into: &mut ResponseHead, method: &Method, peer: &mut Option<Peer>) -> Result<Shape, Error> {
        match self {
            Self::H1 { reader, owes } => {
                if *owes {
                    *peer = Some(crate::upstream::welcome(reader).await?);
                    *owes = false;
                }
                let framing = reader.response(into, method).await?;
                Ok(if into.status < 200 && into.status != 101 { Shape::Informational } else { Shape::H1(framing) })
            }
            Self::H2(answer) => match answer.head(into).await? {
                None => Ok(Shape::Informational),
                Some(_) if into.status < 200 => Err(Error::new(Fault::UpstreamProtocol, "final answer of class 1xx in HTTP/2")),
                Some(body) => Ok(Shape::H2(body)),
            },
        }
    }

    fn body(&mut self, shape: Shape) -> Incoming<'_> {
        match (self, shape) {
            (Self::H1 { reader, .. }, Shape::H1(framing)) if framing != Framing::None => {
                Incoming::H1(reader.body(framing, Fault::UpstreamProtocol))
            }
            (_, Shape::H2(body)) if body.length() != Length::None => Incoming::H2(body),
            _ => Incoming::Empty,
        }
    }
}

enum Progress {
    Answered {
        after: After,
        status: u16,
        reusable: bool,
        upload_done: bool,
    },
    /// With the body that an HTTP/2 caller reads the tunnel from.
    Upgraded(Option<h2::BodyWriter>),
    TryAgain,
    Withheld,
}

enum Broken {
    /// The caller broke off, or broke the rules.
    Caller(Error),
    Upstream(Error),
    /// Something broke after the answer had begun.
    Begun(Error),
}

struct Session<'s, 'c, 'h, J> {
    to: &'s mut Sink<'c>,
    what: &'s Try<'s, 'h>,
    counts: &'s mut Counts,
    given: &'s mut Given,
    judge: &'s mut J,
    /// Whether the request has been sent to its end.
    whole: &'s Cell<bool>,
}

/// How far the request's body is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upload {
    Going,
    /// The caller is watched now.
    Sent,
    /// The upstream takes no more of it; it may answer all the same. Must not be polled again.
    Refused,
}

/// An upload ends only by breaking off: when all is sent it becomes the watch over the caller.
type Carried = Result<Infallible, (Side, Error)>;

impl<J: FnMut(&mut ResponseHead) -> Verdict> Session<'_, '_, '_, J> {
    async fn answer(
        &mut self,
        up: &mut Replies<'_>,
        head: &mut ResponseHead,
        mut upload: Pin<&mut impl Future<Output = Carried>>,
    ) -> Result<Progress, Broken> {
        let mut state = Upload::Going;
        // The last is the answer itself.
        for told in 0..=limits::INFORMATIONAL {
            let shape = {
                let read = pin!(up.head(head, &self.what.method, &mut self.counts.peer));
                let gone = pin!(self.to.gone());
                beside(upload.as_mut(), &mut state, self.whole, read, gone, self.what.deadline).await?.map_err(Broken::Upstream)?
            };
            self.counts.first_byte.get_or_insert_with(rt::now);
            match (head.status, shape) {
                (101, _) => return self.upgrade(head).await,
                (_, Shape::Informational) => {
                    // With `Connection: close` it is a peer's word to us that it is leaving.
                    if !strip_hop_by_hop(&mut head.headers, head.version).close && told < limits::INFORMATIONAL {
                        self.to.inform(head, &self.what.method, self.what.version).await.map_err(Broken::Caller)?;
                    }
                }
                (_, shape) => {
                    let upstream_close = strip_hop_by_hop(&mut head.headers, head.version).close;
                    return match (self.judge)(head) {
                        Verdict::TryAgain => Ok(Progress::TryAgain),
                        Verdict::Instead => Ok(Progress::Withheld),
                        Verdict::Forward => self.forward(up, head, shape, upstream_close, upload, state).await,
                    };
                }
            }
        }
        Err(Broken::Upstream(Error::new(Fault::UpstreamProtocol, "more than 16 informational answers")))
    }

    async fn upgrade(&mut self, head: &mut ResponseHead) -> Result<Progress, Broken> {
        let granted = strip_hop_by_hop(&mut head.headers, head.version).upgrade;
        let asked = |protocol: &String| self.what.hop.upgrade.as_ref().is_some_and(|asked| asked.eq_ignore_ascii_case(protocol));
        let Some(protocol) = granted.filter(asked) else {
            return Err(Broken::Upstream(Error::new(Fault::UpstreamProtocol, "101 without an upgrade that was asked for")));
        };
        let length = match self.to {
            Sink::H1(_) => Length::None,
            // An extended CONNECT is granted by 200, and its handshake needs no proof (RFC 8441, section 5).
            Sink::H2(_) => {
                head.status = 200;
                head.headers.remove("sec-websocket-accept");
                head.headers.remove("content-length");
                Length::Open
            }
        };
        (self.judge)(head);
        let mut keep = false;
        let mut to =
            self.to.respond(head, length, &self.what.method, self.what.version, &mut keep, Some(&protocol)).map_err(Broken::Caller)?;
        to.flush().await.map_err(Broken::Caller)?;
        self.given.status = Some(head.status);
        Ok(Progress::Upgraded(match to {
            Outgoing::H1(_) => None,
            Outgoing::H2(writer) => Some(writer),
        }))
    }

    async fn forward(
        &mut self,
        up: &mut Replies<'_>,
        head: &mut ResponseHead,
        shape: Shape,
        upstream_close: bool,
        mut upload: Pin<&mut impl Future<Output = Carried>>,
        mut state: Upload,
    ) -> Result<Progress, Broken> {
        let status = head.status;
        // The application's wish to close is passed on: it survives the mesh.
        let mut close = self.what.close || self.what.hop.close || upstream_close;
        let reusable = !upstream_close && !matches!(shape, Shape::H1(Framing::UntilClose));
        let mut from = up.body(shape);
        let is_grpc =
            self.what.head.borrow().is_grpc() && head.headers.get("content-type").is_some_and(|kind| kind.starts_with(b"application/grpc"));
        let told_in_head: Option<u8> = head.headers.text("grpc-status").and_then(|text| text.parse().ok());
        let to = self.to.respond(head, from.length(), &self.what.method, self.what.version, &mut close, None);
        let mut to = to.map_err(Broken::Begun)?;
        self.given.status = Some(status);
        let whole = self.whole;
        let carried = {
            let mut download = pin!(pump(&mut from, &mut to, &mut self.given.bytes));
            poll_fn(|cx| {
                // A caller that takes the answer is there, whatever its other half does.
                if state == Upload::Going {
                    match upload.as_mut().poll(cx) {
                        Poll::Ready(Err((Side::From, error))) if !whole.get() => return Poll::Ready(Err((Side::To, error))),
                        Poll::Ready(Err((Side::To, _))) => state = Upload::Refused,
                        _ if whole.get() => state = Upload::Sent,
                        _ => {}
                    }
                }
                download.as_mut().poll(cx)
            })
            .await
        };
        let trailers = match carried {
            Ok(trailers) => trailers,
            // An answer whose body is broken from its first byte has not begun for the caller.
            Err((Side::From, error)) if to.withdraw() => {
                self.given.status = None;
                return Err(Broken::Upstream(error));
            }
            Err((side, error)) => {
                if let (Side::From, Outgoing::H2(to)) = (side, &mut to) {
                    // What was no answer of gRPC, or has said how it ends, would be taken for whole.
                    let by_status = is_grpc && told_in_head.is_none() && from.length() == Length::Open;
                    self.counts.grpc_status = tell_broken(to, &error, by_status);
                }
                return Err(Broken::Begun(error));
            }
        };
        let told_at_end = || trailers.and_then(|t| t.text("grpc-status").and_then(|text| text.parse().ok()));
        self.counts.grpc_status = told_in_head.or_else(told_at_end);
        if state == Upload::Going && !close && matches!(self.to, Sink::H1(_)) {
            state = Box::pin(rest(upload, self.whole)).await;
        }
        let after = if close { After::Close } else { After::Keep };
        Ok(Progress::Answered { after, status, reusable, upload_done: state == Upload::Sent })
    }
}

/// Sends what is left of a request that was answered before its end. By HTTP/1 its caller, who was told that the connection is kept, asks again after that.
async fn rest(mut upload: Pin<&mut impl Future<Output = Carried>>, whole: &Cell<bool>) -> Upload {
    let sent = poll_fn(|cx| match upload.as_mut().poll(cx) {
        _ if whole.get() => Poll::Ready(Upload::Sent),
        Poll::Ready(_) => Poll::Ready(Upload::Refused),
        Poll::Pending => Poll::Pending,
    });
    rt::timeout(crate::limits::EARLY_ANSWER_TIME, sent).await.unwrap_or(Upload::Refused)
}

/// Tells a caller by HTTP/2 that its answer broke off: by the code that the upstream gave; else, where gRPC reads one, by a status, since it takes any reset
/// for a defect of ours (`decisions/0069`). What is told by nothing is reset when its writer is dropped.
#[cold]
fn tell_broken(to: &mut h2::BodyWriter, error: &Error, by_status: bool) -> Option<u8> {
    if let Some(code) = error.reset {
        to.abort(code);
    } else if by_status {
        let status = error.fault.grpc_status();
        let mut trailers = HeaderBlock::default();
        trailers.push("grpc-status", status.to_string().as_bytes());
        trailers.push("grpc-message", error.fault.label().as_bytes());
        return to.end_with(&trailers).ok().map(|()| status);
    }
    None
}

/// Waits for `work` while the upload goes on beside it, until the deadline or until the caller is `gone`.
async fn beside<T>(
    mut upload: Pin<&mut impl Future<Output = Carried>>,
    state: &mut Upload,
    whole: &Cell<bool>,
    mut work: Pin<&mut impl Future<Output = T>>,
    mut gone: Pin<&mut impl Future<Output = Error>>,
    deadline: Option<(Instant, Fault)>,
) -> Result<T, Broken> {
    let mut timer = pin!(async {
        match deadline {
            Some((at, _)) => rt::sleep(at.saturating_duration_since(rt::now())).await,
            None => std::future::pending().await,
        }
    });
    // Why it takes no more, and until when an answer is awaited all the same.
    let mut refused = None;
    poll_fn(|cx| {
        // Once all is sent, it is most likely the answer that came.
        let first = *state == Upload::Sent;
        if first && let Poll::Ready(value) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        if *state != Upload::Refused {
            match upload.as_mut().poll(cx) {
                Poll::Ready(Err((Side::From, error))) => return Poll::Ready(Err(Broken::Caller(error))),
                Poll::Ready(Err((Side::To, error))) => {
                    *state = Upload::Refused;
                    refused = Some((error, Box::pin(rt::sleep(limits::EARLY_ANSWER))));
                }
                Poll::Pending if whole.get() => *state = Upload::Sent,
                Poll::Pending => {}
            }
        }
        if !first && let Poll::Ready(value) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        if let Poll::Ready(error) = gone.as_mut().poll(cx) {
            return Poll::Ready(Err(Broken::Caller(error)));
        }
        if let Some((_, patience)) = &mut refused
            && patience.as_mut().poll(cx).is_ready()
            && let Some((error, _)) = refused.take()
        {
            return Poll::Ready(Err(Broken::Upstream(error)));
        }
        match (timer.as_mut().poll(cx), deadline) {
            (Poll::Ready(()), Some((_, fault))) => Poll::Ready(Err(Broken::Upstream(Error::new(fault, "no answer in time")))),
            _ => Poll::Pending,
        }
    })
    .await
}

/// An answer that nobody forwards.
#[derive(Debug, Default)]
pub struct Asked {
    pub status: u16,
    pub grpc_status: Option<u8>,
    /// The answer is not the application's: the proxy beside it says why there is none.
    pub fault: Option<Fault>,
    /// Of the answer, without what belongs to the connection.
    pub headers: HeaderBlock,
    /// As much of the body as was to be kept.
    pub body: Vec<u8>,
    /// The body is longer than that.
    pub cut: bool,
    /// Whether the connection can carry another request.
    pub reusable: bool,
}

/// Sends a request of our own and reads the answer. With `keep` its body is kept up to that many bytes and what is longer is left unread; without,
/// it is read to its end and dropped. `believed`: whether whoever is there may answer for the application.
///
/// # Errors
/// If no answer came, or it broke off.
pub async fn ask(
    up: &mut Way,
    head: &mut RequestHead,
    mut body: Incoming<'_>,
    keep: Option<usize>,
    believed: bool,
) -> Result<Asked, Error> {
    let method = head.method.clone();
    let (mut upward, mut replies) = begin(up, head, body.length(), &Hop::default(), &mut Counts::default())?;
    match pump(&mut body, &mut upward, &mut 0).await {
        // Who takes no more may have answered all the same, or said goodbye: what is read tells.
        Ok(_) | Err((Side::To, _)) => {}
        Err((Side::From, error)) => return Err(error),
    }
    let mut answer = ResponseHead::default();
    for _ in 0..=limits::INFORMATIONAL {
        let shape = replies.head(&mut answer, &method, &mut None).await?;
        if answer.status < 200 {
            continue;
        }
        let ends = matches!(shape, Shape::H1(Framing::UntilClose));
        let in_head = answer.headers.text("grpc-status").and_then(|text| text.parse().ok());
        let close = strip_hop_by_hop(&mut answer.headers, answer.version).close;
        let fault = mark::take(&mut answer, believed);
        let mut asked = Asked { status: answer.status, grpc_status: in_head, fault, reusable: !ends && !close, ..Asked::default() };
        std::mem::swap(&mut asked.headers, &mut answer.headers);
        let mut body = replies.body(shape);
        while let Some(piece) = body.chunk().await? {
            let Some(keep) = keep else { continue };
            if asked.body.len() + piece.len() > keep {
                return Ok(Asked { reusable: false, cut: true, ..asked });
            }
            asked.body.extend_from_slice(&piece);
        }
        let at_end = || body.trailers().and_then(|t| t.text("grpc-status").and_then(|text| text.parse().ok()));
        asked.grpc_status = in_head.or_else(at_end);
        return Ok(asked);
    }
    Err(Error::new(Fault::UpstreamProtocol, "more than 16 informational answers"))
}

/// A request of our own to an endpoint, and its answer of which `keep` bytes are kept; once more where a kept connection turns out to have died unused.
///
/// # Errors
/// As [`ask`], or if the proxy beside the application answered in its place.
pub async fn asked<'b>(
    worker: &Rc<Worker>,
    key: UpstreamKey,
    keep: usize,
    head: impl Fn() -> RequestHead,
    body: impl Fn() -> Incoming<'b>,
) -> Result<Asked, Error> {
    let (mut fresh, believed) = (false, mark::is_believed(&key.via));
    loop {
        let mut way: Way = worker.reach(&key, fresh).await?;
        let reused = way.is_reused();
        match ask(&mut way, &mut head(), body(), Some(keep), believed).await {
            Ok(asked) => {
                if asked.reusable {
                    way.release(worker);
                }
                return match asked.fault {
                    Some(fault) => Err(Error::new(fault, "says the proxy beside it")),
                    None => Ok(asked),
                };
            }
            Err(error) if reused && !fresh && (error.nothing_received || error.is_unprocessed()) => fresh = true,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
