//! `organza check`, as it is typed: a mesh that is well, one that was opened to others, none, and an API server that is away.

mod common;

use common::{json, mesh, up};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use testkit::process::eventually;

#[test]
fn a_mesh_is_looked_through() {
    let mesh = mesh();
    let (code, told, error) = mesh.run(&["check", "--pre"]);
    assert_eq!(code, 0, "{told}{error}");
    let (code, told, error) = mesh.run(&["check"]);
    assert_eq!(code, 3, "{told}{error}");
    assert!(told.contains("× ") && told.contains("    do: ") && told.contains("organza up"), "{told}");

    mesh.write("gateway.yaml", "");
    let _up = up(&mesh);
    let mut said = String::new();
    eventually("all is well", Duration::from_secs(30), || {
        let (code, told, error) = mesh.run(&["check"]);
        said = format!("{told}{error}");
        code == 0
    });
    for fact in ["√ it answers: mesh default", "√ the control socket is its owner's alone", "√ root "] {
        assert!(said.contains(fact), "no {fact:?} in:\n{said}");
    }
    assert!(!said.contains('×'), "{said}");

    let socket = mesh.home().join("state/organza/default/control.sock");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).expect("it is ours");
    let (code, told, _) = mesh.run(&["check", "-o", "json"]);
    assert_eq!(code, 1, "{told}");
    let told = json(&told);
    assert_eq!(told["good"], false);
    let facts = told["facts"].as_array().expect("facts");
    let bad: Vec<_> = facts.iter().filter(|fact| fact["mark"] == "bad").collect();
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert!(bad[0]["says"].as_str().is_some_and(|says| says.contains("open to others (mode 666)")), "{bad:?}");
    assert!(bad[0]["hint"].as_str().is_some_and(|hint| hint.contains("chmod")), "{bad:?}");
}

#[test]
fn a_cluster_that_is_away_is_said_once() {
    let mesh = mesh();
    let port = testkit::free_port();
    let file = mesh.home().join("kubeconfig");
    let config = format!(
        "apiVersion: v1
kind: Config
current-context: away
contexts: [{{name: away, context: {{cluster: away, user: nobody}}}}]
clusters: [{{name: away, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]
users: [{{name: nobody, user: {{}}}}]
"
    );
    std::fs::write(&file, config).expect("a file");
    let ask = |args: &[&str]| {
        let output = mesh.organza(args).env("KUBECONFIG", &file).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    for more in [&["--pre"][..], &[]] {
        let (code, told, error) = ask(&[&["check", "--kubernetes"], more].concat());
        assert_eq!(code, Some(3), "{told}{error}");
        assert_eq!(told.matches('×').count(), 1, "{told}");
        assert!(told.contains("the API server is not reached"), "{told}");
    }
    let (code, _, error) = ask(&["get", "routes", "--context", "away"]);
    assert!(code == Some(3) && error.contains("organza check --kubernetes"), "{error}");
    let (code, _, error) = ask(&["status", "--context", "none"]);
    assert!(code == Some(3) && error.contains("--context"), "{error}");
}
