use super::*;

#[test]
fn summaries_of_several_programs_add_up() {
    let text = "test result: ok. 8 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.28s\n\
                skipped: needs root\n\
                test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.28s\n";
    assert_eq!(count(text), Counts { passed: 10, failed: 3, ignored: 1, skipped: vec!["skipped: needs root".into()] });
}
