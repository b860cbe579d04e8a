use super::*;
use std::collections::{BTreeMap, HashMap, HashSet};

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

#[test]
fn a_key_is_what_it_says_however_it_was_made() {
    let all =
        ["files/service/shop/web", "files/endpoints/shop/web", "files/service/web/shop", "organza/service/shop/web", "files/service//web"];
    for (i, one) in all.iter().enumerate() {
        for (j, other) in all.iter().enumerate() {
            assert_eq!(key(one) == key(other), i == j, "{one} {other}");
            assert_eq!(key(one).cmp(&key(other)).is_eq(), i == j, "{one} {other}");
        }
        assert_eq!(key(one).to_string(), *one);
    }
    let held: HashSet<Key> = all.iter().map(|text| key(text)).collect();
    assert_eq!(held.len(), all.len());
    assert!(all.iter().all(|text| held.contains(&key(text))));
    let web = key(all[0]);
    assert_eq!(web.with_kind(Kind::Endpoints), key(all[1]));
    let by_key = HashMap::from([(key(all[1]), ())]);
    assert!(by_key.contains_key(&web.with_kind(Kind::Endpoints)) && !by_key.contains_key(&web));
}

#[test]
fn keys_are_sorted_by_source_kind_namespace_and_name() {
    let sorted = ["files/service/a/b", "files/service/b/a", "files/endpoints/a/a", "organza/service/a/a"];
    let map: BTreeMap<Key, ()> = sorted.iter().rev().map(|text| (key(text), ())).collect();
    assert_eq!(map.keys().map(ToString::to_string).collect::<Vec<_>>(), sorted);
}

#[test]
fn what_is_read_twice_lies_in_memory_once_and_no_longer_than_it_is_held() {
    let mut known = KnownKeys::default();
    let first = known.share(key("files/service/shop/web"));
    let again = known.share(key("files/endpoints/shop/web"));
    assert!(Arc::ptr_eq(&first.words, &again.words));
    assert_eq!(again, key("files/endpoints/shop/web"));
    assert!(!Arc::ptr_eq(&first.words, &known.share(key("organza/service/shop/web")).words));
    let held: Vec<Key> = (0..500).map(|n| known.share(key(&format!("files/service/shop/{n}")))).collect();
    assert!(held.iter().all(|one| Arc::ptr_eq(&one.words, &known.share(key(&one.to_string())).words)));
    drop(held);
    (0..5000).for_each(|n| drop(known.share(key(&format!("files/service/shop/other-{n}")))));
    assert!(known.len() <= 1100, "{} are remembered of which nobody has one", known.len());
}
