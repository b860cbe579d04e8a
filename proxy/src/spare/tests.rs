use super::*;
use crate::limits;

#[test]
fn so_many_are_kept_and_no_more() {
    let words = Words::default();
    (0..=limits::KEPT_WORDS).for_each(|_| words.give_emptied(["x".into(), "y".into(), "z".into()]));
    let kept = (0..=limits::KEPT_WORDS).filter(|_| words.take().iter().all(|word| word.is_empty() && word.capacity() > 0)).count();
    assert_eq!(kept, limits::KEPT_WORDS);
}

#[test]
fn texts_that_became_large_are_let_go() {
    let words = Words::default();
    words.give_emptied(["x".repeat(limits::KEPT_WORD_BYTES), "y".into(), "z".into()]);
    assert!(words.take()[0].capacity() >= limits::KEPT_WORD_BYTES);
    words.give_emptied(["x".repeat(limits::KEPT_WORD_BYTES + 1), "y".into(), "z".into()]);
    assert_eq!(words.take()[0].capacity(), 0);
}
