use super::*;

#[test]
fn licences_are_read_as_expressions() {
    let allowed = allow_list(
        "[advisories]\n[licenses]\nallow = [\n  \"MIT\",\n  \"Apache-2.0\", \"Unicode-3.0\",\n  \"Apache-2.0 WITH LLVM-exception\",\n]\n",
    );
    assert_eq!(allowed.len(), 4);
    for good in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR GPL-3.0) AND Unicode-3.0", "Apache-2.0 WITH LLVM-exception"] {
        assert!(permits(good, &allowed), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT", "", "Apache-2.0 WITH other-exception", "none stated"] {
        assert!(!permits(bad, &allowed), "{bad}");
    }
}
