use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const NOW: u64 = 1_000_000;

fn elsewhere(gone: Duration) -> Absence {
    Absence { gone, seen: true, registrant: None, certified_until: NOW + 100 }
}

#[test]
fn a_moment_is_no_absence() {
    assert_eq!(judge(&elsewhere(SECOND), HOUR, NOW), Verdict::Stays);
    assert_eq!(judge(&elsewhere(limits::GONE), HOUR, NOW), Verdict::Stays);
    assert_eq!(judge(&elsewhere(limits::GONE + SECOND), HOUR, NOW), Verdict::Withdrawn);
}

#[test]
fn a_control_plane_that_just_started_waits_for_everybody() {
    let unseen = Absence { seen: false, ..elsewhere(limits::GONE * 2) };
    assert_eq!(judge(&unseen, limits::GONE * 2, NOW), Verdict::Stays);
    let unseen = Absence { gone: limits::RETURN + SECOND, ..unseen };
    assert_eq!(judge(&unseen, limits::RETURN + SECOND, NOW), Verdict::Withdrawn);
}

#[test]
fn one_that_registered_a_moment_ago_is_still_starting() {
    let unseen = Absence { seen: false, ..elsewhere(limits::GONE * 2) };
    assert_eq!(judge(&unseen, HOUR, NOW), Verdict::Stays);
}

#[test]
fn a_place_is_kept_for_as_long_as_its_holder_can_prove_who_it_is() {
    let certified = elsewhere(HOUR);
    assert_eq!(judge(&certified, HOUR * 2, NOW + 100), Verdict::Withdrawn);
    // A clock that jumped ahead by an hour does not take it.
    assert_eq!(judge(&certified, HOUR * 2, NOW + 100 + 3600), Verdict::Withdrawn);
    assert_eq!(judge(&certified, HOUR * 2, NOW + 101 + 3600), Verdict::Forgotten);
}

#[test]
fn here_the_process_itself_is_asked() {
    let alive = Absence { registrant: Some(true), certified_until: 0, ..elsewhere(HOUR) };
    assert_eq!(judge(&alive, HOUR * 2, NOW), Verdict::Withdrawn);
    let dead = Absence { registrant: Some(false), certified_until: NOW * 2, ..elsewhere(limits::GONE + SECOND) };
    assert_eq!(judge(&dead, HOUR * 2, NOW), Verdict::Forgotten);
}
