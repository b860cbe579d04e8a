use super::some;
use crate::limits::KEYLESS_TOLD;

#[test]
fn a_condition_names_so_many_proxies_and_counts_the_others() {
    let told = |count: usize| some((0..count).map(|i| format!("{i}")));
    let names: Vec<String> = (0..KEYLESS_TOLD).map(|i| i.to_string()).collect();
    assert_eq!(told(KEYLESS_TOLD), names.join("; "));
    assert_eq!(told(KEYLESS_TOLD + 2), format!("{}; and 2 more proxies", names.join("; ")));
}
