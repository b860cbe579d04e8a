use super::*;

fn pattern(text: &str) -> HostPattern {
    HostPattern::parse(text).unwrap()
}

#[test]
fn hosts_are_parsed_or_refused() {
    assert_eq!(Hostname::parse("Example.COM.").unwrap().as_str(), "example.com");
    for bad in ["", "a..b", "-a.b", "a-.b", "127.0.0.1", "::1", "a b", "*.a", "a/b"] {
        assert!(Hostname::parse(bad).is_err(), "{bad} must be refused");
    }
    assert!(Hostname::parse(&"a.".repeat(127)).is_ok());
    assert_eq!(Hostname::parse(&"ab.".repeat(100)), Err(HostError::TooLong));
    assert!(HostPattern::parse("a.*.b").is_err());
}

#[test]
fn wildcards_match_one_or_more_labels_but_not_none() {
    let wild = pattern("*.example.com");
    assert!(wild.matches("a.example.com"));
    assert!(wild.matches("a.b.example.com"));
    assert!(!wild.matches("example.com"));
    assert!(!wild.matches("badexample.com"));
    assert!(!wild.matches(".example.com"));
}

#[test]
fn intersection_is_symmetric_and_narrow() {
    for (a, b, want) in [
        ("*", "a.com", Some("a.com")),
        ("*.com", "a.com", Some("a.com")),
        ("*.com", "*.a.com", Some("*.a.com")),
        ("*.a.com", "*.a.com", Some("*.a.com")),
        ("*.a.com", "*.b.com", None),
        ("a.com", "*.a.com", None),
    ] {
        let want = want.map(pattern);
        assert_eq!(pattern(a).intersect(&pattern(b)), want, "{a} and {b}");
        assert_eq!(pattern(b).intersect(&pattern(a)), want, "{b} and {a}");
    }
}
