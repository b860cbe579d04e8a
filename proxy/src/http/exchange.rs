//! One try: the request goes up while the answer is awaited, for an answer may come before the request has ended; then the answer comes down.

use super::{After, Stop};
use crate::upstream::Upstream;
use bytes::Bytes;
use model::{Fault, HeaderBlock, Method, RequestHead, ResponseHead, Version};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;
use telemetry::Peer;
use transport::body::{Incoming, Length, Outgoing, Side, pump};
use transport::h1::{Framing, Hop, Reader, Writer, strip_hop_by_hop};
use transport::{Error, limits, rt, tunnel};

/// What one try is made of.
pub struct Try<'r> {
    pub head: &'r mut RequestHead,
    pub hop: &'r Hop,
    /// The body, where it is held for more tries than this.
    pub held: Option<Bytes>,
    pub framing: Framing,
    pub deadline: Option<(Instant, Fault)>,
    /// Version that the caller speaks.
    pub version: Version,
    pub close: bool,
}

/// What the caller of a try decides on, once the answer's head is there.
pub enum Verdict {
    Forward,
    TryAgain,
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
    /// No answer came.
    Failed {
        error: Error,
        body_spent: bool,
    },
}

/// Counts of a try.
#[derive(Debug, Default)]
pub struct Counts {
    pub up: u64,
    pub down: u64,
    pub first_byte: Option<Instant>,
    pub peer: Option<Peer>,
    pub grpc_status: Option<u8>,
}

/// Runs one try. `judge` sees the answer's head before the caller does, and may edit it.
pub async fn run(
    reader: &mut Reader,
    writer: &mut Writer,
    up: &mut Upstream,
    what: Try<'_>,
    counts: &mut Counts,
    judge: impl FnMut(&mut ResponseHead) -> Verdict,
) -> Result<Ended, Stop> {
    let Try { head, hop, held, framing, deadline, version, close } = what;
    let method = head.method.clone();
    let mut body = match (held, framing) {
        (Some(bytes), _) => Incoming::Held(Some(bytes)),
        (None, Framing::None) => Incoming::Empty,
        (None, framing) => Incoming::H1(reader.body(framing, Fault::MalformedRequest)),
    };
    let length = body.length();
    let owes = std::mem::take(&mut up.owes_welcome);
    let connection = &mut up.pooled.connection;
    let mut to = Outgoing::H1(connection.writer.request(head, length, hop.upgrade.as_deref()));
    let mut answer = ResponseHead::default();
    let mut sent = 0;
    let result = {
        let mut upload = pin!(pump(&mut body, &mut to, &mut sent));
        let mut session = Session { writer, method: &method, version, hop, close, counts, judge };
        session.answer(&mut connection.reader, owes, &mut answer, upload.as_mut(), deadline).await
    };
    counts.up += sent;
    match result {
        Ok(Progress::Answered { after, status, reusable, upload_done }) => {
            let after = if upload_done || body.is_finished() { after } else { After::Linger };
            Ok(Ended::Answered { after, status, reusable: reusable && upload_done })
        }
        Ok(Progress::Upgraded) => {
            drop((body, to));
            let mut carried = tunnel::Carried::default();
            let connection = &mut up.pooled.connection;
            let ends = tunnel::splice((reader, writer), (&mut connection.reader, &mut connection.writer), &mut carried).await;
            (counts.up, counts.down) = (counts.up + carried.up, counts.down + carried.down);
            // However a tunnel ends, the caller sees it on the connection itself.
            drop(ends);
            Ok(Ended::Answered { after: After::Close, status: 101, reusable: false })
        }
        Ok(Progress::TryAgain) => Ok(Ended::Refused),
        Err(Broken::Caller(error)) => Err(Stop::from(error)),
        Err(Broken::Upstream(error)) => Ok(Ended::Failed { error, body_spent: sent > 0 }),
        Err(Broken::Begun(error)) => Err(Stop { begun: true, ..Stop::from(error) }),
    }
}

