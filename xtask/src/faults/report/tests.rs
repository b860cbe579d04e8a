use super::super::scenarios::SCENARIOS;
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

#[test]
fn a_row_is_judged_by_each_bound_of_its_scenario_and_the_peers_by_none() {
    let scenario = SCENARIOS.iter().find(|one| one.name == "overloaded").expect("it");
    let row = |proxy, success, reached| {
        let none = Duration::ZERO;
        Row { scenario, proxy, requests: 1, success, share: 0.0, reached, p99: none, p99_refused: none, settled: none }
    };
    let good = [1.0, 0.0, scenario.after];
    let judged = |proxy, success, reached| broken(&[row(proxy, success, reached)]).len();
    assert_eq!(judged("organza", good, 100.0), 0);
    for (success, reached) in [([0.999, 0.4, 1.0], 100.0), ([1.0, 0.4, 0.9], 100.0), (good, 89.0), (good, 111.0)] {
        assert_eq!(judged("organza", success, reached), 1, "{success:?} {reached}");
        assert_eq!(judged("envoy", success, reached), 0);
    }
    let told = broken(&[row("organza", good, 89.0)]).remove(0);
    assert!(told.contains("answers/s 90 to 110"), "{told}");
}
