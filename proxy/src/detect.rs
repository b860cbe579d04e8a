//! What is spoken on a port of which nobody said: performs what [`transport::detect`] decides. Reads no further than it takes to tell, and leaves
//! what it read where the protocol's own reader finds it.

use crate::http::Stop;
use crate::upstream::Upstream;
use futures_util::future::{Either, select};
use model::Fault;
use std::pin::pin;
use transport::detect::{Detection, Event, Reads, Step, Verdict};
use transport::h1::Reader;
use transport::rt;

/// What is to become of the connection.
pub enum Found {
    /// HTTP of either version: its reader goes on from the first byte.
    Http,
    /// Bytes, with upstream where it is open already; whether the server spoke first.
    Opaque(Option<Box<Upstream>>, bool),
    /// The caller left without a word.
    Nothing,
}

/// Finds out by who speaks first. `open` dials upstream, at most once.
pub async fn detect(reader: &mut Reader, reads: Reads, open: impl AsyncFnOnce() -> Result<Upstream, Stop>) -> Result<Found, Stop> {
    let mut open = Some(open);
    let mut up: Option<Upstream> = None;
    let mut detection = Detection::new(reads, false, rt::now());
    let mut step = match reader.so_far() {
        [] => detection.handle(Event::Time, rt::now()),
        said => detection.handle(Event::Caller(said), rt::now()),
    };
    loop {
        step = match step {
            Step::Decided(verdict) => return decided(verdict, up),
            Step::Dial => {
                if let Some(open) = open.take() {
                    up = Some(open().await?);
                }
                detection.handle(Event::Time, rt::now())
            }
            Step::Wait(until) => {
                let heard = heard(reader, up.as_mut(), until).await;
                let event = match heard {
                    Heard::Time => Event::Time,
                    Heard::Caller(true) => Event::Caller(reader.so_far()),
                    Heard::Caller(false) => Event::CallerEnded,
                    Heard::Server(true) => Event::Server,
                    Heard::Server(false) => Event::ServerEnded,
                };
                detection.handle(event, rt::now())
            }
        };
    }
}

fn decided(verdict: Verdict, up: Option<Upstream>) -> Result<Found, Stop> {
    match verdict {
        // A connection that was opened to hear a greeting is not what requests are sent on.
        Verdict::Http1 | Verdict::Http2 => Ok(Found::Http),
        Verdict::Opaque { server_first, .. } => Ok(Found::Opaque(up.map(Box::new), server_first)),
        Verdict::Nothing => Ok(Found::Nothing),
        Verdict::Unrecognised(why) => Err(Stop::new(Fault::UnrecognisedProtocol, why)),
    }
}

/// Who was heard, and whether it said something or ended.
enum Heard {
    Time,
    Caller(bool),
    Server(bool),
}

async fn heard(reader: &mut Reader, up: Option<&mut Upstream>, until: Option<std::time::Instant>) -> Heard {
    let caller = pin!(async { Heard::Caller(reader.more().await.unwrap_or(false)) });
    let server = pin!(async {
        match up {
            Some(up) => Heard::Server(up.pooled.connection.reader.more().await.unwrap_or(false)),
            None => std::future::pending().await,
        }
    });
    let time = pin!(async {
        match until {
            Some(until) => rt::sleep(until.saturating_duration_since(rt::now())).await,
            None => std::future::pending().await,
        }
    });
    // The caller goes first: where both have spoken it did not wait for a greeting.
    match select(select(caller, server), time).await {
        Either::Left((Either::Left((heard, _)) | Either::Right((heard, _)), _)) => heard,
        Either::Right(_) => Heard::Time,
    }
}
