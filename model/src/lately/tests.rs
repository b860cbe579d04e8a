use super::*;

#[test]
fn what_is_said_again_lies_in_memory_once() {
    let first = shared("shop");
    assert!(Arc::ptr_eq(&first, &shared("shop")));
    assert_eq!(&*shared("catalog"), "catalog");
    assert!(Arc::ptr_eq(&first, &shared("shop")), "other words do not drive it out");
    let there = first.clone();
    std::thread::spawn(move || assert!(!Arc::ptr_eq(&there, &shared("shop")), "threads share nothing")).join().unwrap();
}

#[test]
fn so_many_words_are_kept_and_no_long_ones() {
    let long = "x".repeat(limits::LATELY_BYTES + 1);
    assert!(!Arc::ptr_eq(&shared(&long), &shared(&long)));
    let just = "x".repeat(limits::LATELY_BYTES);
    assert!(Arc::ptr_eq(&shared(&just), &shared(&just)));
    let said: Vec<_> = (0..10 * limits::LATELY).map(|i| shared(&format!("word-{i}"))).collect();
    let kept = said.iter().filter(|word| Arc::strong_count(word) > 1).count();
    assert!((limits::LATELY / 2..=limits::LATELY).contains(&kept), "{kept}");
}
