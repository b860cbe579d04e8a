use super::*;
use rustix::event::{PollFd, PollFlags};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// None where the kernel forbids it; under `CI=true` that counts as failed.
fn ring(pieces: u16) -> Option<Ring> {
    Ring::new(pieces, 4096).inspect_err(|error| println!("skipped: no io_uring: {error}")).ok()
}

fn pair() -> (Arc<OwnedFd>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let theirs = listener.accept().unwrap().0;
    theirs.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (Arc::new(ours.into()), theirs)
}

/// Waits as a runtime does: a turn, and where that brought nothing for the ring's descriptor.
fn wait(ring: &mut Ring, mut enough: impl FnMut(&Ring, usize) -> bool) {
    loop {
        let mut woken = Vec::new();
        ring.turn(&mut woken);
        if enough(ring, woken.len()) {
            return;
        }
        let asleep = Instant::now();
        let timeout = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
        let ready = rustix::event::poll(&mut [PollFd::new(ring, PollFlags::IN)], Some(&timeout)).unwrap();
        // What the kernel finds when it looks once more at the end woke nobody.
        assert!(ready == 1 && asleep.elapsed() < Duration::from_secs(10), "nobody was woken");
    }
}

fn take(ring: &mut Ring, key: Key, most: usize) -> Poll<io::Result<Vec<u8>>> {
    let mut taken = Vec::new();
    let cx = Context::from_waker(Waker::noop());
    let polled = ring.poll_receive(key, &cx, |bytes| {
        taken.extend_from_slice(&bytes[..bytes.len().min(most)]);
        taken.len()
    });
    polled.map_ok(|_| taken)
}

/// Until something has come.
fn receive(ring: &mut Ring, key: Key, most: usize) -> io::Result<Vec<u8>> {
    loop {
        match take(ring, key, most) {
            Poll::Ready(came) => return came,
            Poll::Pending => wait(ring, |_, woken| woken > 0),
        }
    }
}

#[test]
fn bytes_come_in_order_in_as_many_takes_as_one_likes_and_then_the_end() {
    let Some(mut ring) = ring(4) else { return };
    let (ours, mut theirs) = pair();
    let key = ring.add(ours).unwrap();
    assert!(take(&mut ring, key, 9).is_pending());
    theirs.write_all(b"first, second").unwrap();
    assert_eq!(receive(&mut ring, key, 5).unwrap(), b"first");
    assert_eq!(receive(&mut ring, key, 100).unwrap(), b", second");
    drop(theirs);
    assert_eq!(receive(&mut ring, key, 100).unwrap(), b"");
    assert_eq!(receive(&mut ring, key, 100).unwrap(), b"", "an end stays one");
}

#[test]
fn who_waits_for_the_ring_is_woken_by_what_comes_later() {
    let Some(mut ring) = ring(4) else { return };
    let (ours, mut theirs) = pair();
    let key = ring.add(ours).unwrap();
    assert!(take(&mut ring, key, 9).is_pending());
    ring.turn(&mut Vec::new());
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        theirs.write_all(b"later").unwrap();
        theirs
    });
    assert_eq!(receive(&mut ring, key, 9).unwrap(), b"later");
    drop(writer.join().unwrap());
    assert_eq!(receive(&mut ring, key, 9).unwrap(), b"");
}

#[test]
fn many_are_sent_to_at_once_and_each_is_told_what_it_took() {
    let Some(mut ring) = ring(4) else { return };
    let (mut peers, mut keys) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        let (ours, theirs) = pair();
        keys.push(ring.add(ours).unwrap());
        peers.push(theirs);
    }
    let texts: Vec<Vec<u8>> = (0..300).map(|n| format!("to {n}").into_bytes()).collect();
    // The last takes as much as its buffers hold and no more.
    let much = vec![7; 64 << 20];
    let mut letters: Vec<(Key, &[u8])> = keys.iter().copied().zip(texts.iter().map(Vec::as_slice)).collect();
    letters[299].1 = &much;
    let mut told = vec![None; 300];
    ring.send(&letters, |at, sent| told[at] = sent.ok());
    for (at, peer) in peers.iter_mut().enumerate().take(299) {
        assert_eq!(told[at], Some(texts[at].len()));
        let mut text = vec![0; texts[at].len()];
        peer.read_exact(&mut text).unwrap();
        assert_eq!(text, texts[at]);
    }
    assert!((1..much.len()).contains(&told[299].unwrap()), "{:?}", told[299]);
    let mut again = None;
    ring.send(&letters[299..], |_, sent| again = Some(sent));
    assert_eq!(again.unwrap().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    // Once the peer reads there is room, and who waits for it is told.
    ring.wait_for_room(keys[299], &Context::from_waker(Waker::noop()));
    ring.turn(&mut Vec::new());
    assert!(ring.of(keys[299]).writer.is_some());
    let mut read = vec![0; told[299].unwrap()];
    peers[299].read_exact(&mut read).unwrap();
    wait(&mut ring, |ring, _| ring.of(keys[299]).writer.is_none());
}

#[test]
fn who_does_not_read_keeps_no_piece_from_the_others() {
    let Some(mut ring) = ring(4) else { return };
    let mut idle = Vec::new();
    for n in 0..20u8 {
        let (ours, mut theirs) = pair();
        let key = ring.add(ours).unwrap();
        assert!(take(&mut ring, key, 9).is_pending());
        theirs.write_all(&[n; 3000]).unwrap();
        idle.push((key, theirs));
    }
    let (ours, mut theirs) = pair();
    let key = ring.add(ours).unwrap();
    theirs.write_all(b"heard").unwrap();
    assert_eq!(receive(&mut ring, key, 9).unwrap(), b"heard");
    for (n, (key, _)) in idle.iter().enumerate() {
        assert_eq!(receive(&mut ring, *key, 4096).unwrap(), [n as u8; 3000]);
    }
}

