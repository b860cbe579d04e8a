use super::*;

/// RFC 6455, section 1.3.
#[test]
fn the_handshake_answers_the_example_of_the_standard() {
    assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

/// RFC 6455, section 5.7: a masked "Hello" comes back as the unmasked one.
#[test]
fn frames_come_back_unmasked_and_whole() {
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    let mut bytes = BytesMut::from(&masked[..7]);
    assert_eq!(next_frame(&mut bytes).expect("fine so far"), None);
    bytes.extend_from_slice(&masked[7..]);
    assert_eq!(next_frame(&mut bytes).expect("a frame"), Some(vec![0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]));
    assert!(bytes.is_empty());
    let mut bytes = BytesMut::from(&[0x81, 0x05, 0, 0, 0, 0, 0][..]);
    assert!(next_frame(&mut bytes).is_err(), "a client must mask");
}
