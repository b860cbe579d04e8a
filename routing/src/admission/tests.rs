use super::*;

const LIMITS: RequestLimits = RequestLimits { parallel_requests: 2, pending_requests: 2 };

fn waits(entry: Entry) -> Ticket {
    let Entry::Waits(ticket) = entry else { panic!("{entry:?}") };
    ticket
}

#[test]
fn some_go_some_wait_the_rest_is_refused_at_once() {
    let mut admission = Admission::default();
    assert_eq!([admission.enter(&LIMITS), admission.enter(&LIMITS)], [Entry::Admitted; 2]);
    let (first, second) = (waits(admission.enter(&LIMITS)), waits(admission.enter(&LIMITS)));
    assert_eq!(admission.enter(&LIMITS), Entry::Overloaded { under_way: 2, waiting: 2 });
    assert_eq!(admission.leave(&LIMITS), Some(first));
    assert_eq!(admission.leave(&LIMITS), Some(second));
    assert_eq!((admission.under_way(), admission.waiting()), (2, 0));
    assert_eq!(admission.leave(&LIMITS), None);
    assert_eq!(admission.enter(&LIMITS), Entry::Admitted);
}

#[test]
fn one_that_gives_up_leaves_its_place_in_the_queue() {
    let mut admission = Admission::default();
    (0..2).for_each(|_| _ = admission.enter(&LIMITS));
    let (first, second) = (waits(admission.enter(&LIMITS)), waits(admission.enter(&LIMITS)));
    admission.give_up(first);
    waits(admission.enter(&LIMITS));
    assert_eq!(admission.leave(&LIMITS), Some(second));
}

#[test]
fn limits_may_shrink_and_grow_under_way() {
    let mut admission = Admission::default();
    (0..2).for_each(|_| _ = admission.enter(&LIMITS));
    let small = RequestLimits { parallel_requests: 1, ..LIMITS };
    let waiting = waits(admission.enter(&small));
    assert_eq!(admission.leave(&small), None, "still as many under way as may be");
    assert_eq!(admission.admit_next(&LIMITS), Some(waiting));
}

#[test]
fn each_endpoint_has_places_of_its_own_and_gets_them_back() {
    let (a, b): (std::sync::Arc<str>, std::sync::Arc<str>) = ("a".into(), "b".into());
    let mut occupied = Occupied::default();
    assert!(occupied.take(&a, 2) && occupied.take(&a, 2) && !occupied.take(&a, 2));
    assert!(occupied.take(&b, 2));
    assert!(occupied.is_full("a", 2) && !occupied.is_full("b", 2) && !occupied.is_full("c", 2));
    occupied.give("a");
    assert!(occupied.take(&a, 2) && !occupied.take(&a, 2));
    (0..3).for_each(|_| occupied.give("a"));
    occupied.give("b");
    assert!(occupied.0.is_empty(), "who is free is forgotten");
}
