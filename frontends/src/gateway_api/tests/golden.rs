//! `testdata/NAME.yaml` becomes what `NAME.model` and `NAME.status` say. The expectations are written by hand from the
//! specification (the field documentation of the CRDs); there is no switch that blesses output.

use super::{render, yaml};

#[test]
fn examples_become_what_the_specification_says() {
    let folders = [yaml::folder().join("testdata"), "src/organza/testdata".into()];
    let inside = |folder: &std::path::PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = folders.iter().flat_map(inside).collect();
    names.retain(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    names.sort();
    assert!(names.len() > 5, "there are examples");
    let mut wrong = String::new();
    for path in names {
        let t = crate::tests::run(&yaml::read(&std::fs::read_to_string(&path).unwrap()));
        for (extension, found) in [("model", render::model(&t)), ("status", render::status(&t))] {
            let expected = path.with_extension(extension);
            let text = std::fs::read_to_string(&expected).unwrap_or_default();
            if text != found {
                let name = expected.file_name().unwrap().to_string_lossy();
                wrong.push_str(&format!("{name} (- expected, + found)\n{}\n", diff(&text, &found)));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Lines of both, by their longest common subsequence.
fn diff(expected: &str, found: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let mut common = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = if a[i] == b[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, String::new());
    while i < a.len() || j < b.len() {
        let (mark, text) = if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
            (' ', a[i - 1])
        } else if j >= b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            ('-', a[i - 1])
        } else {
            j += 1;
            ('+', b[j - 1])
        };
        out.push_str(&format!("{mark} {text}\n"));
    }
    out
}
