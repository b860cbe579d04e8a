use super::*;

#[test]
fn a_file_that_is_missing_added_or_other_is_named() {
    let folder = std::env::temp_dir().join(format!("organza-differing-{}", std::process::id()));
    let (a, b) = (folder.join("a"), folder.join("b"));
    for (at, name, text) in
        [(&a, "same", "1"), (&b, "same", "1"), (&a, "other", "1"), (&b, "other", "2"), (&a, "gone", "1"), (&b, "new", "1")]
    {
        std::fs::create_dir_all(at).unwrap();
        std::fs::write(at.join(name), text).unwrap();
    }
    let names = differing(&a, &b).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(names, ["gone", "new", "other"]);
}
