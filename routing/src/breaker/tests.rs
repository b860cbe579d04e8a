use super::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> Policy {
    Policy { failure_percentage: 50, minimum_requests: 4, interval: SECOND * 10, open_time: SECOND * 5, half_open_requests: 2 }
}

fn fail(breaker: &mut Breaker, now: Instant, pattern: &[bool]) -> Vec<Change> {
    let one = |failed: &bool| {
        let admitted = breaker.admit(&policy(), now);
        breaker.observe(&policy(), admitted, Some(*failed), now)
    };
    pattern.iter().filter_map(one).collect()
}

#[test]
fn it_opens_by_share_over_enough_requests() {
    let (mut breaker, now) = (Breaker::default(), Instant::now());
    assert!(fail(&mut breaker, now, &[true, true, true]).is_empty());
    assert_eq!(fail(&mut breaker, now, &[false]), [Change::Opened { percent: 75, requests: 4 }]);
    assert_eq!(breaker.admit(&policy(), now), Admitted::No { until: now + SECOND * 5 });
}

#[test]
fn an_interval_forgets_the_one_before() {
    let (mut breaker, now) = (Breaker::default(), Instant::now());
    fail(&mut breaker, now, &[true, true, true]);
    assert!(fail(&mut breaker, now + SECOND * 10, &[true, false, false]).is_empty());
    assert!(breaker.open().is_none());
}

#[test]
fn half_open_lets_a_few_through_and_closes_when_all_succeed() {
    let (mut breaker, now) = (Breaker::default(), Instant::now());
    fail(&mut breaker, now, &[true; 4]);
    let later = now + SECOND * 5;
    assert_eq!(breaker.admit(&policy(), later), Admitted::AsTrial);
    assert_eq!(breaker.admit(&policy(), later), Admitted::AsTrial);
    assert!(matches!(breaker.admit(&policy(), later), Admitted::No { .. }));
    assert!(breaker.is_half_open());
    // What was sent while it was closed decides nothing.
    assert_eq!(breaker.observe(&policy(), Admitted::Yes, Some(true), later), None);
    assert_eq!(breaker.observe(&policy(), Admitted::AsTrial, Some(false), later), None);
    assert_eq!(breaker.observe(&policy(), Admitted::AsTrial, Some(false), later), Some(Change::Closed));
    assert_eq!(breaker.admit(&policy(), later), Admitted::Yes);
}

#[test]
fn a_failed_trial_opens_it_again_and_a_cancelled_one_is_made_anew() {
    let (mut breaker, now) = (Breaker::default(), Instant::now());
    fail(&mut breaker, now, &[true; 4]);
    let later = now + SECOND * 5;
    breaker.admit(&policy(), later);
    breaker.admit(&policy(), later);
    breaker.observe(&policy(), Admitted::AsTrial, None, later);
    assert_eq!(breaker.admit(&policy(), later), Admitted::AsTrial);
    assert_eq!(breaker.observe(&policy(), Admitted::AsTrial, Some(true), later), Some(Change::Opened { percent: 100, requests: 4 }));
    assert_eq!(breaker.admit(&policy(), later), Admitted::No { until: later + SECOND * 5 });
    // Trials that never come back do not keep it shut for ever.
    let again = later + SECOND * 5;
    breaker.admit(&policy(), again);
    breaker.admit(&policy(), again);
    assert_eq!(breaker.admit(&policy(), again + SECOND * 5), Admitted::AsTrial);
}
