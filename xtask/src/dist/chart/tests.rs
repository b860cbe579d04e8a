use super::*;

const IMAGE: &str = "ghcr.io/organza/organza:0.1.0";

#[test]
fn every_word_of_the_chart_stands_in_the_manifest() {
    let text = template(&fs::read_to_string(crate::root().join(MANIFEST)).unwrap()).unwrap();
    assert!(!text.contains(IMAGE) && !text.contains("kind: Namespace"), "{text}");
    assert_eq!(text.matches("kind: Deployment\n").count(), 1);
    let values = fs::read_to_string(crate::root().join(FOLDER).join("values.yaml")).unwrap();
    assert!(values.contains(&format!("image: {IMAGE}\n")), "the chart's image is the manifest's");
}

#[test]
fn a_manifest_that_says_something_else_is_noticed() {
    let text = fs::read_to_string(crate::root().join(MANIFEST)).unwrap();
    let error = template(&text.replace("  replicas: 2\n", "  replicas: 5\n")).unwrap_err().to_string();
    assert!(error.contains("replicas: 2") && error.contains("0 times"), "{error}");
    assert!(template(&text.replacen("---\n", "", 1)).is_err(), "an object that goes with the namespace would be lost");
}
