use super::*;

#[test]
fn two_processes_that_write_one_file_put_nothing_aside_that_the_other_began() {
    for kept in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let read = |path: &Path| std::fs::read_to_string(path).ok();
        let mut old = Rotated::open(&path, 20, kept).unwrap();
        old.line(b"old one").unwrap();
        old.line(b"old two").unwrap();
        let mut new = Rotated::open(&path, 20, kept).unwrap();
        new.line(b"new one").unwrap();
        // It would put aside what it had itself, which is no longer there.
        old.line(b"old six").unwrap();
        assert_eq!(read(&path).as_deref(), Some("new one\nold six\n"), "{kept}");
        assert_eq!(read(&numbered(&path, 1)), (kept > 0).then(|| "old one\nold two\n".to_owned()));
        // And the other knows what is there by then.
        new.line(b"new two").unwrap();
        new.line(b"new six").unwrap();
        assert_eq!(read(&path).as_deref(), Some("new six\n"), "{kept}");
    }
}

#[test]
fn what_another_put_aside_or_took_away_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let mut file = Rotated::open(&path, 20, 2).unwrap();
    file.line(b"a line that is long").unwrap();
    std::fs::remove_file(&path).unwrap();
    file.line(b"one").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n");
    assert!(!numbered(&path, 1).exists(), "there was nothing to put aside");
}
