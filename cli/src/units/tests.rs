use super::*;

#[test]
fn durations_are_read_as_gateway_api_writes_them() {
    assert_eq!(duration("20s"), Ok(Duration::from_secs(20)));
    assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
    assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
    for wrong in ["", "20", "s", "20 s", "-1s", "1d", "99999999999999999999s", "18446744073709551615h"] {
        assert!(duration(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn durations_are_written_short() {
    let texts = [870, 4_100, 41_000, 1_200_000].map(|micros| short(Duration::from_micros(micros)));
    assert_eq!(texts, ["870 µs", "4.1 ms", "41 ms", "1.2 s"]);
}

#[test]
fn moments_are_days_of_the_calendar() {
    let cases = [
        (0, "1970-01-01 00:00 UTC"),
        (951_868_740, "2000-02-29 23:59 UTC"),
        (951_868_800, "2000-03-01 00:00 UTC"),
        (1_790_000_000, "2026-09-21 14:13 UTC"),
        (4_107_542_400, "2100-03-01 00:00 UTC"),
    ];
    for (seconds, want) in cases {
        assert_eq!(moment(seconds), want);
    }
    assert_eq!([ago(95, 100), ago(0, 150), ago(0, 7_200), ago(0, 200_000)], ["now", "2 min ago", "2 h ago", "2 d ago"]);
}
