use super::*;

#[test]
fn questions_and_answers_are_those_of_the_protocol() {
    assert_eq!(&question("")[..], b"\0\0\0\0\0");
    assert_eq!(&question("shop.Catalog")[..], b"\0\0\0\0\x0e\x0a\x0cshop.Catalog");
    assert_eq!(answer(b"\0\0\0\0\x02\x08\x01"), Some(Serving::Serving));
    assert_eq!(answer(b"\0\0\0\0\x02\x08\x02"), Some(Serving::NotServing));
    assert_eq!(answer(b"\0\0\0\0\x02\x08\x03"), Some(Serving::ServiceUnknown));
    assert_eq!(answer(b"\0\0\0\0\x00"), Some(Serving::Unknown), "proto3 leaves zero out");
    assert_eq!(answer(b"\0\0\0\0\x02\x08\x63"), Some(Serving::Unknown));
    for strange in [&b""[..], b"\0\0\0\0", b"\x01\0\0\0\x02\x08\x01", b"\0\0\0\0\x03\x08\x01", b"\0\0\0\0\x01\x08", b"<html>"] {
        assert_eq!(answer(strange), None, "{strange:?}");
    }
}
