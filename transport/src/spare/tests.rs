use super::*;

#[test]
fn so_many_heads_of_each_kind_are_kept_and_no_more() {
    for _ in 0..=limits::SPARE_HEADS {
        keep_request(RequestHead::default());
        keep_response(ResponseHead::default());
    }
    assert_eq!((REQUESTS.with_borrow(Vec::len), RESPONSES.with_borrow(Vec::len)), (limits::SPARE_HEADS, limits::SPARE_HEADS));
    let mut large = RequestHead::default();
    large.set_target(&format!("/{}", "x".repeat(KEPT)));
    REQUESTS.with_borrow_mut(Vec::clear);
    keep_request(large);
    assert!(REQUESTS.with_borrow(Vec::is_empty), "an unusual message's");
}
