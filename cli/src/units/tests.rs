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
