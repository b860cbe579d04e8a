//! Silence of one side and of both.

use super::*;
use crate::Stream;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

fn ends(stream: Stream) -> (Reader, Writer) {
    let (recv, send) = stream.split();
    (Reader::new(recv), Writer::new(send))
}

#[tokio::test(start_paused = true)]
async fn one_side_may_be_silent_for_as_long_as_the_other_is_not() {
    let ((mut caller, down), (mut server, up)) = (Stream::pair(64), Stream::pair(64));
    let (mut down, mut up) = (ends(down), ends(up));
    let begun = Instant::now();
    let spliced = async {
        let mut carried = (0, 0);
        let ended = splice((&mut down.0, &mut down.1), (&mut up.0, &mut up.1), (&mut carried.0, &mut carried.1)).await;
        (ended, carried, begun.elapsed())
    };
    let talked = async {
        // The caller listens, and says nothing.
        for _ in 0..6 {
            tokio::time::sleep(limits::TUNNEL_IDLE * 2 / 3).await;
            server.write_all(b"news").await.unwrap();
            let mut news = [0; 4];
            caller.read_exact(&mut news).await.unwrap();
        }
        begun.elapsed()
    };
    let ((ended, carried, took), last) = futures_util::future::join(spliced, talked).await;
    assert_eq!(carried, (0, 24));
    assert!(ended.unwrap_err().why.contains("for an hour"));
    let silent = took - last;
    assert!((limits::TUNNEL_IDLE..=limits::TUNNEL_IDLE + Duration::from_millis(1)).contains(&silent), "{silent:?}");
}

#[tokio::test(start_paused = true)]
async fn who_has_ended_his_side_and_takes_nothing_is_left_after_an_hour_too() {
    let ((mut caller, down), (mut server, up)) = (Stream::pair(64), Stream::pair(64));
    let (mut down, mut up) = (ends(down), ends(up));
    caller.shutdown().await.unwrap();
    server.write_all(&[b'x'; 64]).await.unwrap();
    let begun = Instant::now();
    let mut carried = (0, 0);
    let spliced = splice((&mut down.0, &mut down.1), (&mut up.0, &mut up.1), (&mut carried.0, &mut carried.1));
    let more = async { server.write_all(&[b'x'; 256]).await };
    let (ended, _) =
        futures_util::future::join(rt::timeout(limits::TUNNEL_IDLE * 3, spliced), rt::timeout(limits::TUNNEL_IDLE * 3, more)).await;
    assert!(ended.expect("it ends").unwrap_err().why.contains("for an hour"));
    assert!(begun.elapsed() >= limits::TUNNEL_IDLE);
}
