//! Bodies on their way through, the same for both engines: [`Incoming`] is read, [`Outgoing`] is written, [`pump`] carries one to the other
//! unread. Neither holds more than one piece at a time, so that a slow side slows the other and nothing grows.

use crate::{Error, h1, h2};
use bytes::Bytes;
use model::HeaderBlock;

/// How long a body is, as far as the sender says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// No body at all.
    None,
    Known(u64),
    /// Ends when it ends: chunked, or HTTP/2 data without a length.
    Open,
}

/// A body that is being received.
#[derive(Debug)]
pub enum Incoming<'c> {
    Empty,
    /// One that is held whole: an answer of our own, a request kept for another try.
    Held(Option<Bytes>),
    H1(h1::BodyReader<'c>),
    H2(h2::BodyReader),
}

impl Incoming<'_> {
    pub fn length(&self) -> Length {
        match self {
            Self::Empty | Self::Held(None) => Length::None,
            Self::Held(Some(bytes)) => Length::Known(bytes.len() as u64),
            Self::H1(body) => body.length(),
            Self::H2(body) => body.length(),
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// If the sender broke the framing, stopped, or went away.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Empty => Ok(None),
            Self::Held(bytes) => Ok(bytes.take().filter(|b| !b.is_empty())),
            Self::H1(body) => body.chunk().await,
            Self::H2(body) => body.chunk().await,
        }
    }

    /// The next piece, or that there is none, where that can be said without waiting or reading.
    fn at_hand(&mut self) -> Option<Result<Option<Bytes>, Error>> {
        match self {
            Self::Empty => Some(Ok(None)),
            Self::Held(bytes) => Some(Ok(bytes.take().filter(|b| !b.is_empty()))),
            Self::H1(body) => body.at_hand(),
            Self::H2(_) => None,
        }
    }

    /// Ends once an HTTP/1 sender is gone that has sent all of its body; never for others, who say so elsewhere.
    pub async fn gone(&mut self) -> Error {
        match self {
            Self::H1(body) => body.gone().await,
            Self::Empty | Self::Held(_) | Self::H2(_) => std::future::pending().await,
        }
    }

    /// Trailer fields, once [`Incoming::chunk`] has said that the end came.
    pub fn trailers(&mut self) -> Option<HeaderBlock> {
        match self {
            Self::H1(body) => body.trailers(),
            Self::H2(body) => body.trailers(),
            Self::Empty | Self::Held(_) => None,
        }
    }

    /// Whether everything was read: only then can the connection carry another message.
    pub fn is_finished(&self) -> bool {
        match self {
            Self::Empty | Self::Held(None) => true,
            Self::Held(Some(_)) => false,
            Self::H1(body) => body.is_finished(),
            Self::H2(body) => body.is_finished(),
        }
    }
}

/// A body that is being sent, its head already given.
#[derive(Debug)]
pub enum Outgoing<'c> {
    H1(h1::BodyWriter<'c>),
    H2(h2::BodyWriter),
}

impl Outgoing<'_> {
    /// # Errors
    /// If the receiver went away, or more comes than was announced.
    pub async fn send(&mut self, piece: Bytes) -> Result<(), Error> {
        match self {
            Self::H1(body) => body.send(&piece).await,
            Self::H2(body) => body.send(piece).await,
        }
    }

    /// Sends what is still held back, so that a receiver sees the head (or the last piece) while the next one is awaited.
    ///
    /// # Errors
    /// If the receiver went away.
    pub async fn flush(&mut self) -> Result<(), Error> {
        match self {
            Self::H1(body) => body.flush().await,
            Self::H2(body) => body.flush().await,
        }
    }

    /// # Errors
    /// If the receiver went away, or less came than was announced.
    pub async fn finish(&mut self, trailers: Option<&HeaderBlock>) -> Result<(), Error> {
        match self {
            Self::H1(body) => body.finish(trailers).await,
            Self::H2(body) => body.finish(trailers).await,
        }
    }

    /// Has the last piece sent without waiting for it, where that can be.
    fn post(&mut self, piece: &[u8]) -> bool {
        match self {
            Self::H1(body) => body.post(piece),
            Self::H2(_) => false,
        }
    }

    /// Ends the body, where that needs no waiting.
    fn end(&mut self) -> bool {
        match self {
            Self::H1(body) => body.end(),
            Self::H2(_) => false,
        }
    }

    /// Takes the head back where nothing of it has gone out; another may then be given.
    pub fn withdraw(&mut self) -> bool {
        match self {
            Self::H1(body) => body.withdraw(),
            Self::H2(_) => false,
        }
    }

    /// Ends once the receiver has given up, where its protocol can say so while nothing is sent.
    async fn gone(&mut self) -> Error {
        match self {
            Self::H1(_) => std::future::pending().await,
            Self::H2(body) => body.gone().await,
        }
    }
}

/// Carries a whole body, counts its bytes, and gives back the trailers that came with it.
///
/// # Errors
/// Of either side; [`Side`] says which.
pub async fn pump(from: &mut Incoming<'_>, to: &mut Outgoing<'_>, carried: &mut u64) -> Result<Option<HeaderBlock>, (Side, Error)> {
    // Small bodies mostly lie behind their head already: the first piece then goes out with the head in one write.
    loop {
        let at_hand = match from.at_hand() {
            None => ready_now(from.chunk()).await,
            at_hand => at_hand,
        };
        let piece = match at_hand {
            Some(piece) => piece,
            None => {
                to.flush().await.map_err(|e| (Side::To, e))?;
                unless(from.chunk(), to.gone()).await.map_err(|e| (Side::To, e))?
            }
        };
        match piece.map_err(|e| (Side::From, e))? {
            Some(piece) => {
                *carried += piece.len() as u64;
                if !to.post(&piece) {
                    to.send(piece).await.map_err(|e| (Side::To, e))?;
                }
            }
            None => break,
        }
    }
    let trailers = from.trailers();
    if trailers.is_some() || !to.end() {
        to.finish(trailers.as_ref()).await.map_err(|e| (Side::To, e))?;
    }
    Ok(trailers)
}

/// Who failed while a body was carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    From,
    To,
}

/// The result of `work`, or of `end` where that comes first.
async fn unless<T>(work: impl Future<Output = T>, end: impl Future<Output = Error>) -> Result<T, Error> {
    let (mut work, mut end) = (std::pin::pin!(work), std::pin::pin!(end));
    std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Ok(value)),
        std::task::Poll::Pending => end.as_mut().poll(cx).map(Err),
    })
    .await
}

/// The result where it is there without waiting. Reading a piece keeps its state in the reader, so that a future dropped early loses nothing.
async fn ready_now<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match work.as_mut().poll(cx) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
