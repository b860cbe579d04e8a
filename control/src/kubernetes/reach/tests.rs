use super::*;
use serde_json::json;

/// As API servers say how a process in a pod ended.
fn ended(code: &str) -> Status {
    let message = format!("command terminated with non-zero exit code: command terminated with exit code {code}");
    let causes = json!([{"reason": "ExitCode", "message": code}]);
    let status =
        json!({"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode", "message": message, "details": {"causes": causes}});
    serde_json::from_value(status).unwrap()
}

#[test]
fn why_a_process_in_a_pod_failed_is_told() {
    let told = |code| failed(&ended(code)).unwrap();
    assert!(told("1").ends_with("exit code 1"), "{}", told("1"));
    assert!(told("2").starts_with("that control plane is of an older release"), "{}", told("2"));
    let missing = Status { status: Some("Failure".into()), message: Some("no such container".into()), ..Status::default() };
    assert_eq!(failed(&missing).as_deref(), Some("no such container"));
    assert_eq!(failed(&Status { status: Some("Success".into()), ..Status::default() }), None);
}
