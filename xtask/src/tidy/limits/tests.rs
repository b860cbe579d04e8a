use super::{gone, section, undocumented, untested};
use std::collections::BTreeSet;
use std::path::Path;

const PAGE: &str = "# Limits\n\n## A proxy (`proxy`)\n\n| limit | default | test |\n|---|---|---|\n| `ONE` | 1 | `it_is` |\n| `OLD` | 3 | – |\n\n## Bytes (`transport`)\n\n\
                    | limit | test |\n|---|---|\n| `TWO` | `it_is`, `it_was` |\n";

#[test]
fn a_limit_that_is_not_on_the_page_is_told_and_so_is_one_that_is_gone() {
    let text = "/// A.\npub const ONE: usize = 1;\npub const TWO: u32 = 2;\nconst THREE: u8 = 3;\n";
    let told = undocumented(Path::new("proxy/src/limits.rs"), text, section(PAGE, "proxy"));
    assert_eq!(told, ["proxy/src/limits.rs: TWO is not in docs/limits.md"]);
    let known = [("proxy".to_owned(), "ONE".to_owned()), ("transport".to_owned(), "TWO".to_owned())];
    assert_eq!(gone(PAGE, &known), ["docs/limits.md: `proxy` has no limit OLD"]);
}

#[test]
fn a_test_that_is_named_and_not_there_is_told_and_those_that_are_owed_become_fewer() {
    let tests = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(untested(PAGE, &tests(&["it_is"]), 1), ["docs/limits.md: TWO names a test that is not there: it_was"]);
    let both = tests(&["it_is", "it_was"]);
    assert!(untested(PAGE, &both, 1).is_empty());
    assert_eq!(untested(PAGE, &both, 0), ["docs/limits.md: 1 limits name no test, 0 may: name the test that fails without it"]);
    let settings = "\n## X (`x`)\n\n| limit | test |\n|---|---|\n| `A` | `it_is` |\n\n| setting | value |\n|---|---|\n| `EVERY` | 1 s |\n";
    assert!(untested(settings, &both, 0).is_empty(), "how often something is done is no limit");
    assert_eq!(
        untested("\n## X (`x`)\n\n| limit | default |\n|---|---|\n| `A` | 1 |\n", &both, 0).len(),
        1,
        "a table without such a column"
    );
}
