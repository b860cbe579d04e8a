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
