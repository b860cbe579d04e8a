use super::*;

#[test]
fn a_control_plane_that_says_why_it_does_not_tell_is_no_matter_of_rights() {
    let refused = Failure::unreachable("not all objects are listed yet").remedy("ask again in a moment");
    let fact = unasked(&refused);
    assert_eq!(fact.says, "its proxies and certificates are not told: not all objects are listed yet");
    assert_eq!(fact.hint.as_deref(), Some("ask again in a moment"));
    let fact = unasked(&Failure::unreachable("control plane control-1 is not reachable").why("forbidden").remedy("organza check"));
    assert!(fact.says.ends_with("control-1 is not reachable: forbidden"), "{}", fact.says);
    assert!(fact.hint.is_some_and(|hint| hint.contains("the right to forward ports")));
}
