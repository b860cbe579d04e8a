use super::*;

#[test]
fn rotation_keeps_a_bounded_number_of_bounded_files() {
    let folder = std::env::temp_dir().join(format!("organza-log-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let path = folder.join("child.log");
    let log = LogFile::open(&path).expect("log");
    let line = vec![b'x'; 1 << 20];
    for _ in 0..40 {
        log.line(&line);
    }
    let mut sizes: Vec<(String, u64)> = std::fs::read_dir(&folder)
        .expect("listing")
        .map(|entry| {
            let entry = entry.expect("entry");
            (entry.file_name().to_string_lossy().into_owned(), entry.metadata().expect("metadata").len())
        })
        .collect();
    sizes.sort();
    let names: Vec<&str> = sizes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["child.log", "child.log.1", "child.log.2"]);
    assert!(sizes.iter().all(|(_, size)| *size <= limits::LOG_BYTES), "{sizes:?}");
    std::fs::remove_dir_all(&folder).expect("cleaned");
}

#[tokio::test]
async fn a_line_that_is_too_long_is_broken_in_two() {
    let path = std::env::temp_dir().join(format!("organza-log-line-{}", std::process::id()));
    let log = LogFile::open(&path).expect("log");
    log.copy(&*vec![b'x'; limits::LOG_LINE + 5]).await;
    let lengths: Vec<usize> = std::fs::read_to_string(&path).expect("text").lines().map(str::len).collect();
    std::fs::remove_file(&path).expect("cleaned");
    assert_eq!(lengths, [limits::LOG_LINE, 5]);
}
