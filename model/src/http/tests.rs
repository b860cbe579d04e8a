use super::*;

#[test]
fn what_is_kept_is_as_it_was_whatever_is_made_of_it() {
    let mut head = RequestHead { method: Method::Post, version: Version::Http2, ..RequestHead::default() };
    head.set_authority("Catalog:80");
    head.set_target("/a?b=c");
    for (name, value) in [("X-A", "1"), ("x-b", "2"), ("x-c", "3"), ("X-C", "4"), ("y-d", "5")] {
        head.headers.push(name, value.as_bytes());
    }
    head.headers.remove("x-a");
    assert_eq!(head.as_kept(), head, "nothing is kept");
    let before = head.clone();
    head.keep();
    assert_eq!(head.as_kept(), before);
    head.set_authority("elsewhere");
    head.set_authority("elsewhere:81");
    head.set_path("/longer/than/that");
    head.set_target("/z");
    head.headers.set("x-c", b"one");
    head.headers.set("x-c", b"another");
    head.headers.remove("x-b");
    head.headers.push("x-b", b"new");
    head.headers.remove("x-b");
    head.headers.remove_prefixed("y-");
    head.headers.set("z", b"9");
    assert_eq!((head.authority(), head.target()), ("elsewhere:81", "/z"));
    assert_eq!(head.headers.iter().collect::<Vec<_>>(), [("x-c", &b"another"[..]), ("z", b"9")]);
    let kept = head.as_kept();
    assert_eq!(kept, before);
    assert_eq!((kept.host(), kept.port(), kept.path(), kept.query()), ("Catalog", Some(80), "/a", Some("b=c")));
    assert_eq!(kept.headers.iter().collect::<Vec<_>>(), [("x-b", &b"2"[..]), ("x-c", b"3"), ("X-C", b"4"), ("y-d", b"5")]);
    // What is kept last holds, and nothing of it beyond the message.
    let now = head.clone();
    head.keep();
    head.headers.remove("z");
    assert_eq!(head.as_kept(), now);
    head.clear();
    head.set_target("/next");
    head.set_target("/after");
    assert_eq!((head.as_kept().target(), head.headers.len()), ("/after", 0));
}

#[test]
fn targets_split_into_path_and_query() {
    let mut head = RequestHead::default();
    head.set_target("/a/b?x=1?2");
    assert_eq!((head.path(), head.query()), ("/a/b", Some("x=1?2")));
    head.set_path("/c");
    assert_eq!(head.target(), "/c?x=1?2");
    head.set_target("/a");
    assert_eq!((head.path(), head.query()), ("/a", None));
    for (authority, want) in [
        ("a:80", ("a", Some(80))),
        ("a", ("a", None)),
        ("[::1]:8080", ("[::1]", Some(8080))),
        ("[::1]", ("[::1]", None)),
        ("a]:1:2", ("a]", None)),
        ("", ("", None)),
    ] {
        assert_eq!(split_authority(authority), want);
    }
}