enum Progress {
    Answered { after: After, status: u16, reusable: bool, upload_done: bool },
    Upgraded,
    TryAgain,
}

enum Broken {
    /// The caller broke off, or broke the rules.
    Caller(Error),
    Upstream(Error),
    /// Something broke after the answer had begun.
    Begun(Error),
}

struct Session<'s, J> {
    writer: &'s mut Writer,
    method: &'s Method,
    version: Version,
    hop: &'s Hop,
    close: bool,
    counts: &'s mut Counts,
    judge: J,
}

type Carried = Result<Option<HeaderBlock>, (Side, Error)>;

impl<J: FnMut(&mut ResponseHead) -> Verdict> Session<'_, J> {
    async fn answer(
        &mut self,
        up: &mut Reader,
        owes: bool,
        head: &mut ResponseHead,
        mut upload: std::pin::Pin<&mut impl Future<Output = Carried>>,
        deadline: Option<(Instant, Fault)>,
    ) -> Result<Progress, Broken> {
        let mut upload_done = false;
        if owes {
            let welcome = beside(upload.as_mut(), &mut upload_done, crate::upstream::welcome(up), deadline).await?;
            self.counts.peer = Some(welcome.map_err(Broken::Upstream)?);
        }
        for _ in 0..limits::INFORMATIONAL {
            let read = up.response(head, self.method);
            let framing = beside(upload.as_mut(), &mut upload_done, read, deadline).await?.map_err(Broken::Upstream)?;
            self.counts.first_byte.get_or_insert_with(rt::now);
            match head.status {
                101 => return self.upgrade(head).await,
                100..=199 => self.informational(head).await?,
                _ => {
                    let upstream_close = strip_hop_by_hop(&mut head.headers, head.version).close;
                    return match (self.judge)(head) {
                        Verdict::TryAgain => Ok(Progress::TryAgain),
                        Verdict::Forward => self.forward(up, head, framing, upstream_close, upload, upload_done).await,
                    };
                }
            }
        }
        Err(Broken::Upstream(Error::new(Fault::UpstreamProtocol, "more than 16 informational answers")))
    }

    async fn informational(&mut self, head: &mut ResponseHead) -> Result<(), Broken> {
        strip_hop_by_hop(&mut head.headers, head.version);
        // HTTP/1.0 callers do not know these (RFC 9110, section 15.2).
        if self.version == Version::Http10 {
            return Ok(());
        }
        let mut keep = false;
        let mut to = self.writer.response(head, Length::None, self.method, self.version, &mut keep, None);
        to.flush().await.map_err(Broken::Caller)
    }

    async fn upgrade(&mut self, head: &mut ResponseHead) -> Result<Progress, Broken> {
        let granted = strip_hop_by_hop(&mut head.headers, head.version).upgrade;
        let (Some(_), Some(protocol)) = (&self.hop.upgrade, granted) else {
            return Err(Broken::Upstream(Error::new(Fault::UpstreamProtocol, "101 without an upgrade that was asked for")));
        };
        (self.judge)(head);
        let mut keep = false;
        let mut to = self.writer.response(head, Length::None, self.method, self.version, &mut keep, Some(&protocol));
        to.flush().await.map_err(Broken::Caller)?;
        Ok(Progress::Upgraded)
    }

    async fn forward(
        &mut self,
        up: &mut Reader,
        head: &mut ResponseHead,
        framing: Framing,
        upstream_close: bool,
        mut upload: std::pin::Pin<&mut impl Future<Output = Carried>>,
        mut upload_done: bool,
    ) -> Result<Progress, Broken> {
        let status = head.status;
        // The application's wish to close is passed on: it survives the mesh.
        let mut close = self.close || self.hop.close || upstream_close;
        let mut from = if framing == Framing::None { Incoming::Empty } else { Incoming::H1(up.body(framing, Fault::UpstreamProtocol)) };
        let mut to = Outgoing::H1(self.writer.response(head, from.length(), self.method, self.version, &mut close, None));
        let told_in_head = head.headers.text("grpc-status").and_then(|text| text.parse().ok());
        let mut down = 0;
        let mut upload_over = upload_done;
        let carried = {
            let mut download = pin!(pump(&mut from, &mut to, &mut down));
            poll_fn(|cx| {
                if !upload_over && let Poll::Ready(result) = upload.as_mut().poll(cx) {
                    upload_over = true;
                    match result {
                        Ok(_) => upload_done = true,
                        Err((Side::From, error)) => return Poll::Ready(Err((Side::To, error))),
                        // An upstream that stopped reading may well go on answering.
                        Err((Side::To, _)) => {}
                    }
                }
                download.as_mut().poll(cx)
            })
            .await
        };
        self.counts.down += down;
        let trailers = carried.map_err(|(_, error)| Broken::Begun(error))?;
        let told_at_end = || trailers.and_then(|t| t.text("grpc-status").and_then(|text| text.parse().ok()));
        self.counts.grpc_status = told_in_head.or_else(told_at_end);
        let reusable = !upstream_close && framing != Framing::UntilClose;
        let after = if close { After::Close } else { After::Keep };
        Ok(Progress::Answered { after, status, reusable, upload_done })
    }
}

