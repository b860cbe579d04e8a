use super::*;
use std::collections::BTreeSet;

#[test]
fn every_rule_is_another_one_and_the_last_lets_callers_in() {
    let policies = 1_000;
    let all: BTreeSet<_> = (0..policies).flat_map(|policy| (0..RULES).map(move |at| rule(policies, policy, at))).collect();
    assert_eq!(all.len(), policies * RULES);
    for (block, ..) in &all {
        assert!(block.parse::<std::net::Ipv4Addr>().is_ok(), "{block}");
    }
    assert_eq!(rule(policies, 999, 9), ("127.0.0.0".to_owned(), 8, "/items".to_owned()));
    let (ours, theirs) = (objects(2, true).unwrap(), filters(2, true).unwrap());
    assert_eq!((ours.matches("ipBlock: {").count(), theirs.matches("direct_remote_ip").count()), (20, 20));
    assert!(objects(0, false).unwrap().is_empty() && filters(0, false).unwrap().is_empty());
}

#[test]
fn rules_for_bytes_name_no_path() {
    let [read, unread] = [SERVICE, BYTES].map(|target| objects_for(target, 3, false).unwrap());
    assert_eq!([&read, &unread].map(|objects| objects.matches("cidr: ").count()), [30, 30]);
    assert_eq!([&read, &unread].map(|objects| objects.matches("paths: ").count()), [30, 0]);
}
