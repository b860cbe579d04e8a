use super::*;

#[test]
fn room_is_taken_by_bytes_that_came_and_not_by_those_that_may() {
    let held = Arc::new(AtomicUsize::new(0));
    let mut rooms: Vec<_> = (0..3).map(|_| Room::none(&held)).collect();
    assert!(rooms.iter().all(|room| room.fits(limits::BODIES_HELD)), "who waits holds nothing");
    assert!(rooms[0].grow(limits::BODIES_HELD - 1) && rooms[0].grow(1));
    assert!(!rooms[1].fits(1) && !rooms[1].grow(1));
    rooms.remove(0);
    assert!(rooms[0].grow(limits::BODIES_HELD) && !rooms[1].grow(1), "it is free again");
}
