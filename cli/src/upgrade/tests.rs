use super::*;
use tokio::net::UnixListener;
use tokio::time::Instant;

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

#[tokio::test]
async fn a_program_says_whether_it_agrees_and_is_waited_for_so_long_and_no_longer() {
    let asked = |script: &str| {
        let mut question = tokio::process::Command::new("/bin/sh");
        question.args(["-c", script]);
        question
    };
    assert!(agrees(asked("exit 0")).await.expect("an answer") && !agrees(asked("exit 1")).await.expect("an answer"));
    tokio::time::pause();
    let begun = Instant::now();
    let silent = tokio::time::timeout(limits::ANSWER * 2, agrees(asked("exec sleep 60"))).await.expect("it is given up");
    assert!(silent.expect_err("no answer").what.contains("does not answer"));
    assert_eq!(begun.elapsed().as_secs(), limits::ANSWER.as_secs());
}
