use super::*;
use control::kubernetes::ReachError;
use std::cell::Cell;
use std::time::Duration;
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

#[tokio::test(start_paused = true)]
async fn a_leader_is_waited_for_so_long_and_no_longer_and_who_waits_is_told() {
    let told = Cell::new(None);
    let begun = Instant::now();
    let say = || told.set(Some(begun.elapsed()));
    let nobody = until_one_leads(|| std::future::ready(Err::<(), _>(ReachError::NobodyLeads)), ReachError::passes, say);
    assert_eq!(timeout(limits::LEADER * 2, nobody).await, Ok(Err(ReachError::NobodyLeads)));
    assert_eq!((begun.elapsed(), told.take()), (limits::LEADER, Some(limits::LEADER_UNSAID)));
    // What was asked in time and takes longer is not cut off: who asked would not know whether it was done.
    let (begun, mut looks) = (Instant::now(), 0);
    let slow = until_one_leads(
        || {
            looks += 1;
            let first = looks == 1;
            async move {
                if first {
                    return Err(ReachError::NobodyLeads);
                }
                tokio::time::sleep(limits::LEADER).await;
                Ok(looks)
            }
        },
        ReachError::passes,
        || (),
    );
    assert_eq!(timeout(limits::LEADER * 2, slow).await, Ok(Ok(2)));
    assert_eq!(begun.elapsed(), limits::LEADER + limits::LEADER_AGAIN);
    // Of one that comes soon nothing is said.
    let mut looks = 0;
    let third = until_one_leads(
        || {
            looks += 1;
            std::future::ready(if looks == 3 { Ok(looks) } else { Err(ReachError::NobodyLeads) })
        },
        ReachError::passes,
        || panic!("it came within a second"),
    );
    assert_eq!(third.await, Ok(3));
    // Where there is none to come nobody waits.
    let begun = Instant::now();
    let none = ReachError::NotInstalled("elsewhere".into());
    let absent = until_one_leads(|| std::future::ready(Err::<(), _>(none.clone())), ReachError::passes, || panic!("nobody is waited for"));
    assert_eq!((absent.await, begun.elapsed()), (Err(none.clone()), Duration::ZERO));
}
