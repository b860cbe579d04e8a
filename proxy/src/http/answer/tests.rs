use super::*;

#[test]
fn callers_by_grpc_are_told_the_beginning_of_a_page() {
    assert_eq!(beginning(b" who are you?\n"), "who are you?");
    assert_eq!(beginning(&[0xff]), "");
    let long = "\u{e9}".repeat(limits::GRPC_MESSAGE_BYTES);
    assert_eq!(beginning(long.as_bytes()), &long[..limits::GRPC_MESSAGE_BYTES]);
}
