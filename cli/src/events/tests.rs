use super::*;

fn weights() -> Change {
    Change {
        change: ChangeKind::Changed,
        kind: "HTTPRoute".into(),
        namespace: "default".into(),
        name: "catalog".into(),
        file: "routes.yaml".into(),
        summary: "HTTPRoute catalog 90/10 → 50/50".into(),
    }
}

#[test]
fn an_edit_is_told_once_when_all_proxies_have_it() {
    let mut narrator = Narrator::default();
    assert!(narrator.hear(Event::Generation { generation: 13, time: 0, changes: vec![weights()] }).is_empty());
    assert!(narrator.hear(Event::Applied { generation: 13, applied: 2, concerned: 6, millis: 12 }).is_empty());
    let lines = narrator.hear(Event::Applied { generation: 13, applied: 6, concerned: 6, millis: 41 });
    assert_eq!(lines, ["routes.yaml: HTTPRoute catalog 90/10 → 50/50 · 6/6 proxies · 41 ms"]);
    assert!(narrator.hear(Event::Applied { generation: 13, applied: 6, concerned: 6, millis: 41 }).is_empty());
    assert_eq!((narrator.generation, narrator.applied), (13, (6, 6)));
}

#[test]
fn an_edit_that_was_overtaken_is_told_with_the_next() {
    let mut narrator = Narrator::default();
    narrator.hear(Event::Generation { generation: 13, time: 0, changes: vec![weights()] });
    let lines = narrator.hear(Event::Generation { generation: 14, time: 0, changes: vec![] });
    assert_eq!(lines, ["routes.yaml: HTTPRoute catalog 90/10 → 50/50"]);
}

#[test]
fn a_refused_read_says_where_and_what_goes_on() {
    let problem = Located {
        severity: Severity::Error,
        file: "routes.yaml".into(),
        line: 12,
        column: 5,
        object: "HTTPRoute default/catalog".into(),
        path: "spec.rules[0]".into(),
        reason: "UnknownField".into(),
        message: "unknown field wieght".into(),
        fix: Some("did you mean weight?".into()),
    };
    let lines = Narrator::default().hear(Event::Refused { problems: vec![problem], serving: 12, time: 0 });
    assert_eq!(
        lines,
        [
            "routes.yaml:12:5: error: HTTPRoute default/catalog spec.rules[0] unknown field wieght (did you mean weight?)",
            "still serving generation 12",
        ]
    );
}

#[test]
fn an_edit_that_was_overtaken_unseen_is_told_when_all_have_what_came_after() {
    let mut narrator = Narrator::default();
    narrator.hear(Event::Generation { generation: 13, time: 0, changes: vec![weights()] });
    // A registration made 14, of which nothing is told.
    let lines = narrator.hear(Event::Applied { generation: 14, applied: 3, concerned: 3, millis: 9 });
    assert_eq!(lines, ["routes.yaml: HTTPRoute catalog 90/10 → 50/50 · 3/3 proxies · 9 ms"]);
}

#[test]
fn a_generation_of_which_nothing_is_told_counts_by_who_has_it() {
    let mut narrator = Narrator::default();
    narrator.hear(Event::Hello { generation: 12, time: 0 });
    narrator.hear(Event::Applied { generation: 14, applied: 6, concerned: 6, millis: 3 });
    narrator.hear(Event::Applied { generation: 13, applied: 5, concerned: 6, millis: 3 });
    assert_eq!((narrator.generation, narrator.applied), (14, (6, 6)));
}
