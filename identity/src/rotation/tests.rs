use super::*;
use std::time::UNIX_EPOCH;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn renews_between_four_tenths_and_half_of_life() {
    for draw in [0, u32::MAX / 2, u32::MAX] {
        let rotation = Rotation::holding(at(0), at(1000), draw);
        assert!(rotation.due() >= at(400) && rotation.due() <= at(500), "{rotation:?}");
        assert_eq!(rotation.poll(at(399)), Step::Wait(rotation.due()));
        assert_eq!(rotation.poll(at(500)), Step::Ask);
    }
}

#[test]
fn failures_back_off_and_success_resets() {
    let mut rotation = Rotation::start(at(0));
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        rotation.failed(at(0), u32::MAX);
        longest = longest.max(rotation.pause_after_failure(at(0)));
    }
    assert_eq!(longest, limits::RENEW_PAUSE_MAX);
    rotation.issued(at(0), at(100), 0);
    rotation.failed(at(50), 0);
    assert_eq!(rotation.pause_after_failure(at(50)), limits::RENEW_PAUSE_MIN);
}
