//! Every input that was ever of interest, once more, on whatever toolchain runs the tests.

use std::path::{Path, PathBuf};

/// All corpora together; a clone should not grow by what a fuzzer found interesting.
const BYTES: u64 = 1 << 20;

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder:?}: {e}")).map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn corpora_are_read_without_a_find() {
    let mut finds = Vec::new();
    for (name, check) in fuzz::TARGETS {
        let files = corpus(name);
        assert!(!files.is_empty(), "corpus/{name} is empty");
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            if std::panic::catch_unwind(|| check(&bytes)).is_err() {
                finds.push(file);
            }
        }
    }
    assert!(finds.is_empty(), "what is wrong is said above; play one again with `cargo xtask fuzz TARGET FILE`: {finds:#?}");
}

/// A target that nobody ran owes its hours too.
#[test]
fn the_page_says_of_each_target_what_it_promises_and_what_was_spent_on_it() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for (name, _) in fuzz::TARGETS {
        let cells = |line: &str| line.split('|').count() - 2;
        let rows: Vec<usize> = page.lines().filter(|line| line.starts_with(&format!("| `{name}` |"))).map(cells).collect();
        assert_eq!(rows, [2, 7], "{name}: a row of two cells, then one of seven");
    }
}

#[test]
fn corpora_are_small_and_each_belongs_to_a_target() {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut bytes = 0;
    for folder in std::fs::read_dir(all).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(fuzz::target(&name).is_some(), "corpus/{name} belongs to no target");
        bytes += corpus(&name).iter().map(|file| file.metadata().unwrap().len()).sum::<u64>();
    }
    assert!(bytes <= BYTES, "corpora hold {bytes} bytes; minimise them with `cargo xtask fuzz --minimise`");
}
