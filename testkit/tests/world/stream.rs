//! One stream of the network: two queues of pieces, each with the time at which it arrives. In order, whatever each piece's delay.

use crate::random::Random;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use transport::rt::Wire;

/// What may be under way in one direction.
const WINDOW: usize = 512 * 1024;
/// Most that a piece is later than the one before would have been, in microseconds.
const JITTER: u64 = 200;
/// A lost piece is sent again after this time, and after twice as long if it is lost again.
pub const RETRANSMIT: Duration = Duration::from_millis(200);
/// A piece is lost at most so often in a row: nobody is cut off by chance.
pub const LOST_IN_A_ROW: u32 = 4;
/// Most that a piece takes longer by another way, in microseconds.
const DETOUR: u64 = 20_000;

/// How a way between two nodes is just now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Road {
    pub longer: Duration,
    /// Of a hundred pieces, so many are lost. A stream has no gaps: what follows waits until it was sent again.
    pub loss: u64,
    /// Of a hundred pieces, so many are overtaken by those after them, which the receiver keeps until it is there.
    pub reorder: u64,
}

impl Road {
    /// Over both.
    pub fn and(self, other: Self) -> Self {
        let (longer, loss) = (self.longer + other.longer, self.loss + other.loss);
        Self { longer, loss, reorder: self.reorder + other.reorder }
    }

    /// What one piece takes beyond the usual.
    pub fn delay(self, random: &mut Random, again: Duration) -> Duration {
        let mut all = self.longer;
        for time in 0..LOST_IN_A_ROW {
            if self.loss == 0 || !random.chance(self.loss) {
                break;
            }
            all += again * (1 << time);
        }
        if self.reorder > 0 && random.chance(self.reorder) {
            all += Duration::from_micros(random.within(1, DETOUR));
        }
        all
    }
}

/// One direction.
#[derive(Debug)]
pub struct Pipe {
    latency: Duration,
    road: Road,
    random: Random,
    pieces: VecDeque<(Instant, Bytes)>,
    bytes: usize,
    last: Instant,
    /// When the end arrives.
    ended: Option<Instant>,
    /// Nobody reads any more.
    abandoned: bool,
    reset: bool,
    held: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

pub fn pipe(latency: Duration, road: Road, random: Random) -> Arc<Mutex<Pipe>> {
    Arc::new(Mutex::new(Pipe {
        latency,
        road,
        random,
        pieces: VecDeque::new(),
        bytes: 0,
        last: Instant::now(),
        ended: None,
        abandoned: false,
        reset: false,
        held: false,
        reader: None,
        writer: None,
    }))
}

fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pipe {
    /// Stops or lets go on what is under way.
    pub fn hold(pipe: &Arc<Mutex<Self>>, held: bool) {
        let mut this = lock(pipe);
        this.held = held;
        this.wake();
    }

    /// What is sent from now on goes this way.
    pub fn take(pipe: &Arc<Mutex<Self>>, road: Road) {
        lock(pipe).road = road;
    }

    pub fn reset(pipe: &Arc<Mutex<Self>>) {
        let mut this = lock(pipe);
        this.reset = true;
        this.pieces.clear();
        this.wake();
    }

    /// Nothing can come through it any more.
    pub fn is_over(pipe: &Arc<Mutex<Self>>) -> bool {
        let this = lock(pipe);
        this.reset || this.abandoned
    }

    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    fn arrival(&mut self) -> Instant {
        let usual = self.latency + Duration::from_micros(self.random.within(0, JITTER));
        let at = Instant::now() + usual + self.road.delay(&mut self.random, RETRANSMIT);
        self.last = self.last.max(at);
        self.last
    }

    fn end(&mut self) {
        if self.ended.is_none() {
            self.ended = Some(self.arrival());
            self.wake();
        }
    }
}

/// One end of a stream.
#[derive(Debug)]
pub struct VirtualWire {
    local: SocketAddr,
    peer: SocketAddr,
    incoming: Arc<Mutex<Pipe>>,
    outgoing: Arc<Mutex<Pipe>>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl VirtualWire {
    pub fn new(local: SocketAddr, peer: SocketAddr, incoming: Arc<Mutex<Pipe>>, outgoing: Arc<Mutex<Pipe>>) -> Self {
        Self { local, peer, incoming, outgoing, alarm: None }
    }
}

impl Drop for VirtualWire {
    fn drop(&mut self) {
        self.end();
    }
}

impl Wire for VirtualWire {
    fn local_address(&self) -> SocketAddr {
        self.local
    }
    fn peer_address(&self) -> SocketAddr {
        self.peer
    }
    fn end(&mut self) {
        lock(&self.outgoing).end();
        let mut incoming = lock(&self.incoming);
        incoming.abandoned = true;
        incoming.pieces.clear();
        incoming.wake();
    }
}

impl AsyncRead for VirtualWire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let pipe = self.incoming.clone();
        loop {
            let mut incoming = lock(&pipe);
            if incoming.reset {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            incoming.reader = Some(cx.waker().clone());
            let next = incoming.pieces.front().map(|(at, _)| *at).or(incoming.ended);
            let Some(at) = next.filter(|_| !incoming.held) else { return Poll::Pending };
            if at > Instant::now() {
                drop(incoming);
                let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
                if alarm.deadline() != at {
                    alarm.as_mut().reset(at);
                }
                std::task::ready!(alarm.as_mut().poll(cx));
                continue;
            }
            // All that has arrived; an end has nothing in front of it.
            while let Some((at, piece)) = incoming.pieces.front_mut()
                && *at <= Instant::now()
                && buffer.remaining() > 0
            {
                let count = piece.len().min(buffer.remaining());
                buffer.put_slice(&piece.split_to(count));
                let empty = piece.is_empty();
                incoming.bytes -= count;
                if empty {
                    incoming.pieces.pop_front();
                }
            }
            incoming.writer.take().into_iter().for_each(Waker::wake);
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for VirtualWire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut outgoing = lock(&self.outgoing);
        if outgoing.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if outgoing.abandoned || outgoing.ended.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if outgoing.bytes >= WINDOW {
            outgoing.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let piece: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let count = piece.len();
        if count > 0 {
            let at = outgoing.arrival();
            outgoing.bytes += count;
            outgoing.pieces.push_back((at, piece.into()));
            outgoing.reader.take().into_iter().for_each(Waker::wake);
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.outgoing).end();
        Poll::Ready(Ok(()))
    }
}
