use super::*;

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
    let wanted = Asked { target: Some("h2".into()), file: Some("x".into()), seconds: Some(5), minimise: false };
    assert_eq!(asked(&["h2", "--seconds", "5", "x"]), Some(wanted));
    assert_eq!((asked(&["--seconds", "x"]), asked(&["--hours"])), (None, None));
}
