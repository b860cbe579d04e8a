//! A bug report of a mesh that is down still says what there is, and holds no secret.

use testkit::Mesh;

#[test]
fn a_report_tells_names_of_files_and_never_their_contents() {
    let mesh = Mesh::new();
    let root = mesh.home().join("state/organza/default");
    std::fs::create_dir_all(root.join("ca")).expect("folder");
    std::fs::create_dir_all(root.join("logs")).expect("folder");
    std::fs::write(root.join("ca/root.key"), "MARKER-OF-THE-KEY").expect("key");
    std::fs::write(root.join("logs/web-v1.log"), "GET /items 200\npassword=MARKER-OF-THE-LOG\n").expect("log");
    let (code, report, error) = mesh.run(&["bug-report", "-o", "-"]);
    assert_eq!(code, 0, "{error}");
    for wanted in ["root.key", "web-v1.log", "GET /items 200", "not reachable"] {
        assert!(report.contains(wanted), "no {wanted} in {report}");
    }
    assert!(!report.contains("MARKER"), "{report}");
}
