use super::*;

#[test]
fn what_is_sealed_is_opened_by_its_key_in_its_context_alone() {
    let (key, other) = (derive(&[7; 32], "a"), derive(&[7; 32], "b"));
    assert_ne!(key, other);
    assert_ne!(key, derive(&[8; 32], "a"));
    let sealed = seal(&key, "cart", b"endpoint").unwrap();
    assert_eq!(open(&key, "cart", sealed.as_bytes()).as_deref(), Some(&b"endpoint"[..]));
    assert_eq!(open(&other, "cart", sealed.as_bytes()), None);
    assert_eq!(open(&key, "card", sealed.as_bytes()), None);
    assert_ne!(seal(&key, "cart", b"endpoint").unwrap(), sealed, "never twice the same");
    assert!(!sealed.contains("endpoint") && sealed.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{sealed}");
}

#[test]
fn what_was_changed_or_cut_is_nothing() {
    let key = derive(&[7; 32], "a");
    let sealed = seal(&key, "cart", b"endpoint").unwrap();
    for at in 0..sealed.len() {
        let mut bytes = sealed.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(open(&key, "cart", &bytes), None, "byte {at}");
        assert_eq!(open(&key, "cart", &sealed.as_bytes()[..at]), None, "cut at {at}");
    }
    for text in [&b""[..], b"????", b"\xff\xff", &[b'A'; 10_000]] {
        assert_eq!(open(&key, "cart", text), None);
    }
}