/// Waits for `work` while the upload goes on beside it, until the deadline.
async fn beside<T>(
    mut upload: std::pin::Pin<&mut impl Future<Output = Carried>>,
    upload_done: &mut bool,
    work: impl Future<Output = T>,
    deadline: Option<(Instant, Fault)>,
) -> Result<T, Broken> {
    let mut work = pin!(work);
    let mut timer = pin!(async {
        match deadline {
            Some((at, _)) => rt::sleep(at.saturating_duration_since(rt::now())).await,
            None => std::future::pending().await,
        }
    });
    let mut polled_to_end = *upload_done;
    poll_fn(|cx| {
        if !polled_to_end && let Poll::Ready(result) = upload.as_mut().poll(cx) {
            polled_to_end = true;
            match result {
                Ok(_) => *upload_done = true,
                Err((Side::From, error)) => return Poll::Ready(Err(Broken::Caller(error))),
                Err((Side::To, error)) => {
                    // It may have answered before it stopped reading; if not, the reading side tells the same in a moment.
                    if let Poll::Ready(value) = work.as_mut().poll(cx) {
                        return Poll::Ready(Ok(value));
                    }
                    return Poll::Ready(Err(Broken::Upstream(error)));
                }
            }
        }
        if let Poll::Ready(value) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        match (timer.as_mut().poll(cx), deadline) {
            (Poll::Ready(()), Some((_, fault))) => Poll::Ready(Err(Broken::Upstream(Error::new(fault, "no answer in time")))),
            _ => Poll::Pending,
        }
    })
    .await
}

/// Sends a request whose answer is read to its end and dropped.
pub async fn send_and_forget(up: &mut Upstream, head: &mut RequestHead, mut body: Incoming<'_>) -> Result<(), Error> {
    let owes = std::mem::take(&mut up.owes_welcome);
    let method = head.method.clone();
    let connection = &mut up.pooled.connection;
    let length = body.length();
    let mut to = Outgoing::H1(connection.writer.request(head, length, None));
    pump(&mut body, &mut to, &mut 0).await.map_err(|(_, e)| e)?;
    if owes {
        crate::upstream::welcome(&mut connection.reader).await?;
    }
    let mut answer = ResponseHead::default();
    loop {
        let framing = connection.reader.response(&mut answer, &method).await?;
        if answer.status >= 200 {
            let mut body = connection.reader.body(framing, Fault::UpstreamProtocol);
            while body.chunk().await?.is_some() {}
            let closes = strip_hop_by_hop(&mut answer.headers, answer.version).close || framing == Framing::UntilClose;
            return if closes { Err(Error::new(Fault::UpstreamReset, "closed after its answer")) } else { Ok(()) };
        }
    }
}
