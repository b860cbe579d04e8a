use super::*;

fn endpoint(name: &str) -> Endpoint {
    ("shop".to_owned(), "catalog".to_owned(), name.to_owned())
}

fn told(name: &str, passed: bool, said: &str) -> Told {
    Told { endpoint: endpoint(name), passed, said: said.to_owned(), age_millis: 2500, again_millis: 30_000 }
}

fn seen<'c>(checks: &'c Checks, name: &str, now: u64) -> Vec<(&'c str, bool, &'c str, u64)> {
    checks.of(&endpoint(name), now).map(|(proxy, check)| (proxy, check.passed, check.said.as_str(), check.at)).collect()
}

#[test]
fn the_last_word_of_each_proxy_holds_until_the_next_check_is_overdue() {
    let mut checks = Checks::default();
    checks.report("web", [told("a", false, "answered 503"), told("b", true, "answered 200")].into_iter(), 100);
    checks.report("edge", [told("a", true, "answered 200")].into_iter(), 101);
    assert_eq!(seen(&checks, "a", 101), [("edge", true, "answered 200", 99), ("web", false, "answered 503", 98)]);
    checks.report("web", [told("a", true, "answered 204")].into_iter(), 110);
    assert_eq!(seen(&checks, "a", 110)[1], ("web", true, "answered 204", 108));
    assert_eq!(seen(&checks, "b", 140).len(), 1);
    assert_eq!(seen(&checks, "b", 141), [], "the next one is overdue");
    // A proxy of which one would hear once in a year is believed for an hour.
    checks.report("web", [Told { again_millis: u64::MAX, age_millis: u64::MAX, ..told("c", true, "") }].into_iter(), 200);
    assert_eq!((seen(&checks, "c", 200 + limits::CHECK_SECONDS).len(), seen(&checks, "c", 300 + limits::CHECK_SECONDS).len()), (1, 0));
}

#[test]
fn so_much_is_kept_of_checks_and_those_that_are_over_make_room() {
    let mut checks = Checks::default();
    let long = "é".repeat(limits::CHECK_SAID);
    checks.report("web", (0..=limits::CHECKS_OF_ONE).map(|n| told(&n.to_string(), true, &long)), 100);
    assert_eq!(checks.kept, limits::CHECKS_OF_ONE);
    let said = &seen(&checks, "0", 100)[0];
    assert!(said.2.len() <= limits::CHECK_SAID && said.2.len() > limits::CHECK_SAID - 2);
    for proxy in 0..limits::CHECKS.div_ceil(limits::CHECKS_OF_ONE) {
        checks.report(&proxy.to_string(), (0..limits::CHECKS_OF_ONE).map(|n| told(&n.to_string(), true, "")), 100);
    }
    assert_eq!(checks.kept, limits::CHECKS);
    checks.report("late", [told("0", true, "no room")].into_iter(), 100);
    assert!(!seen(&checks, "0", 100).iter().any(|one| one.0 == "late"));
    checks.report("late", [told("0", true, "room again")].into_iter(), 100 + limits::CHECK_SECONDS);
    assert_eq!((seen(&checks, "0", 100 + limits::CHECK_SECONDS).len(), checks.kept), (1, 1));
}

#[test]
fn no_proxy_takes_the_room_of_all_and_what_is_over_is_looked_for_once_a_second() {
    let mut checks = Checks::default();
    let tell = |checks: &mut Checks, from: usize, now: u64| {
        checks.report("web", (from..from + limits::CHECKS_OF_ONE).map(|n| told(&n.to_string(), true, "")), now);
    };
    (0..=limits::CHECKS_OF_PROXY / limits::CHECKS_OF_ONE).for_each(|part| tell(&mut checks, part * limits::CHECKS_OF_ONE, 100));
    assert_eq!((checks.kept, checks.shares["web"], checks.swept), (limits::CHECKS_OF_PROXY, limits::CHECKS_OF_PROXY, 100));
    checks.report("edge", [told("0", true, "")].into_iter(), 100);
    assert_eq!((checks.kept, seen(&checks, "0", 100).len()), (limits::CHECKS_OF_PROXY + 1, 2));
    // It was looked in this second already, whatever is over by it.
    checks.swept = 200;
    checks.report("web", [told("late", true, "")].into_iter(), 200);
    assert_eq!(checks.kept, limits::CHECKS_OF_PROXY + 1);
    checks.report("web", [told("late", true, "")].into_iter(), 201);
    assert_eq!((checks.kept, checks.shares["web"]), (1, 1));
}

#[test]
fn a_check_of_what_has_too_long_a_name_is_left_out_and_who_is_gone_said_nothing() {
    let mut checks = Checks::default();
    let [fits, long] = [0, 1].map(|more| "n".repeat(limits::CHECK_NAME + more));
    checks.report("web", [told(&long, true, ""), told(&fits, true, ""), told("a", true, "")].into_iter(), 100);
    checks.report("edge", [told("a", false, "")].into_iter(), 100);
    assert_eq!((seen(&checks, &long, 100).len(), seen(&checks, &fits, 100).len(), checks.kept), (0, 1, 3));
    checks.forget("web");
    assert_eq!((seen(&checks, "a", 100).len(), checks.kept, checks.shares.len()), (1, 1, 1));
    checks.forget("web");
    assert_eq!(checks.kept, 1);
}