#[test]
fn who_lets_go_of_a_socket_closes_it_whatever_is_under_way() {
    let Some(mut ring) = ring(4) else { return };
    let (ours, mut theirs) = pair();
    let key = ring.add(ours.clone()).unwrap();
    assert!(take(&mut ring, key, 9).is_pending());
    ring.wait_for_room(key, &Context::from_waker(Waker::noop()));
    ring.turn(&mut Vec::new());
    drop(ours);
    ring.remove(key);
    wait(&mut ring, |ring, _| ring.sockets[key.at as usize].is_none());
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0, "closed");
    // Its number serves the next one.
    let (ours, mut theirs) = pair();
    assert_eq!(ring.add(ours).unwrap(), key);
    theirs.write_all(b"new").unwrap();
    assert_eq!(receive(&mut ring, key, 9).unwrap(), b"new");
}

#[test]
fn news_are_seen_before_anybody_asked_for_them() {
    let Some(mut ring) = ring(4) else { return };
    let (ours, mut theirs) = pair();
    let key = ring.add(ours).unwrap();
    assert!(!ring.has_news(key));
    theirs.write_all(b"x").unwrap();
    assert!(ring.has_news(key));
    assert_eq!(receive(&mut ring, key, 9).unwrap(), b"x");
    assert!(!ring.has_news(key));
    ring.turn(&mut Vec::new());
    assert!(!ring.has_news(key));
    drop(theirs);
    // Now the kernel tells of it by itself.
    wait(&mut ring, |ring, _| matches!(ring.of(key).came, Came::End));
    assert!(ring.has_news(key), "the end is news");
}

/// With what is done at once and brings about nothing, until the queue of what goes to the kernel is full.
fn fill(ring: &mut Ring) {
    (0..ENTRIES).for_each(|_| ring.push(opcode::Nop::new().build().user_data(CANCELLED)));
}

#[test]
fn what_was_asked_for_while_the_queue_was_full_is_not_yet_known_to_the_kernel() {
    let Some(mut ring) = ring(4) else { return };
    let (ours, mut theirs) = pair();
    let key = ring.add(ours).unwrap();
    fill(&mut ring);
    assert!(take(&mut ring, key, 9).is_pending());
    assert_eq!(ring.uring.submission().len(), 1, "it alone waits to be given to the kernel");
    theirs.write_all(b"x").unwrap();
    assert!(ring.has_news(key));
}

#[test]
fn what_found_no_room_among_completions_is_news() {
    let Some(mut ring) = ring(4) else { return };
    let (ours, mut theirs) = pair();
    let key = ring.add(ours).unwrap();
    assert!(take(&mut ring, key, 9).is_pending());
    wait(&mut ring, |_, _| true);
    for _ in 0..COMPLETIONS / ENTRIES {
        fill(&mut ring);
        ring.enter();
    }
    theirs.write_all(b"x").unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while !ring.uring.submission().cq_overflow() {
        assert!(Instant::now() < until, "nothing came");
        std::thread::yield_now();
    }
    assert!(ring.has_news(key));
    assert_eq!(receive(&mut ring, key, 9).unwrap(), b"x");
}

#[test]
fn what_the_kernel_has_yet_to_tell_is_news() {
    let Some(mut ring) = ring(4) else { return };
    let (ours, mut theirs) = pair();
    let key = ring.add(ours).unwrap();
    let (go, told) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || told.iter().for_each(|()| theirs.write_all(b"x").unwrap()));
    // Whatever interrupts this thread has the kernel tell at once: one time of many it finds it busy.
    for _ in 0..100 {
        assert!(take(&mut ring, key, 9).is_pending());
        wait(&mut ring, |_, _| true);
        go.send(()).unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while !ring.is_owed() && ring.uring.completion().is_empty() {
            assert!(Instant::now() < until, "nothing came");
            std::hint::spin_loop();
        }
        assert!(ring.has_news(key));
        assert_eq!(receive(&mut ring, key, 9).unwrap(), b"x");
    }
    drop(go);
    writer.join().unwrap();
}

#[test]
fn an_error_is_told_once_and_then_it_is_the_end() {
    let Some(mut ring) = ring(4) else { return };
    let (ours, theirs) = pair();
    let key = ring.add(ours).unwrap();
    assert!(take(&mut ring, key, 9).is_pending());
    ring.turn(&mut Vec::new());
    // What lies unread makes the kernel reset the connection.
    ring.send(&[(key, b"unread")], |_, sent| assert_eq!(sent.unwrap(), 6));
    drop(theirs);
    assert_eq!(receive(&mut ring, key, 9).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(receive(&mut ring, key, 9).unwrap(), b"");
}

#[test]
#[should_panic(expected = "a socket stays with its thread")]
fn a_socket_of_one_ring_is_none_of_anothers() {
    let (Some(mut one), Some(mut other)) = (ring(4), ring(4)) else { panic!("a socket stays with its thread") };
    let key = one.add(pair().0).unwrap();
    other.remove(key);
    other.add(pair().0).unwrap();
    let _ = take(&mut other, key, 9);
}
