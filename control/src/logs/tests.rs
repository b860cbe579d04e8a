use super::*;

#[test]
fn the_last_lines_of_a_process_and_its_proxy_are_told_and_nothing_else_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    std::fs::write(logs.join("web-1.log"), "one\ntwo\n").unwrap();
    let long: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    std::fs::write(logs.join("proxy-web-1.log"), long).unwrap();
    std::fs::write(folder.path().join("secret.log"), "secret\n").unwrap();
    let told = of(&logs, "web-1").unwrap().items;
    assert_eq!((&*told[0].name, &told[0].lines[..]), ("web-1", &["one".to_owned(), "two".to_owned()][..]));
    assert_eq!((told[1].lines.len(), &*told[1].lines[limits::LOG_TAIL_LINES - 1]), (limits::LOG_TAIL_LINES, "line 19999"));
    assert!(of(&logs, "nobody").unwrap().items.is_empty());
    for name in ["", "../secret", ".hidden", "a/b", "a\0", "web 1"] {
        assert!(of(&logs, name).is_none(), "{name}");
    }
    // However long one line is.
    std::fs::write(logs.join("web-1.log"), "x".repeat(3 * limits::LOG_TAIL_BYTES as usize)).unwrap();
    assert!(of(&logs, "web-1").unwrap().items[0].lines.is_empty());
}
