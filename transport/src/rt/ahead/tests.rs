use super::Ahead;
use crate::limits;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// As rustls asks.
const ASKED: usize = 4096;

/// Has bytes to give, in order; counts how often it was asked and for how much.
#[derive(Default)]
struct Source {
    bytes: VecDeque<u8>,
    reads: usize,
    most: usize,
    ends: bool,
}

impl AsyncRead for Source {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() && !self.ends {
            return Poll::Pending;
        }
        self.reads += 1;
        self.most = self.most.max(buffer.remaining());
        let some = self.bytes.len().min(buffer.remaining());
        let given: Vec<u8> = self.bytes.drain(..some).collect();
        buffer.put_slice(&given);
        Poll::Ready(Ok(()))
    }
}

/// All that is there now, read in pieces of 4 KiB.
fn read(ahead: &mut Ahead<Source>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    loop {
        let mut piece = [0; ASKED];
        let mut buffer = ReadBuf::new(&mut piece);
        match Pin::new(&mut *ahead).poll_read(&mut cx, &mut buffer) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => all.extend_from_slice(buffer.filled()),
            Poll::Ready(Err(e)) => panic!("{e}"),
            _ => return all,
        }
    }
}

fn sample(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8).collect()
}

#[test]
fn who_sends_much_is_read_in_large_pieces_and_in_order() {
    let mut ahead = Ahead::new(Source::default());
    let sent = sample(1 << 20);
    ahead.stream.bytes.extend(&sent);
    assert!(read(&mut ahead) == sent);
    let (reads, most) = (ahead.stream.reads, ahead.stream.most);
    assert_eq!(most, limits::READ_AHEAD);
    assert!(reads <= 18, "{reads} reads of a MiB");
    assert_eq!(ahead.read.capacity(), 0, "memory is held though nothing is there");
}

#[test]
fn who_sends_little_is_read_as_before() {
    let mut ahead = Ahead::new(Source::default());
    for _ in 0..100 {
        ahead.stream.bytes.extend(&sample(300));
        assert!(read(&mut ahead) == sample(300));
    }
    assert_eq!((ahead.stream.reads, ahead.stream.most), (100, ASKED));
    // Much once, then little again.
    ahead.stream.bytes.extend(&sample(100_000));
    assert!(read(&mut ahead) == sample(100_000));
    ahead.stream.bytes.extend(&sample(10));
    read(&mut ahead);
    (ahead.stream.reads, ahead.stream.most) = (0, 0);
    ahead.stream.bytes.extend(&sample(300));
    assert!(read(&mut ahead) == sample(300));
    assert_eq!((ahead.stream.reads, ahead.stream.most), (1, ASKED));
}

#[tokio::test]
async fn the_end_is_passed_on_wherever_it_comes() {
    for size in [0, 1, ASKED - 1, ASKED, ASKED + 1, limits::READ_AHEAD, ASKED + limits::READ_AHEAD, 1 << 18] {
        let source = Source { bytes: sample(size).into(), ends: true, ..Source::default() };
        let mut all = Vec::new();
        Ahead::new(source).read_to_end(&mut all).await.unwrap();
        assert!(all == sample(size), "{size}");
    }
}
