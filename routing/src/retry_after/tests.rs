use super::*;
use crate::balance::Balancer;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn seconds_and_all_three_dates_are_read() {
    let now = at(784_111_770);
    let wait = |text: &str| read(text.as_bytes(), now);
    assert_eq!(wait("120"), Some(Duration::from_secs(120)));
    assert_eq!(wait("0"), Some(Duration::ZERO));
    assert_eq!(wait("99999999999999999999999"), Some(Duration::from_secs(u64::from(u32::MAX))));
    // The dates of RFC 9110 itself; the one of RFC 850 has no century.
    assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
    assert_eq!(wait("Sun Nov  6 08:49:37 1994"), Some(Duration::from_secs(7)));
    assert_eq!(read(b"Saturday, 29-Feb-64 23:59:60 GMT", at(2_971_555_190)), Some(Duration::from_secs(10)));
    assert_eq!(read(b"Thu, 01 Jan 1970 00:00:00 GMT", at(5)), Some(Duration::ZERO), "past");
    assert_eq!(date("Tue, 29 Feb 2000 00:00:00 GMT"), Some(951_782_400));
    assert_eq!(date("Mon, 01 Mar 2100 00:00:00 GMT"), Some(4_107_542_400));
    assert_eq!(date("Thu, 31 Dec 2026 23:59:59 GMT"), Some(1_798_761_599));
}

#[test]
fn nonsense_asks_for_nothing() {
    let bad = [
        "",
        "-1",
        "1.5",
        "soon",
        "Sun, 06 Nov 1994 08:49 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37",
    ];
    for text in
        bad.into_iter().chain(["Sunday, 06-Nov-94-1 08:49:37 GMT", "Sun, 06 Nov 99999 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT"])
    {
        assert_eq!(read(text.as_bytes(), at(0)), None, "{text:?}");
    }
    assert_eq!(read(b"\xff", at(0)), None);
}

#[test]
fn who_asked_is_not_tried_before_its_time() {
    let now = Instant::now();
    let ids = Balancer::ids_for_tests(2);
    let mut asked = Asked::default();
    assert_eq!((asked.by(now).len(), asked.soonest(now)), (0, Duration::ZERO));
    asked.note(Some(ids[0]), Duration::from_secs(5), now);
    asked.note(Some(ids[1]), Duration::from_secs(2), now);
    assert_eq!((&asked.by(now)[..], asked.soonest(now)), (&ids[..], Duration::from_secs(2)));
    let later = now + Duration::from_secs(2);
    assert_eq!((&asked.by(later)[..], asked.soonest(later)), (&ids[..1], Duration::ZERO));
    // What it says later holds; what no clock can say is long enough.
    asked.note(Some(ids[1]), Duration::from_secs(u64::MAX), later);
    assert_eq!((asked.by(later).len(), asked.soonest(later)), (2, Duration::from_secs(2)));
    let mut outside = Asked::default();
    outside.note(None, Duration::from_secs(1), now);
    assert_eq!((outside.by(now).len(), outside.soonest(now)), (0, Duration::from_secs(1)));
}
