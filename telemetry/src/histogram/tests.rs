use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_value_lies_below_its_cells_bound_and_at_most_a_quarter_below(micros in 1u64..60_000_000) {
        let i = cell(Duration::from_micros(micros));
        let upper = upper_micros(i);
        prop_assert!(micros <= upper, "{micros} > {upper}");
        prop_assert!(i == 0 || micros as f64 >= upper as f64 / 1.26 - 2.0, "{micros} far below {upper}");
    }
}

#[test]
fn quantiles_and_differences() {
    let mut h = Histogram::default();
    assert_eq!(h.quantile(0.5), None);
    (1..=100u64).for_each(|ms| h.record(Duration::from_millis(ms)));
    let p50 = h.quantile(0.5).unwrap().as_millis();
    assert!((50..=63).contains(&p50), "{p50}");
    let before = h.clone();
    h.record(Duration::from_secs(9));
    assert_eq!(h.since(&before).count(), 1);
    assert_eq!(Histogram::from_sparse(h.sparse()), h);
    assert_eq!(before.since(&h), before, "a restart begins anew");
}
