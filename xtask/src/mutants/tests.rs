use super::*;

#[test]
fn a_bug_is_put_in_exactly_once() {
    assert_eq!(replaced("a b c", "b", "x").unwrap(), "a x c");
    assert!(replaced("a b b", "b", "x").is_err() && replaced("a", "b", "x").is_err());
}

#[test]
fn every_bug_fits_the_source_as_it_is() {
    for bug in &BUGS {
        let changed = bug.applied(crate::root()).unwrap();
        assert!(!changed.is_empty() && changed.iter().all(|(file, text)| fs::read_to_string(file).unwrap() != *text), "{}", bug.name);
    }
    let mut names = BUGS.map(|bug| bug.name).to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), BUGS.len());
}

#[test]
fn a_test_must_run_to_say_anything() {
    let summary = |passed, failed| format!("test result: x. {passed} passed; {failed} failed; 0 ignored; 0 measured; 9 filtered out\n");
    assert_eq!(verdict(true, &summary(1, 0)), Verdict::Survived);
    assert_eq!(verdict(false, &summary(0, 1)), Verdict::Caught);
    assert_eq!(verdict(true, &summary(0, 0)), Verdict::Broken("no test"));
    assert_eq!(verdict(false, "error: could not compile"), Verdict::Broken("no test"));
}
