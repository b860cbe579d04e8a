use super::*;
use crate::EdgeTracker;

#[test]
fn rules_are_counted_apart_up_to_a_limit_and_what_comes_late_as_other() {
    let metrics = Metrics::new();
    (0..limits::VERDICTS + 2).for_each(|n| metrics.verdict(Verdict::Denied, &format!("AccessPolicy shop/p{n}"), "r").add(1.0));
    metrics.verdict(Verdict::Denied, "AccessPolicy shop/p0", "r").add(1.0);
    // Each family has its own room.
    metrics.verdict(Verdict::Allowed, "AccessPolicy shop/late", "r").add(1.0);
    let told = metrics.verdicts();
    let count = |verdict, policy: &str, rule: &str| told.get(&VerdictId { verdict, policy: policy.into(), rule: rule.into() }).copied();
    assert_eq!(count(Verdict::Denied, "AccessPolicy shop/p0", "r"), Some(2));
    assert_eq!(count(Verdict::Denied, "other", "other"), Some(2));
    assert_eq!(count(Verdict::Allowed, "AccessPolicy shop/late", "r"), Some(1));
    assert_eq!(told.len(), limits::VERDICTS + 2);
}

#[test]
fn what_is_scraped_and_what_is_told_are_one_count() {
    let (metrics, mut tracker) = (Metrics::new(), EdgeTracker::new(1));
    for verdict in Verdict::ALL {
        metrics.verdict(verdict, "AccessPolicy shop/a", "r").add(3.0);
        assert_eq!(Verdict::parse(verdict.as_str()), Some(verdict));
    }
    let text = metrics.encode();
    for line in [
        r#"organza_access_allowed_total{policy="AccessPolicy shop/a",rule="r"} 3.0"#,
        r#"organza_access_denied_total{policy="AccessPolicy shop/a",rule="r"} 3.0"#,
        r#"organza_access_dry_run_total{policy="AccessPolicy shop/a",rule="r",verdict="allowed"} 3.0"#,
        r#"organza_access_dry_run_total{policy="AccessPolicy shop/a",rule="r",verdict="denied"} 3.0"#,
        r#"organza_rate_limited_total{policy="AccessPolicy shop/a",limit="r"} 3.0"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let first = tracker.poll(&metrics, false).expect("verdicts");
    assert_eq!(first.verdicts.iter().map(|(id, count)| (id.verdict, *count)).collect::<Vec<_>>(), Verdict::ALL.map(|one| (one, 3)));
    // The same again until it is acknowledged; then what is new alone.
    metrics.verdict(Verdict::Denied, "AccessPolicy shop/a", "r").add(2.0);
    assert_eq!(tracker.poll(&metrics, false).as_ref(), Some(&first));
    tracker.acknowledged(first.sequence);
    let second = tracker.poll(&metrics, false).expect("what is new");
    assert_eq!(second.verdicts.iter().map(|(id, count)| (id.verdict, *count)).collect::<Vec<_>>(), [(Verdict::Denied, 2)]);
    tracker.acknowledged(second.sequence);
    assert_eq!(tracker.poll(&metrics, false), None);
}
