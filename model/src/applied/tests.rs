use super::*;
use crate::route::{HeaderEdits, Mirror};
use crate::{Backend, Filter, InvalidBackend, Timeouts};

#[test]
fn names_follow_the_order_of_running_and_say_where_they_end() {
    let nowhere = || Backend::Invalid { reason: InvalidBackend::BackendNotFound, message: "".into() };
    let edits = || Filter::RequestHeaders(HeaderEdits::default());
    let rule = Rule {
        name: "rule-0".into(),
        matches: Vec::new(),
        filters: vec![Filter::Mirror(Mirror { backend: nowhere(), fraction: (1, 1) }), edits()],
        backends: Vec::new(),
        timeouts: Timeouts::default(),
        retry: None,
        session: None,
    };
    let backend = WeightedBackend { weight: 1, backend: nowhere(), filters: vec![edits()] };
    let mut applied = Applied::default();
    applied.rule(1);
    applied.rule(0);
    applied.backend(0);
    let names = applied.names(&rule, Some(&backend));
    assert_eq!(names, ["RequestHeaderModifier", "RequestMirror invalid BackendNotFound", "backend RequestHeaderModifier"]);
    (0..limits::APPLIED_FILTERS).for_each(|_| applied.rule(0));
    assert_eq!(applied.places().len(), limits::APPLIED_FILTERS);
    assert_eq!(applied.names(&rule, None).last().map(String::as_str), Some("…"));
}
