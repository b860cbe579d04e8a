use super::*;

fn room(service: Option<u32>, endpoint: Option<u32>) -> Room {
    let mut room = Room::default();
    room.limit(ConnectionLimits { service, endpoint });
    assert!(!room.limit(ConnectionLimits { service, endpoint }));
    room
}

fn names() -> (Arc<str>, Arc<str>) {
    ("a".into(), "b".into())
}

fn waits(entry: Entry) -> Ticket {
    let Entry::Waits(ticket) = entry else { panic!("{entry:?}") };
    ticket
}

#[test]
fn there_are_never_more_than_may_be_and_who_waits_longest_is_next() {
    let (a, b) = names();
    let mut room = room(Some(2), None);
    assert_eq!([room.enter(&a, 2), room.enter(&b, 2)], [Entry::Seated; 2]);
    let (first, second) = (waits(room.enter(&a, 2)), waits(room.enter(&b, 2)));
    assert_eq!((room.enter(&b, 2), room.open(), room.waiting()), (Entry::Full, 2, 2));
    assert_eq!(room.leave("b"), Some(first));
    assert_eq!(room.leave("a"), Some(second));
    assert_eq!((room.leave("a"), room.leave("b"), room.open()), (None, None, 0));
    assert!(room.at.is_empty(), "who has no connection is forgotten");
}

#[test]
fn an_endpoint_that_is_full_keeps_nobody_from_another() {
    let (a, b) = names();
    let mut room = room(Some(3), Some(1));
    assert_eq!(room.enter(&a, 9), Entry::Seated);
    let waiting = waits(room.enter(&a, 9));
    assert_eq!(room.enter(&b, 9), Entry::Seated, "past one who waits for another endpoint");
    assert!(room.gains("a") && !room.gains("b"));
    assert_eq!(room.leave("b"), None);
    assert_eq!(room.leave("a"), Some(waiting));
}

#[test]
fn nobody_overtakes_one_who_could_go() {
    let (a, _) = names();
    let mut room = room(Some(1), None);
    room.enter(&a, 9);
    let first = waits(room.enter(&a, 9));
    room.limit(ConnectionLimits { service: Some(2), endpoint: None });
    waits(room.enter(&a, 9));
    assert_eq!(room.seat_next(), Some(first));
    assert_eq!(room.seat_next(), None);
}

#[test]
fn limits_shrink_and_grow_under_way() {
    let (a, b) = names();
    let mut room = room(None, None);
    (0..4).for_each(|_| assert_eq!(room.enter(&a, 0), Entry::Seated));
    assert!(!room.gains("a") && room.wanted() == 0 && !room.is_full());
    room.limit(ConnectionLimits { service: Some(2), endpoint: None });
    assert!(room.gains("a") && room.wanted() == 2);
    let waiting = waits(room.enter(&b, 1));
    assert_eq!((room.wanted(), room.leave("a"), room.leave("a")), (3, None, None), "still as many as may be");
    assert_eq!(room.leave("a"), Some(waiting));
    room.limit(ConnectionLimits { service: None, endpoint: Some(1) });
    assert_eq!((room.gains("a"), room.wanted()), (false, 0));
}

#[test]
fn who_gives_up_is_not_seated_and_who_is_handed_a_connection_waits_no_more() {
    let (a, _) = names();
    let mut room = room(Some(1), None);
    room.enter(&a, 9);
    let [first, second, third] = [(); 3].map(|()| waits(room.enter(&a, 9)));
    room.give_up(first);
    assert!(room.hand_over(third) && !room.hand_over(third));
    assert_eq!((room.open(), room.leave("a")), (1, Some(second)));
}

#[test]
fn connections_go_past_one_who_waits_so_often_and_no_more() {
    let (a, b) = names();
    let mut room = room(Some(1), None);
    room.enter(&a, 99);
    let longest = waits(room.enter(&b, 99));
    for _ in 0..limits::HANDED_OVER {
        let other = waits(room.enter(&a, 99));
        assert!(room.hand_over(other));
    }
    let other = waits(room.enter(&a, 99));
    assert!(!room.hand_over(other));
    assert_eq!(room.leave("a"), Some(longest));
    // And where the limit was lowered nothing is handed on.
    room.limit(ConnectionLimits { service: Some(1), endpoint: None });
    room.open = 2;
    assert!(!room.hand_over(other));
}

#[test]
fn who_lent_its_seats_takes_none_but_those_that_it_is_given() {
    let (a, b) = names();
    let mut elder = room(Some(5), None);
    (0..2).for_each(|_| _ = elder.enter(&a, 9));
    assert_eq!((elder.lend(), elder.lend()), (Some(vec![(a.clone(), 2)]), None));
    let (first, second) = (waits(elder.enter(&b, 9)), waits(elder.enter(&a, 9)));
    assert_eq!((elder.leave("a"), elder.open(), elder.gains("a")), (None, 1, true), "what is idle is given back");
    assert_eq!((elder.granted("a"), elder.granted("a"), elder.open()), (Some(second), None, 2));
    elder.take_back();
    assert_eq!((elder.seat_next(), elder.gains("a")), (Some(first), false));
    let mut younger = room(Some(2), None);
    (0..3).for_each(|_| younger.adopt(&a));
    let waiting = waits(younger.enter(&a, 9));
    assert_eq!((younger.leave("a"), younger.leave("a")), (None, Some(waiting)));
    assert_eq!(Room::default().lend(), None);
}
