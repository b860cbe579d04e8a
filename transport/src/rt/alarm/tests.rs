use super::*;
use std::future::poll_fn;
use std::time::Duration;

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn wait(alarm: &mut Alarm, until: Instant) -> Instant {
    poll_fn(|cx| alarm.poll(cx, until)).await;
    now()
}

/// A wait that ends before its time.
async fn glance(alarm: &mut Alarm, until: Instant) {
    assert!(poll_fn(|cx| Poll::Ready(alarm.poll(cx, until).is_pending())).await);
}

#[test]
fn a_wait_ends_at_its_own_time_whatever_the_waits_before_had() {
    run(async {
        let (start, second) = (now(), Duration::from_secs(1));
        let mut alarm = Alarm::default();
        glance(&mut alarm, start + 10 * second).await;
        tokio::time::sleep(5 * second).await;
        glance(&mut alarm, start + 15 * second).await;
        assert_eq!(alarm.0.as_ref().unwrap().deadline().into_std(), start + 10 * second, "nothing is moved while it need not be");
        assert_eq!(wait(&mut alarm, start + 15 * second).await, start + 15 * second, "not at the tenth second, where the timer stood");
        assert_eq!(wait(&mut alarm, start + 16 * second).await, start + 16 * second, "one that went off serves again");
        glance(&mut alarm, start + 100 * second).await;
        assert_eq!(wait(&mut alarm, start + 20 * second).await, start + 20 * second, "a shorter wait moves it back");
        assert_eq!(wait(&mut alarm, start).await, start + 20 * second, "what is over is over at once");
    });
}
