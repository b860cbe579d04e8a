use super::*;

fn filled() -> HeaderBlock {
    let raw = b"GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nx-two:2\r\nX-Three: 3\r\n\r\n";
    let mut block = HeaderBlock::default();
    let at = |name: &str, value: &str| {
        let text = std::str::from_utf8(raw).unwrap();
        let n = text.find(name).unwrap();
        let v = n + name.len() + text[n + name.len()..].find(value).unwrap();
        (n..n + name.len(), v..v + value.len())
    };
    block.fill(raw, [at("Host", "a"), at("X-One", "1"), at("x-two", "2"), at("X-Three", "3")].into_iter());
    block
}

fn written(block: &HeaderBlock) -> String {
    let mut out = Vec::new();
    block.write_http1(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn untouched_fields_are_copied_and_edits_keep_order_and_case() {
    let mut block = filled();
    assert_eq!(written(&block), "Host: a\r\nX-One: 1\r\nx-two: 2\r\nX-Three: 3\r\n");
    assert!(block.remove("x-one"));
    assert!(!block.remove("x-one"));
    block.set("HOST", b"b");
    block.push("X-New", b"n");
    assert_eq!(written(&block), "Host: b\r\nx-two: 2\r\nX-Three: 3\r\nX-New: n\r\n");
    assert_eq!(block.get("x-three"), Some(&b"3"[..]));
    assert_eq!(block.len(), 4);
}

#[test]
fn set_folds_repeated_fields_into_the_first() {
    let mut block = HeaderBlock::default();
    block.push("a", b"1");
    block.push("b", b"2");
    block.push("A", b"3");
    block.set("a", b"9");
    assert_eq!(block.iter().collect::<Vec<_>>(), [("a", &b"9"[..]), ("b", b"2")]);
    block.push("Connection", b"close, X-Foo");
    assert!(block.has_token("connection", "x-foo") && !block.has_token("connection", "foo"));
}

#[test]
fn fields_of_a_family_go_together() {
    let mut block = filled();
    block.push("X", b"4");
    block.remove_prefixed("X-T");
    assert_eq!(written(&block), "Host: a\r\nX-One: 1\r\nX: 4\r\n");
}

#[test]
fn debug_shows_no_values() {
    let mut block = HeaderBlock::default();
    block.push("authorization", b"secret");
    assert!(!format!("{block:?}").contains("secret"));
}

#[test]
fn names_are_the_same_by_the_standard_librarys_word() {
    // Every pair of bytes, alone, within a word and behind one.
    for (before, after) in
        [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (0, 3), (1, 2), (3, 4), (7, 0), (0, 7), (8, 0), (9, 2), (0, 20), (17, 9), (24, 0)]
    {
        for (a, b) in (0..=u8::MAX).flat_map(|a| (0..=u8::MAX).map(move |b| (a, b))) {
            let text = |byte: u8| [vec![b'x'; before], vec![byte], vec![b'-'; after]].concat();
            let (one, other) = (text(a), text(b));
            assert_eq!(same(&one, &other), one.eq_ignore_ascii_case(&other), "{a:#x} and {b:#x} behind {before}");
        }
    }
    assert!(!same(b"host", b"hos") && !same(b"", b"\0") && same(b"", b""));
}
