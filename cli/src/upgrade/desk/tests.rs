use super::*;
use tokio::time::{Instant, timeout};

#[tokio::test(start_paused = true)]
async fn who_comes_and_asks_nothing_is_listened_to_for_so_long_and_the_next_is_heard() {
    let mut desk = Desk::at(std::env::temp_dir().join(format!("organza-desk-{}.sock", std::process::id()))).expect("a desk");
    let _silent = UnixStream::connect(&desk.path).await.expect("it is open");
    let request = Request { program: "organza".into(), release: "1.0.0".into() };
    let mut asks = UnixStream::connect(&desk.path).await.expect("it is open");
    asks.write_all(format!("{}\n", serde_json::to_string(&request).expect("a question")).as_bytes()).await.expect("asked");
    let begun = Instant::now();
    let (heard, _) = timeout(limits::ANSWER * 2, desk.asked()).await.expect("it is heard");
    assert_eq!((heard, begun.elapsed()), (request, limits::ANSWER));
}

#[tokio::test(start_paused = true)]
async fn who_asked_and_does_not_read_is_told_for_so_long_and_no_longer() {
    let (ours, _theirs) = UnixStream::pair().expect("a socket");
    let begun = Instant::now();
    timeout(limits::CONNECT * 2, Caller(ours).step("x".repeat(4 << 20))).await.expect("it is given up");
    assert_eq!(begun.elapsed(), limits::CONNECT);
}
