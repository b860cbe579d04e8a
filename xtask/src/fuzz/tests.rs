use super::*;
use std::time::Duration;

#[test]
fn what_the_fuzzer_says_is_read() {
    let text = "INFO: Seed: 1\n#2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 30Mb\n#1024\tNEW    cov: 12 ft: 34 corp: 5/67b lim: 4\n\
                stat::number_of_executed_units: 89\nstat::peak_rss_mb: 30\n";
    assert_eq!(stats(text), Stats { executions: 89, coverage: 12, features: 34, inputs: 5, find: None });
    let found = "#3\tREDUCE cov: 12 ft: 34 corp: 5/67b\nartifact_prefix='x'; Test unit written to target/fuzz/h2-crash-ab\n";
    assert_eq!(stats(found).find.as_deref(), Some("target/fuzz/h2-crash-ab"));
}

#[test]
fn arguments_are_a_target_and_perhaps_a_file() {
    let asked = |words: &[&str]| super::asked(&words.iter().map(ToString::to_string).collect::<Vec<_>>()).ok();
    let wanted = Asked { target: Some("h2".into()), file: Some("x".into()), seconds: Some(5), ..Asked::default() };
    assert_eq!(asked(&["h2", "--seconds", "5", "x"]), Some(wanted));
    assert_eq!((asked(&["--seconds", "x"]), asked(&["--hours"])), (None, None));
}

#[test]
fn all_targets_share_a_time_and_take_no_words_of_one() {
    let asked = |words: &[&str]| super::asked(&words.iter().map(ToString::to_string).collect::<Vec<_>>()).ok();
    let wanted = Asked { all: true, total: Some(3600), jobs: Some(2), ..Asked::default() };
    assert_eq!(asked(&["--all", "--for", "1h", "--jobs", "2"]), Some(wanted));
    for wrong in [&["--for", "1h"][..], &["--all", "h2"], &["--all", "--minimise"], &["--all", "--for", "1"], &["--all", "--for", "0s"]] {
        assert_eq!(asked(wrong), None, "{wrong:?}");
    }
    assert_eq!(["90s", "30m", "2h"].map(seconds), [Some(90), Some(1800), Some(7200)]);
    // Nine rounds of two.
    assert_eq!((every::share(3600, 17, 2), every::share(3600, 17, 17), every::share(5, 17, 1)), (400, 3600, 1));
}

#[test]
fn what_a_run_took_is_added_to_what_was_spent() {
    let page = "# A\n\n| target | last run | wall s | CPU s | executions | coverage | finds |\n|---|---|---|---|---|---|---|\n\
                | `h2` | 2026-01-01 | 1,360 | 22 (a minute not counted) | 538,064 | 4192 | a worker was busy for ever |\n\nMore.\n";
    let spent = table::Spent { wall_seconds: 400, cpu_seconds: 399, executions: 1_000_000, coverage: 5000 };
    let after =
        table::add(page, "h2", "2026-02-02 ab12cd3", spent).and_then(|page| table::add(&page, "der", "2026-02-02 ab12cd3", spent)).unwrap();
    let wanted = "# A\n\n| target | last run | wall s | CPU s | executions | coverage | finds |\n|---|---|---|---|---|---|---|\n\
                  | `der` | 2026-02-02 ab12cd3 | 400 | 399 | 1,000,000 | 5,000 | |\n\
                  | `h2` | 2026-02-02 ab12cd3 | 1,760 | 421 | 1,538,064 | 5,000 | a worker was busy for ever |\n\nMore.\n";
    assert_eq!(after, wanted);
    assert_eq!(table::add("no table\n", "h2", "", spent), None);
}

#[test]
fn the_page_has_the_table() {
    let page = fs::read_to_string(crate::root().join("fuzz/README.md")).unwrap();
    assert!(table::add(&page, "h2", "", table::Spent::default()).is_some());
}

#[test]
fn a_run_says_how_it_ended_what_it_said_and_what_it_used() {
    let busy =
        |end: &str| format!("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo 'stat::number_of_executed_units: 89' >&2; exit {end}");
    let (good, text, cpu) = listen(Path::new("/bin/sh"), &["-c", &busy("0")]).unwrap();
    assert!(good && cpu > 0.0, "{cpu}");
    assert_eq!(stats(&text).executions, 89);
    assert!(!listen(Path::new("/bin/sh"), &["-c", &busy("1")]).unwrap().0);
}

#[test]
fn what_covers_most_comes_first_and_is_kept_as_far_as_there_is_room() {
    let file = |at: u64, size: u64| (SystemTime::UNIX_EPOCH + Duration::from_millis(at), size, PathBuf::from(at.to_string()));
    let names = |merged| kept(merged).into_iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    assert_eq!(names(vec![file(3, 10), file(1, 20), file(2, CORPUS_BYTES), file(4, CORPUS_BYTES - 30)]), ["1", "3", "4"]);
    assert_eq!(names((0..100).map(|at| file(at, 1)).collect()).len(), CORPUS_FILES);
}
