use super::*;

#[test]
fn so_many_heads_of_each_kind_are_kept_and_no_more() {
    for _ in 0..=limits::SPARE_HEADS {
        keep_request(Box::default());
        keep_response(Box::default());
    }
    assert_eq!((REQUESTS.with_borrow(Vec::len), RESPONSES.with_borrow(Vec::len)), (limits::SPARE_HEADS, limits::SPARE_HEADS));
    let mut large = Box::<RequestHead>::default();
    large.set_target(&format!("/{}", "x".repeat(KEPT)));
    REQUESTS.with_borrow_mut(Vec::clear);
    keep_request(large);
    assert!(REQUESTS.with_borrow(Vec::is_empty), "an unusual message's");
}

#[test]
fn buffers_are_used_again_so_many_and_no_larger_ones() {
    for _ in 0..=limits::SPARE_BUFFERS {
        keep_buffer(BytesMut::with_capacity(limits::READ_BUFFER));
        keep_text(Vec::with_capacity(100));
    }
    assert_eq!((BUFFERS.with_borrow(Vec::len), TEXTS.with_borrow(Vec::len)), (limits::SPARE_BUFFERS, limits::SPARE_BUFFERS));
    BUFFERS.with_borrow_mut(Vec::clear);
    TEXTS.with_borrow_mut(Vec::clear);
    keep_buffer(BytesMut::with_capacity(limits::BODY_BUFFER));
    keep_text(Vec::with_capacity(limits::BODY_BUFFER));
    keep_text(Vec::new());
    let mut lent = BytesMut::with_capacity(limits::READ_BUFFER);
    lent.extend_from_slice(b"a piece that somebody holds");
    let piece = lent.split_to(7).freeze();
    keep_buffer(lent);
    let mut large = BytesMut::with_capacity(limits::BODY_BUFFER);
    large.resize(limits::BODY_BUFFER - limits::READ_BUFFER - 1000, b'x');
    let body = large.split().freeze();
    keep_buffer(large);
    assert_eq!(body.len(), limits::BODY_BUFFER - limits::READ_BUFFER - 1000);
    assert!(BUFFERS.with_borrow(Vec::is_empty) && TEXTS.with_borrow(Vec::is_empty));
    assert_eq!(piece, &b"a piece"[..]);

    let mut used = BytesMut::with_capacity(limits::READ_BUFFER);
    used.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
    drop(used.split_to(4).freeze());
    keep_buffer(used);
    let again = buffer();
    assert!(again.is_empty() && again.capacity() >= limits::READ_BUFFER, "{}", again.capacity());
    assert!(BUFFERS.with_borrow(Vec::is_empty), "it is the same one");
}
