use super::*;

#[test]
fn holds_what_a_plain_map_holds() {
    let mut map = CowMap::default();
    for i in 0..5000u32 {
        map.insert(i, i);
    }
    for i in (0..5000).step_by(3) {
        map.remove(&i);
    }
    map.insert(1, 7);
    let mut got: Vec<_> = map.iter().map(|(k, v)| (*k, *v)).collect();
    got.sort();
    let want: Vec<_> = (0..5000u32).filter(|i| i % 3 != 0).map(|i| (i, if i == 1 { 7 } else { i })).collect();
    assert_eq!(got, want);
    assert_eq!(map.len(), want.len());
    assert_eq!((map.get(&0), map.get(&2)), (None, Some(&2)));
}

#[test]
fn a_change_copies_one_shard() {
    let mut map = CowMap::default();
    for i in 0..5000u32 {
        map.insert(i, i);
    }
    let mut next = map.clone();
    next.insert(42, 0);
    let copied = map.shards.iter().zip(&next.shards).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
    assert_eq!(copied, 1);
    assert_eq!((map.get(&42), next.get(&42)), (Some(&42), Some(&0)));
}
