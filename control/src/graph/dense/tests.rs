use super::*;

#[test]
fn a_place_is_used_again_and_a_number_never() {
    let mut dense = Dense::default();
    let [a, b, c] = ["a", "b", "c"].map(|value| dense.insert(value));
    assert_eq!((dense.get(a), dense.get(b), dense.get(c), dense.len()), (Some(&"a"), Some(&"b"), Some(&"c"), 3));
    assert_eq!((dense.remove(b), dense.remove(b), dense.get(b), dense.len()), (Some("b"), None, None, 2));
    let d = dense.insert("d");
    assert!(d > c && d as u32 == b as u32, "it lies where the other lay");
    assert!(dense.get(b).is_none() && dense.get_mut(b).is_none() && dense.remove(b).is_none(), "the old number is nobody's");
    *dense.get_mut(d).unwrap() = "e";
    let all: Vec<_> = dense.iter().collect();
    assert_eq!((all, dense.len()), (vec![(a, &"a"), (d, &"e"), (c, &"c")], 3));
    assert!(dense.get(0).is_none() && dense.get(u64::MAX).is_none());
}
