use super::*;

fn item(name: &str, version: &str) -> Arc<Encoded> {
    Arc::new(Encoded { name: name.into(), version: version.into(), bytes: bytes::Bytes::new() })
}

fn set(all: &[(&str, &str)]) -> Set {
    all.iter().map(|(name, version)| item(name, version)).collect()
}

fn words(difference: &Difference) -> String {
    let changed: Vec<String> = difference.changed.iter().map(|item| format!("{}@{}", item.name, item.version)).collect();
    format!("{} -{}", changed.join(" "), difference.gone.join(" -"))
}

#[test]
fn a_set_is_of_one_of_each_name_in_order() {
    let found = set(&[("b", "1"), ("a", "1"), ("b", "2")]);
    assert_eq!(found.items().iter().map(|item| (&*item.name, &*item.version)).collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    assert!(found.get("b").is_some() && found.get("c").is_none());
}

#[test]
fn what_is_different_is_the_same_by_whichever_way_it_is_found() {
    let first = Arc::new(set(&[("a", "1"), ("b", "1"), ("c", "1"), ("e", "1")]));
    let second = set(&[("b", "2"), ("c", "1"), ("d", "1"), ("f", "1")]).succeeding(&first);
    assert_eq!(words(&second.since(&first)), "b@2 d@1 f@1 -a -e");
    assert!(matches!(second.since(&first), Cow::Borrowed(_)), "it is worked out once");
    // Whoever missed the one between, or has one of the same content by another way.
    let third = set(&[("b", "2"), ("c", "1")]).succeeding(&second);
    assert_eq!(words(&third.since(&first)), "b@2 -a -e");
    let same = Arc::new(set(&[("b", "2"), ("c", "1"), ("d", "1"), ("f", "1")]));
    assert_eq!(words(&third.since(&same)), " -d -f");
    assert_eq!(words(&third.since(&Arc::default())), "b@2 c@1 -");
    assert_eq!(words(&third.since(&third.clone())), " -");
}

#[test]
fn nothing_new_is_the_same_set() {
    let first = Arc::new(set(&[("a", "1")]));
    assert!(Arc::ptr_eq(&set(&[("a", "1")]).succeeding(&first), &first));
}
