use super::*;
use tokio::net::UnixListener;

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_says_nothing_is_listened_to_for_one_step_and_no_longer() {
    let socket = std::env::temp_dir().join(format!("organza-upgrade-{}.sock", std::process::id()));
    // It takes the question, and that is all.
    let _silent = UnixListener::bind(&socket).expect("a socket");
    let request = Request { program: "organza".into(), release: RELEASE.into() };
    let begun = Instant::now();
    let late = tokio::time::timeout(limits::UPGRADE_STEP * 2, ask(&socket, &request)).await.expect("it is given up").expect_err("no word");
    assert!(late.what.contains("said nothing"), "{late}");
    assert_eq!(begun.elapsed(), limits::UPGRADE_STEP);
    std::fs::remove_file(socket).expect("cleaned");
}
