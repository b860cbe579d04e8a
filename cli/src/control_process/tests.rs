use super::*;

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_does_not_answer_is_waited_for_while_it_runs_and_not_for_ever() {
    let nobody = Client::admin(Path::new("/nowhere/control.sock"), "control");
    let (state, seen) = watch::channel(State::Running { pid: 1 });
    let begun = Instant::now();
    let told = tokio::time::timeout(limits::READING * 2, answers(&nobody, &seen)).await.expect("it is given up");
    assert!(!told && begun.elapsed() > limits::READING && begun.elapsed() < limits::READING + limits::READY, "{:?}", begun.elapsed());
    state.send_replace(State::Ended);
    let begun = Instant::now();
    assert!(!answers(&nobody, &seen).await);
    assert!(begun.elapsed() < limits::READY, "nobody waits for one that has ended");
}
