use super::*;

#[test]
fn what_matches_anywhere_is_replaced_and_what_does_not_is_left() {
    let pattern = Pattern::new("[0-9]{4,}").expect("a pattern");
    assert_eq!(pattern.replaced("/cards/41111111/x/12345", "#").as_deref(), Some("/cards/#/x/#"));
    assert_eq!(pattern.replaced("/cards/1", "#"), None);
    // A replacement is no template.
    assert_eq!(Pattern::new("(a)").expect("a pattern").replaced("a", "$1").as_deref(), Some("$1"));
    assert!(Pattern::new("(").is_err() && Pattern::new(&"a".repeat(limits::REGEX_PATTERN_BYTES + 1)).is_err());
}

#[test]
fn who_somebody_is_may_never_be_recorded() {
    for name in
        ["authorization", "proxy-authorization", "cookie", "set-cookie", "sec-websocket-protocol", "x-amzn-oidc-data", "private-token"]
    {
        assert!(!may_be_recorded(name), "{name}");
    }
    assert!(may_be_recorded("user-agent"));
}

#[test]
fn of_an_address_its_query_and_fragment_are_left_out() {
    for name in ADDRESSES {
        assert_eq!(recordable(name, b"https://a.example/b?token=c#d"), b"https://a.example/b", "{name}");
        assert_eq!(recordable(name, b"/b#access_token=c"), b"/b", "{name}");
    }
    assert_eq!(recordable("location", b"/b"), b"/b");
    assert_eq!(recordable("x-note", b"why?"), b"why?");
}
