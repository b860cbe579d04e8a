use super::*;

/// A kubelet shows it in an event of the pod, to people who know of no socket.
#[tokio::test]
async fn what_a_probe_says_is_one_line_of_what_is_wrong() {
    let socket = std::env::temp_dir().join(format!("organza-probe-{}.sock", std::process::id()));
    let failure = run(ProbeArgs { socket: socket.clone() }).await.expect_err("nobody is there");
    assert_eq!(failure.code, Code::Unreachable);
    let said = failure.to_string();
    assert!(said.starts_with(&format!("not ready: {}: ", socket.display())) && said.lines().count() == 1, "{said}");
}
