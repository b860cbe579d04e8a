use super::*;
use std::cell::RefCell;

#[tokio::test(start_paused = true)]
async fn pages_are_given_back_after_the_start_and_from_time_to_time_until_that_fails() {
    let (begun, times) = (tokio::time::Instant::now(), RefCell::new(Vec::new()));
    give_back_by(|| {
        times.borrow_mut().push(begun.elapsed());
        if times.borrow().len() < 3 { Ok(4096) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    })
    .await;
    let (first, again) = (limits::SETTLED, limits::SETTLED_AGAIN);
    assert_eq!(*times.borrow(), [first, first + again, first + again * 2]);
}
