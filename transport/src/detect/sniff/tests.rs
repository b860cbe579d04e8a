use super::*;
use proptest::prelude::*;

#[test]
fn protocols_are_told_by_their_first_words() {
    for (bytes, want) in [
        (&b"GET / HTTP/1.1\r\n"[..], Sniffed::Http1),
        (b"GET / HTTP/1.", Sniffed::Http1),
        (b"\r\nPOST /a?b=c HTTP/1.0\r\n", Sniffed::Http1),
        (b"OPTIONS * HTTP/1.1\r\n", Sniffed::Http1),
        (b"CONNECT [::1]:80 HTTP/1.1\r\n", Sniffed::Http1),
        (b"M-SEARCH http://a/ HTTP/1.1\r\n", Sniffed::Http1),
        (b"PRI /x HTTP/1.1\r\n", Sniffed::Http1),
        (h2::CLIENT_PREFACE, Sniffed::Http2),
        (b"", Sniffed::Need),
        (b"G", Sniffed::Need),
        (b"GET ", Sniffed::Need),
        (b"GET /long", Sniffed::Need),
        (b"GET / HTT", Sniffed::Need),
        (b"PRI * HTTP/2.0\r\n", Sniffed::Need),
        (b"\x16\x03\x01", Sniffed::Need),
        // IRC, memcached, Redis, HTTP/0.9, RTSP, PostgreSQL, HTTP/3 by mistake, a lower-case method, a NUL in the target.
        (b"NICK guest\r\n", Sniffed::Other),
        (b"get key\r\n", Sniffed::Other),
        (b"PING\r\n", Sniffed::Other),
        (b"GET /\r\n", Sniffed::Other),
        (b"DESCRIBE rtsp://a/ RTSP/1.0\r\n", Sniffed::Other),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", Sniffed::Other),
        (b"GET / HTTP/3", Sniffed::Other),
        (b"Get / HTTP/1.1", Sniffed::Other),
        (b"GET /\0 HTTP/1.1", Sniffed::Other),
        (b"PRI * HTTP/2.0\r\n\r\nXX", Sniffed::Other),
        (b" GET", Sniffed::Other),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Sniffed::Other),
    ] {
        assert_eq!(sniff(bytes), want, "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn what_fills_the_buffer_is_decided() {
    let long = [b"GET /".to_vec(), vec![b'a'; limits::SNIFF_BYTES]].concat();
    assert_eq!((sniff(&long), sniff(&long[..limits::SNIFF_BYTES - 1])), (Sniffed::Http1, Sniffed::Need));
    let hello = [b"\x16\x03\x01\x40\x00\x01\x00\xff\xff".to_vec(), vec![0; limits::SNIFF_BYTES]].concat();
    assert_eq!((sniff(&hello[..limits::SNIFF_BYTES]), sniff(&hello[..100])), (Sniffed::Tls(None), Sniffed::Need));
}

proptest! {
    /// A verdict once given is never changed by what comes after it: hence no split can change it.
    #[test]
    fn splitting_changes_nothing(
        bytes in prop_oneof![
            any::<Vec<u8>>(),
            "[\r\nA-Z/ -]{0,12}[a-z/* ]{0,9}( HTTP/[123]\\.?)?[a-z\r\n]{0,4}".prop_map(String::into_bytes),
            "PRI \\* HTTP/2.0\r\n\r\n[SM\r\n]{0,8}".prop_map(String::into_bytes),
        ],
        tail in any::<Vec<u8>>(),
    ) {
        let mut given = Sniffed::Need;
        for end in 0..=bytes.len() {
            let now = sniff(&bytes[..end]);
            prop_assert!(given == Sniffed::Need || now == given, "{given:?} became {now:?} at byte {end}");
            given = now;
        }
        if given != Sniffed::Need {
            prop_assert_eq!(sniff(&[bytes, tail].concat()), given);
        }
    }
}
