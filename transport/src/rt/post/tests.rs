use super::super::{behind, run, sleep, spawn, timeout};
use super::*;
use bytes::BytesMut;

const PATIENCE: Duration = Duration::from_secs(5);

/// Two that write at once, for who is alone writes at once.
async fn crowd() {
    for _ in 0..3 {
        spawn(behind());
        spawn(behind());
        sleep(Duration::from_millis(1)).await;
    }
    behind().await;
}

#[test]
fn what_is_posted_goes_behind_all_that_is_ready_and_in_one_round() {
    run(async {
        crowd().await;
        let (a, mut from_a) = Stream::pair(1024);
        let (b, mut from_b) = Stream::pair(1024);
        let (_recv_a, mut a) = a.split();
        let (_recv_b, mut b) = b.split();
        let round = POST.with_borrow(|post| post.round);
        assert!(a.post(&mut b"first".to_vec(), PATIENCE));
        assert!(b.post(&mut b"second".to_vec(), PATIENCE));
        assert!(!a.post(&mut b"third".to_vec(), PATIENCE), "one letter of a stream at a time");
        let mut nothing = BytesMut::new();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(from_a.poll_recv(&mut cx, &mut nothing, 64).is_pending(), "it waits for the others");
        let (mut read_a, mut read_b) = (BytesMut::new(), BytesMut::new());
        poll_fn(|cx| from_a.poll_recv(cx, &mut read_a, 64)).await.unwrap();
        poll_fn(|cx| from_b.poll_recv(cx, &mut read_b, 64)).await.unwrap();
        assert_eq!((&read_a[..], &read_b[..]), (&b"first"[..], &b"second"[..]));
        assert_eq!(POST.with_borrow(|post| post.round.get()), round.get() + 1);
    })
    .unwrap();
}

#[test]
fn what_follows_goes_behind_what_was_posted_and_an_end_too() {
    run(async {
        crowd().await;
        let (a, mut far) = Stream::pair(1024);
        let (_recv, mut a) = a.split();
        assert!(a.post(&mut b"posted ".to_vec(), PATIENCE));
        a.send(b"sent ", b"at once ").await.unwrap();
        crowd().await;
        assert!(a.post(&mut b"and the last".to_vec(), PATIENCE));
        a.shutdown().await.unwrap();
        let mut read = BytesMut::new();
        while poll_fn(|cx| far.poll_recv(cx, &mut read, 64)).await.unwrap() > 0 {}
        assert_eq!(&read[..], b"posted sent at once and the last");
    })
    .unwrap();
}

#[test]
fn who_puts_the_halves_together_has_what_was_posted_sent_before() {
    run(async {
        crowd().await;
        let (a, mut far) = Stream::pair(1024);
        let (recv, mut a) = a.split();
        assert!(a.post(&mut b"posted".to_vec(), PATIENCE));
        assert!(recv.reunite(a).is_some(), "nobody else has it any more");
        let mut read = BytesMut::new();
        while poll_fn(|cx| far.poll_recv(cx, &mut read, 64)).await.unwrap() > 0 {}
        assert_eq!(&read[..], b"posted");
    })
    .unwrap();
}

#[test]
fn a_letter_outlives_who_posted_it() {
    let (read, round) = run(async {
        crowd().await;
        let (a, far) = Stream::pair(1024);
        let (recv, mut a) = a.split();
        assert!(a.post(&mut b"a last word".to_vec(), PATIENCE));
        drop((recv, a));
        // Nobody waits any more: the thread ends.
        (far, POST.with_borrow(|post| post.round))
    })
    .map(|(mut far, round)| {
        run(async move {
            let mut read = BytesMut::new();
            while poll_fn(|cx| far.poll_recv(cx, &mut read, 64)).await.unwrap() > 0 {}
            (read, round)
        })
        .unwrap()
    })
    .unwrap();
    assert_eq!(&read[..], b"a last word");
    assert!(POST.with_borrow(|post| post.round) > round);
}

#[test]
fn a_peer_that_takes_it_slowly_gets_it_in_order_and_one_that_takes_nothing_is_given_up() {
    run(async {
        crowd().await;
        let (a, mut far) = Stream::pair(4);
        let (_recv, mut a) = a.split();
        assert!(a.post(&mut b"longer than the room".to_vec(), PATIENCE));
        let read = async {
            let mut read = BytesMut::new();
            while read.len() < 26 {
                poll_fn(|cx| far.poll_recv(cx, &mut read, 64)).await.unwrap();
                sleep(Duration::from_millis(1)).await;
            }
            read
        };
        let send = async {
            behind().await;
            sleep(Duration::from_millis(3)).await;
            assert!(is_late_of(&a));
            assert!(!a.post(&mut b" never".to_vec(), PATIENCE), "what is late comes first");
            a.send(b" there", b"").await.unwrap();
        };
        let (read, ()) = futures_util::future::join(read, send).await;
        assert_eq!(&read[..], b"longer than the room there");

        crowd().await;
        let (b, _far) = Stream::pair(4);
        let (_recv, mut b) = b.split();
        assert!(b.post(&mut b"longer than the room".to_vec(), Duration::from_millis(5)));
        sleep(Duration::from_millis(1)).await;
        let ended = timeout(PATIENCE, async { while b.send(b"more", b"").await.is_ok() {} });
        assert!(ended.await.is_some(), "its time is over");

        crowd().await;
        let (c, _far) = Stream::pair(4);
        let (_recv, mut c) = c.split();
        assert!(c.post(&mut b"longer than the room".to_vec(), Duration::from_millis(5)));
        let ended = timeout(PATIENCE, c.shutdown());
        assert!(ended.await.is_some_and(|ended| ended.is_err()), "who ends the connection waits no longer");
        LATE.with_borrow(|late| assert!(late.is_empty()));
    })
    .unwrap();
}

fn is_late_of(send: &super::super::Send) -> bool {
    is_late(send.stream())
}

#[test]
fn a_thread_without_a_post_and_one_that_is_alone_write_at_once() {
    let (a, _far) = Stream::pair(64);
    let (_recv, mut a) = a.split();
    assert!(!a.post(&mut b"nobody goes".to_vec(), PATIENCE));
    run(async move {
        assert!(!a.post(&mut b"nobody waits".to_vec(), PATIENCE));
    })
    .unwrap();
}

#[test]
fn a_list_for_a_crowd_is_let_go_and_a_smaller_one_is_kept() {
    let kept = |letters: usize| {
        run(async move {
            crowd().await;
            let streams: Vec<_> = (0..letters).map(|_| Stream::pair(64)).map(|(near, far)| (near.split(), far)).collect();
            for ((_, send), _) in &streams {
                put(send.stream(), b"x".to_vec(), PATIENCE);
            }
            sleep(Duration::from_millis(1)).await;
            POST.with_borrow(|post| post.letters.capacity())
        })
        .unwrap()
    };
    let few = kept(3);
    assert!((3..=crate::limits::LETTERS).contains(&few), "{few}");
    assert!(kept(crate::limits::LETTERS + 1) <= crate::limits::LETTERS);
}
