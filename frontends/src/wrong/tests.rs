use super::*;
use crate::gateway_api::condition;

#[test]
fn messages_and_what_to_do_are_cut_and_so_are_conditions() {
    let long = "\u{fc}".repeat(20_000);
    let wrong = Wrong::new("Invalid", long.clone()).fix(long.clone());
    // What ends it is longer than a letter.
    let within = |text: &str, limit: usize| text.ends_with("\u{2026}.") && (limit..limit + 8).contains(&text.len());
    assert!(within(&wrong.message, limits::MESSAGE_BYTES) && within(&wrong.fix.unwrap(), limits::MESSAGE_BYTES));
    assert!(within(&condition("Accepted", false, "Invalid", &long).message, limits::CONDITION_BYTES));
    assert_eq!(Wrong::new("Invalid", "short").message, "short");
}
