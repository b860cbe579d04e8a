use super::*;

fn head(grpc: bool, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    if grpc {
        head.headers.push("content-type", b"application/grpc+proto");
    }
    fields.iter().for_each(|(name, value)| head.headers.push(name, value.as_bytes()));
    head
}

fn of(grpc: bool, fields: &[(&str, &str)]) -> Option<Duration> {
    told(&head(grpc, fields))
}

#[test]
fn what_callers_say_is_read_as_their_protocols_have_it() {
    let units =
        [("2H", 7200.0), ("3M", 180.0), ("4S", 4.0), ("250m", 0.25), ("50u", 0.00005), ("100n", 0.0000001), ("99999999S", 99999999.0)];
    for (text, seconds) in units {
        assert_eq!(of(true, &[(GRPC, text)]), Some(Duration::from_secs_f64(seconds)), "{text}");
        assert_eq!(of(false, &[(GRPC, text)]), None, "not gRPC");
    }
    assert_eq!(of(true, &[(GRPC, "0n")]), Some(Duration::ZERO), "its time is over");
    assert_eq!(of(false, &[(EXPECTED, "250")]), Some(Duration::from_millis(250)));
    assert_eq!(of(false, &[(EXPECTED, "0")]), None, "without bound");
    assert_eq!(of(true, &[(EXPECTED, "250"), (GRPC, "1S")]), Some(Duration::from_millis(250)), "the shorter");
    assert_eq!(of(true, &[(EXPECTED, "2500"), (GRPC, "1S")]), Some(Duration::from_secs(1)));
}

#[test]
fn what_cannot_be_read_says_nothing() {
    for text in ["", "S", "1", "1s", "123456789S", "-1S", "1.5S", " 1S", "1S ", "+1S", "1SS"] {
        assert_eq!(of(true, &[(GRPC, text)]), None, "{text:?}");
    }
    for text in ["", "-5", "1.5", "1s", " 5", "99999999999999999999", "0x10"] {
        assert_eq!(of(false, &[(EXPECTED, text)]), None, "{text:?}");
    }
}

#[test]
fn the_next_hop_is_told_what_is_left_and_never_less() {
    let millis = Duration::from_millis;
    let cases = [
        (millis(250), "250000u", "250"),
        (Duration::from_nanos(1), "1n", "1"),
        (Duration::ZERO, "1n", "1"),
        (Duration::from_nanos(100_000_001), "100001u", "101"),
        (Duration::from_secs(3600), "3600000m", "3600000"),
        (Duration::from_secs(100_000_001), "1666667M", "100000001000"),
        (Duration::MAX, "99999999M", "999999999999"),
    ];
    for (left, grpc, expected) in cases {
        let mut told = head(true, &[(GRPC, "1H")]);
        tell(&mut told, left);
        assert_eq!((told.headers.text(GRPC), told.headers.text(EXPECTED)), (Some(grpc), Some(expected)), "{left:?}");
        assert!(super::told(&told) >= Some(left) || left == Duration::MAX, "{left:?}");
    }
    let mut plain = head(false, &[]);
    tell(&mut plain, millis(7));
    assert_eq!((plain.headers.text(GRPC), plain.headers.text(EXPECTED)), (None, Some("7")));
}
