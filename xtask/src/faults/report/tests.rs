use super::*;

#[test]
fn what_was_under_way_when_it_broke_was_met_by_the_fault() {
    let begun = Instant::now();
    let at = |seconds: u64| begun + Duration::from_secs(seconds);
    let one = |from: u64, to: u64| Seen { at: at(from), took: at(to) - at(from), status: 200, endpoint: None, error: None };
    // Breaking it takes a second, and so does mending it.
    let phases = [(at(1), at(5)), (at(6), at(10)), (at(11), at(15))];
    let seen = [one(0, 1), one(1, 2), one(4, 5), one(5, 6), one(9, 12), one(10, 12), one(11, 20), one(15, 16)];
    let counted = parts(&seen, &phases).map(|part| part.iter().map(|one| (one.at - begun).as_secs()).collect::<Vec<_>>());
    assert_eq!(counted, [vec![1], vec![4, 5, 9], vec![11]]);
}
