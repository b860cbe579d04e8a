use super::*;

#[test]
fn durations_are_read_by_the_gep() {
    for (text, want) in [
        ("0s", Some(0)),
        ("0h", Some(0)),
        ("500ms", Some(500)),
        ("1h30m", Some(5_400_000)),
        ("1m1s1ms1h", Some(3_661_001)),
        ("99999h", Some(99_999 * 3_600_000)),
        ("", None),
        ("1", None),
        ("s", None),
        ("1.5s", None),
        ("-1s", None),
        ("1us", None),
        ("100000s", None),
        ("1s 1s", None),
        ("1s1s1s1s1s", None),
    ] {
        assert_eq!(parse(text), want.map(Duration::from_millis), "{text:?}");
    }
}
