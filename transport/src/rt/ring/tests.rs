use super::super::{Group, Listener, run_by, sleep, spawn, timeout};
use super::*;
use crate::Stream;
use std::cell::Cell;
use std::future::Future;
use std::io::{Read, Write};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// By io_uring, or not at all: under `CI=true` that counts as failed.
fn by_ring<F: Future<Output = ()>>(work: impl FnOnce() -> F) {
    let worked = run_by(true, async {
        let ringed = is_open();
        if ringed {
            timeout(PATIENCE, work()).await.expect("done in time");
        }
        ringed
    });
    // What the kernel forbids is seen by the tests of `uring`.
    worked.unwrap();
}

async fn pair() -> (Stream, Stream) {
    let mut sockets = Group::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().into_sockets();
    let listener = Listener::open(sockets.remove(0)).unwrap();
    let there = Stream::connect(listener.address().unwrap()).await.unwrap();
    let (here, peer) = listener.accept().await.unwrap();
    assert_eq!((here.peer_address(), there.local_address()), (Some(peer), Some(peer)));
    assert!(matches!((&here, &there), (Stream::Ringed(_), Stream::Ringed(_))));
    (here, there)
}

async fn all(recv: &mut crate::rt::Recv, most: usize) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    while recv.recv(&mut buffer, most).await.unwrap() > 0 {}
    buffer.to_vec()
}

#[test]
fn much_goes_both_ways_at_once_and_each_direction_ends_for_itself() {
    by_ring(|| async {
        let (here, there) = pair().await;
        let much: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
        let one_way = |stream: Stream, much: Vec<u8>| async move {
            let (mut recv, mut send) = stream.split();
            let sent = async {
                send.send(&much[..1000], &much[1000..]).await.unwrap();
                send.shutdown().await.unwrap();
            };
            let (read, ()) = futures_util::future::join(all(&mut recv, 64 * 1024), sent).await;
            assert!(read == much);
        };
        futures_util::future::join(one_way(here, much.clone()), one_way(there, much.clone())).await;
    });
}

#[test]
fn what_many_post_goes_out_together_and_a_peer_that_reads_late_gets_all_of_it() {
    by_ring(|| async {
        let (done, many) = (std::rc::Rc::new(Cell::new(0)), 40);
        for n in 0..many {
            let (here, there) = pair().await;
            let done = done.clone();
            // Of one more than any buffer takes.
            let text = if n == 7 { vec![n as u8; 16 << 20] } else { format!("to {n}").into_bytes() };
            let wanted = text.clone();
            spawn(async move {
                let (_recv, mut send) = here.split();
                for round in 0..3 {
                    let mut letter = text.clone();
                    if !send.post(&mut letter, PATIENCE) {
                        send.send(&letter, b"").await.unwrap();
                    }
                    sleep(Duration::from_millis(round)).await;
                }
                send.shutdown().await.unwrap();
            });
            spawn(async move {
                let (mut recv, _send) = there.split();
                sleep(Duration::from_millis(5)).await;
                assert!(all(&mut recv, 8192).await == wanted.repeat(3));
                done.set(done.get() + 1);
            });
        }
        while done.get() < many {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_peer_that_closes_is_news_and_one_that_is_cut_is_told_why() {
    by_ring(|| async {
        let (here, there) = pair().await;
        let (mut recv, _send) = here.split();
        let mut buffer = BytesMut::new();
        assert!(!recv.has_news(&mut buffer));
        drop(there);
        sleep(Duration::from_millis(20)).await;
        assert!(recv.has_news(&mut buffer));
        assert_eq!(recv.recv(&mut buffer, 64).await.unwrap(), 0);

        let (here, _there) = pair().await;
        let (mut recv, _send) = here.split();
        let watched = recv.watched();
        spawn(async move {
            sleep(Duration::from_millis(5)).await;
            watched.upgrade().unwrap().borrow_mut().cut("a policy changed");
        });
        assert_eq!(recv.recv(&mut buffer, 64).await.unwrap_err().to_string(), "a policy changed");
    });
}

#[test]
fn a_thread_that_sleeps_is_woken_by_what_another_sends() {
    by_ring(|| async {
        let mut sockets = Group::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().into_sockets();
        let listener = Listener::open(sockets.remove(0)).unwrap();
        let mut peer = std::net::TcpStream::connect(listener.address().unwrap()).unwrap();
        let (mut recv, mut send) = listener.accept().await.unwrap().0.split();
        let other = std::thread::spawn(move || {
            for _ in 0..3 {
                std::thread::sleep(Duration::from_millis(100));
                peer.write_all(b"ping").unwrap();
                peer.read_exact(&mut [0; 4]).unwrap();
            }
        });
        let (begun, mut buffer) = (std::time::Instant::now(), BytesMut::new());
        while recv.recv(&mut buffer, 64).await.unwrap() > 0 {
            send.send(b"pong", b"").await.unwrap();
        }
        other.join().unwrap();
        assert_eq!(&buffer[..], b"pingpingping");
        assert!(begun.elapsed() < PATIENCE / 2, "no timer woke it");
    });
}

#[test]
fn a_thread_that_never_waits_is_served_too() {
    by_ring(|| async {
        let (here, there) = pair().await;
        let busy = std::rc::Rc::new(Cell::new(true));
        let kept = busy.clone();
        spawn(async move {
            while kept.get() {
                super::super::turn().await;
            }
        });
        let ((mut recv, _send), (_recv, mut send)) = (here.split(), there.split());
        let mut buffer = BytesMut::new();
        let heard = async {
            recv.recv(&mut buffer, 64).await.unwrap();
        };
        futures_util::future::join(heard, send.send(b"heard", b"")).await.1.unwrap();
        busy.set(false);
        assert_eq!(&buffer[..], b"heard");
    });
}
