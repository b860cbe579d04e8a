use super::*;

fn report(extended: &str) -> String {
    let profile = |name: &&str| {
        format!(
            "- core:
    result: success
    statistics:
      Failed: 0
      Passed: 33
      Skipped: 0
  extended:
{extended}    supportedFeatures:
    - GatewayPort8080
  name: {name}
  summary: Core tests succeeded.
"
        )
    };
    format!("kind: ConformanceReport\nprofiles:\n{}", PROFILES.iter().map(profile).collect::<String>())
}

#[test]
fn a_whole_report_has_no_complaint() {
    assert_eq!(complaints(&report("    result: success\n")), Vec::<String>::new());
}

#[test]
fn what_is_missing_is_told() {
    let partial = "    result: partial\n    skippedTests:\n    - A\n    - B\n    unsupportedFeatures:\n    - C\n";
    assert_eq!(complaints(&report(partial))[..4], ["a result is partial", "skippedTests: A", "skippedTests: B", "unsupportedFeatures: C"]);
    let failed = "    failedTests:\n    - D\n    result: failure\n";
    assert_eq!(complaints(&report(failed))[..2], ["failedTests: D", "a result is failure"]);
    let less = report("    result: success\n").replace("GATEWAY-UDP", "GATEWAY-HTTP");
    assert_eq!(complaints(&less), ["no profile GATEWAY-UDP in the report"]);
    assert_eq!(complaints("").len(), PROFILES.len());
}

#[test]
fn the_suite_is_told_of_no_feature_and_of_no_test_to_skip() {
    let settings = settings("0.1.0", true);
    for word in ["upportedFeatures", "exemptFeatures", "skip", "allowCrdsMismatch", "timeoutConfig", "enableAllSupportedFeatures"] {
        assert!(!settings.contains(word), "{word}");
    }
    assert!(settings.contains("- GATEWAY-UDP\nimplementation:\n"));
}

#[test]
fn images_are_those_that_manifests_ask_for() {
    let tags = echo_tags().unwrap();
    assert!(tags.contains("registry.k8s.io/gateway-api/echo-basic:v1.5.1"), "{tags:?}");
    assert_eq!(image_of("      - image: a/b:1"), Some("a/b:1"));
    assert_eq!(image_of("  imagePullPolicy: x"), None);
}

#[test]
fn options() {
    let read = |words: &[&str]| Options::read(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), KNOWN, USAGE);
    assert_eq!(read(&[]).unwrap(), Options::default());
    assert_eq!(read(&["--dev", "--test", "A"]).unwrap(), Options { dev: true, only: Some("A".into()), ..Options::default() });
    assert_eq!(read(&["--organza", "a/b"]).unwrap(), Options { organza: Some("a/b".into()), ..Options::default() });
    assert!(read(&["--test"]).is_err());
}
