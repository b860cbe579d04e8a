use super::*;
use model::ObjectRef;

#[test]
fn so_many_notes_are_remembered_and_one_is_of_so_many_bytes() {
    let mut told = HashSet::new();
    for i in 0..=limits::TOLD_EVENTS {
        remember(&mut told, i.to_string(), String::new());
        assert_eq!(told.len(), i % limits::TOLD_EVENTS + 1);
    }
    let message = "ü".repeat(NOTE);
    let object = ObjectRef::new("", "Service", "shop", "a");
    let long = Report { severity: Severity::Error, object, path: Vec::new(), reason: "Invalid".into(), message, fix: None };
    assert!(text(&long).len() <= NOTE);
}
