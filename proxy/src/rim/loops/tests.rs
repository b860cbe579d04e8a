use super::*;
use std::time::Duration;

#[test]
fn a_report_says_over_how_many_seconds_it_came_together_however_often_it_is_told() {
    let begun = Instant::now();
    let at = |millis| begun + Duration::from_millis(millis);
    let mut period = Period::begin(begun);
    // Nothing happened, and then something in the second before it was looked at.
    assert_eq!(period.looked(None, at(9_000)), 1);
    assert_eq!(period.looked(Some(1), at(10_100)), 1);
    assert_eq!(period.looked(Some(2), at(11_200)), 1);
    // Nobody takes it for eight seconds: it stays what it was, and the next tells of the rest.
    assert_eq!([12_000, 15_000, 19_000].map(|millis| period.looked(Some(2), at(millis))), [1, 1, 1]);
    assert_eq!(period.looked(Some(3), at(20_000)), 9);
    assert_eq!(period.looked(Some(4), at(21_000)), 1);
}
