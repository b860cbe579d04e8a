use super::*;
use wire::api::{Change, Located};

#[test]
fn each_difference_and_each_new_problem_is_a_line() {
    let change = |change, namespace: &str, summary: &str| Change {
        change,
        kind: "HTTPRoute".into(),
        namespace: namespace.into(),
        name: "a".into(),
        file: "a.yaml".into(),
        summary: summary.into(),
    };
    let problem = Located {
        severity: Severity::Error,
        file: "a.yaml".into(),
        line: 3,
        column: 1,
        object: "HTTPRoute default/a".into(),
        path: "spec".into(),
        reason: "Invalid".into(),
        message: "wrong".into(),
        fix: None,
    };
    let changes = vec![
        change(ChangeKind::Changed, "default", "HTTPRoute a 1/1 → 2/1"),
        change(ChangeKind::Removed, "shop", "HTTPRoute a removed"),
        change(ChangeKind::Added, "", "GatewayClass a added"),
    ];
    let diff = Diff { generation: 7, changes, problems: vec![problem] };
    assert_eq!(
        text(&diff),
        "~ a.yaml: HTTPRoute a 1/1 → 2/1\n- a.yaml: HTTPRoute a removed (namespace shop)\n+ a.yaml: GatewayClass a added\n! a.yaml:3:1: error: HTTPRoute default/a spec wrong\n"
    );
    assert_eq!(text(&Diff { generation: 7, ..Diff::default() }), "no difference from generation 7\n");
}
