use super::*;
use tokio::time::{Instant, timeout};

#[tokio::test(start_paused = true)]
async fn who_is_to_be_ready_is_looked_at_for_so_long_and_no_longer() {
    let begun = Instant::now();
    assert_eq!(timeout(limits::READY * 2, until_ready(|| std::future::ready(None::<()>))).await, Ok(None));
    assert_eq!(begun.elapsed(), limits::READY);
    // One look that never ends ends with the rest.
    let begun = Instant::now();
    assert_eq!(timeout(limits::READY * 2, until_ready(std::future::pending::<Option<()>>)).await, Ok(None));
    assert_eq!(begun.elapsed(), limits::READY);
    let mut looks = 0;
    let third = until_ready(|| {
        looks += 1;
        std::future::ready((looks == 3).then_some(looks))
    });
    assert_eq!(third.await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_reason_is_waited_for_so_long_and_no_longer() {
    let begun = Instant::now();
    assert_eq!(timeout(limits::CONNECT * 2, reason(std::future::pending())).await, Ok(None));
    assert_eq!(begun.elapsed(), limits::CONNECT);
    assert_eq!(reason(std::future::ready(Some("pod is gone".into()))).await.as_deref(), Some("pod is gone"));
}
