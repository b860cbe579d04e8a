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

#[test]
fn another_root_is_answered_soon_and_not_by_all_at_once() {
    for (draw, due) in [(0, at(100)), (u32::MAX, at(150))] {
        let mut rotation = Rotation::holding(at(0), at(1000), 0);
        rotation.ask_soon(at(100), Duration::from_secs(1000), draw);
        assert_eq!(rotation.due(), due);
    }
    // Over a minute at most, however long it lives.
    let mut rotation = Rotation::holding(at(0), at(100_000), 0);
    rotation.ask_soon(at(100), Duration::from_secs(100_000), u32::MAX);
    assert_eq!(rotation.due(), at(160));
    // One that is due anyway is not put off.
    let mut rotation = Rotation::holding(at(0), at(1000), 0);
    rotation.ask_soon(at(499), Duration::from_secs(1000), u32::MAX);
    assert_eq!(rotation.due(), at(500));
}
