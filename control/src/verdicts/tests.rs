use super::*;

fn told(verdict: &str, policy: &str, rule: &str, count: u64) -> Told {
    Told { verdict: verdict.into(), policy: policy.into(), rule: rule.into(), count }
}

#[test]
fn verdicts_are_told_by_policy_and_rule_and_of_one_its_last_hour() {
    let mut decided = Decided::default();
    decided.report(
        [
            told("allowed", "AccessPolicy shop/a", "r", 5),
            told("denied", "AccessPolicy shop/a", "", 2),
            told("limited", "RateLimitPolicy shop/l", "total", 1),
        ],
        1000,
    );
    decided.report([told("allowed", "AccessPolicy shop/a", "r", 1)], 1009);
    decided.report([told("would_deny", "AccessPolicy shop/a", "r", 4)], 1010);
    let all = decided.told(None, 1011);
    let names: Vec<_> = all.items.iter().map(|one| (&*one.policy, one.points.len())).collect();
    assert_eq!(names, [("AccessPolicy shop/a", 0), ("RateLimitPolicy shop/l", 0)]);
    let one = decided.told(Some("AccessPolicy shop/a"), 1011);
    let [a] = &one.items[..] else { panic!("{one:?}") };
    assert_eq!(a.counts, Verdicts { allowed: 6, denied: 2, would_deny: 4, ..Verdicts::default() });
    let rules: Vec<_> = a.rules.iter().map(|rule| (&*rule.rule, rule.counts.allowed, rule.counts.denied, rule.counts.would_deny)).collect();
    assert_eq!(rules, [("", 0, 2, 0), ("r", 6, 0, 4)]);
    let points: Vec<_> =
        a.points.iter().map(|point| (point.time, point.counts.allowed, point.counts.denied, point.counts.would_deny)).collect();
    assert_eq!(points, [(1000, 6, 2, 0), (1010, 0, 0, 4)]);
    // An hour later the slots are over, the counts stay.
    let later = decided.told(Some("AccessPolicy shop/a"), 1000 + HOUR);
    assert_eq!(later.items[0].points.iter().map(|point| point.time).collect::<Vec<_>>(), [1010]);
    assert_eq!(later.items[0].counts.allowed, 6);
    assert!(decided.told(Some("AccessPolicy shop/b"), 1011).items.is_empty());
}

#[test]
fn what_was_decided_is_kept_and_forgotten_a_month_after_its_policy_fell_silent() {
    const BEGAN: u64 = 20_000 * DAY;
    let mut decided = Decided::default();
    decided.report([told("denied", "AccessPolicy shop/a", "r", 5), told("allowed", "AccessPolicy shop/b", "r", 1)], BEGAN);
    let stored = decided.sweep(BEGAN).put;
    assert_eq!(stored.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), ["verdicts/AccessPolicy shop/a", "verdicts/AccessPolicy shop/b"]);
    assert!(decided.sweep(BEGAN).put.is_empty(), "nothing changed");
    // The next control plane counts on; the hour is its own.
    let mut next = Decided::load(stored);
    next.report([told("denied", "AccessPolicy shop/a", "s", 2)], BEGAN + DAY);
    let one = next.told(Some("AccessPolicy shop/a"), BEGAN + DAY).items.remove(0);
    assert_eq!((one.since, one.counts.denied, one.rules.len(), one.points.len()), (BEGAN, 7, 2, 1));
    let changed = next.sweep(BEGAN + limits::VERDICT_DAYS * DAY);
    assert_eq!((changed.put.len(), changed.delete.len()), (1, 0));
    let changed = next.sweep(BEGAN + limits::VERDICT_DAYS * DAY + 1);
    assert_eq!((changed.put.len(), changed.delete), (0, vec!["verdicts/AccessPolicy shop/b".to_owned()]));
    // A clock that was far ahead keeps nothing for ever.
    next.report([told("denied", "AccessPolicy shop/a", "s", 2)], BEGAN + 900 * DAY);
    let deleted = [2, 40].map(|days| next.sweep(BEGAN + days * DAY).delete.len());
    assert_eq!((deleted, next.told(None, 0).items.len()), ([0, 1], 0));
}

#[test]
fn of_one_report_so_many_verdicts_are_read() {
    let mut decided = Decided::default();
    decided.report((0..limits::VERDICTS_OF_ONE + 1).map(|_| told("denied", "a", "r", 1)), 0);
    assert_eq!(decided.told(None, 0).items[0].counts.denied, limits::VERDICTS_OF_ONE as u64);
}

#[test]
fn what_makes_no_sense_is_left_out_and_what_is_too_much_makes_room_or_is_counted() {
    let mut decided = Decided::default();
    let long = "x".repeat(limits::VERDICT_BYTES + 1);
    decided.report(
        [told("guessed", "a", "r", 1), told("denied", "", "r", 1), told("denied", "a\n", "r", 1), told("denied", "a", &long, 1)],
        0,
    );
    assert_eq!(decided.told(None, 0), VerdictList { slot_seconds: limits::SLOT_SECONDS, ..VerdictList::default() });
    let many = |from: usize, count: usize| (from..from + count).map(|n| told("denied", &format!("p{n}"), "r", 1));
    decided.report(many(0, limits::DECIDING), 10);
    decided.report(many(limits::DECIDING, 2), 20);
    assert_eq!((decided.of.all().len(), decided.left_out), (limits::DECIDING, 2));
    // Nor are there more in a store, whoever wrote it.
    let kept = decided.sweep(20).put;
    let more = kept.iter().cloned().chain([("verdicts/z".to_owned(), kept[0].1.clone())]);
    assert_eq!(Decided::load(more).of.all().len(), limits::DECIDING);
    // Those that decided nothing for an hour make room.
    decided.report(many(0, 1), 11 + HOUR);
    decided.report(many(limits::DECIDING, 1), 11 + HOUR);
    assert_eq!(decided.told(None, 11 + HOUR).items.len(), 2);
    assert_eq!(decided.sweep(11 + HOUR).delete.len(), limits::DECIDING - 1, "they leave the store too");
    // Of one policy so many rules are told apart; a count that is invented stops at the highest.
    decided.report((0..limits::DECIDING_RULES + 3).map(|n| told("denied", "wide", &format!("r{n}"), u64::MAX)), 11 + HOUR);
    let wide = decided.told(Some("wide"), 11 + HOUR).items.remove(0);
    assert_eq!((wide.rules.len(), wide.counts.denied), (limits::DECIDING_RULES + 1, u64::MAX));
    assert!(wide.rules.iter().any(|rule| rule.rule == OTHER));
    // A clock that goes back adds to the latest slot.
    decided.report([told("denied", "wide", "r0", 1)], 5);
    assert_eq!(decided.told(Some("wide"), 11 + HOUR).items[0].points.len(), 1);
    // However long it goes on, slots are those of an hour.
    (0..2 * limits::SLOTS as u64).for_each(|n| decided.report([told("denied", "wide", "r0", 1)], 2 * HOUR + n * limits::SLOT_SECONDS));
    assert_eq!(decided.of.all()["wide"].slots.len(), limits::SLOTS);
}
