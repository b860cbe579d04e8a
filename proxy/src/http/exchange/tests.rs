use super::*;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn who_takes_no_more_of_a_request_is_given_a_moment_to_say_why() {
    let begun = rt::now();
    let upload = pin!(async { Err((Side::To, Error::new(Fault::UpstreamReset, "it reads no more"))) });
    let (silent, gone) = (pin!(std::future::pending::<()>()), pin!(std::future::pending()));
    let (mut state, whole) = (Upload::Going, Cell::new(false));
    let waited = beside(upload, &mut state, &whole, silent, gone, None);
    let waited = rt::timeout(limits::EARLY_ANSWER + Duration::from_secs(60), waited).await.expect("it is not waited for for ever");
    assert!(matches!(waited, Err(Broken::Upstream(error)) if error.fault == Fault::UpstreamReset));
    assert_eq!(rt::now().saturating_duration_since(begun), limits::EARLY_ANSWER);
}
