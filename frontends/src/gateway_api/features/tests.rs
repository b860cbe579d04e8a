use super::SUPPORTED;

/// The API server takes 64 of them, each once; conformance tests want them sorted.
#[test]
fn features_are_sorted_and_few_enough() {
    assert!(SUPPORTED.is_sorted_by(|a, b| a < b));
    assert!(SUPPORTED.len() <= 64);
}
