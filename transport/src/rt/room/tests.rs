use super::*;

#[test]
fn what_is_read_in_bulk_never_begins_where_a_page_does() {
    let mut buffer = BytesMut::new();
    for kept in [0, 1, 5000] {
        // Also where memory is used again.
        make_room(&mut buffer, limits::BODY_BUFFER);
        let begins = buffer.spare_capacity_mut().as_ptr().addr() % PAGE;
        assert!(begins >= OFF && buffer.is_empty(), "{begins}");
        assert!(buffer.capacity() >= limits::BODY_BUFFER);
        buffer.resize(kept, b'x');
        drop(buffer.split());
    }
}

#[test]
fn so_much_is_read_at_once_as_was_asked_for_though_the_buffer_was_a_small_one_before() {
    let mut buffer = BytesMut::with_capacity(limits::READ_BUFFER);
    for size in [limits::READ_BUFFER, 20_000, limits::BODY_BUFFER, 5000] {
        buffer.resize(size, b'x');
        drop(buffer.split());
        make_room(&mut buffer, limits::BODY_BUFFER);
        assert!((limits::BODY_BUFFER..=limits::BODY_BUFFER + OFF).contains(&buffer.capacity()), "{}", buffer.capacity());
    }
}
