use super::{gone, section, undocumented};
use std::path::Path;

const PAGE: &str = "# Limits\n\n## A proxy (`proxy`)\n\n| limit | default |\n|---|---|\n| `ONE` | 1 |\n| `OLD` | 3 |\n\n## Bytes (`transport`)\n\n| `TWO` | 2 |\n";

#[test]
fn a_limit_that_is_not_on_the_page_is_told_and_so_is_one_that_is_gone() {
    let text = "/// A.\npub const ONE: usize = 1;\npub const TWO: u32 = 2;\nconst THREE: u8 = 3;\n";
    let told = undocumented(Path::new("proxy/src/limits.rs"), text, section(PAGE, "proxy"));
    assert_eq!(told, ["proxy/src/limits.rs: TWO is not in docs/limits.md"]);
    let known = [("proxy".to_owned(), "ONE".to_owned()), ("transport".to_owned(), "TWO".to_owned())];
    assert_eq!(gone(PAGE, &known), ["docs/limits.md: `proxy` has no limit OLD"]);
}
