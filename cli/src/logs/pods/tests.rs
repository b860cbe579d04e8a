use super::*;

#[test]
fn a_pod_is_meant_by_its_name_or_its_beginning() {
    let one = Speaker { namespace: "shop".into(), pod: "edge-organza-1a2b-c3".into() };
    assert!(is(&one, "edge") && is(&one, "edge-organza") && is(&one, "edge-organza-1a2b-c3"));
    assert!(!is(&one, "edg") && !is(&one, "organza"));
}
