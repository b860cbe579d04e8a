use super::*;
use crate::limits;
use std::time::Duration;

fn program(name: &str, script: &str, restart: Restart) -> (Program, PathBuf) {
    let folder = std::env::temp_dir().join(format!("organza-supervise-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let program = Program {
        name: name.into(),
        command: ["/bin/sh", "-c", script].map(Into::into).to_vec(),
        environment: Vec::new(),
        log: Some(folder.join("log")),
        patience: limits::DRAIN,
        restart,
    };
    (program, folder)
}

#[tokio::test]
async fn a_child_drains_on_sigterm_and_its_words_are_kept() {
    let (program, folder) = program("drain", "trap 'echo drained; exit 0' TERM; echo up; while :; do sleep 0.05; done", Restart::Never);
    let child = Supervised::start(program).expect("started");
    wait_for(&folder, "up").await;
    child.stop().await;
    wait_for(&folder, "drained").await;
    std::fs::remove_dir_all(folder).expect("cleaned");
}

#[tokio::test]
async fn a_child_that_does_not_drain_is_killed_when_its_time_is_over() {
    let (mut program, folder) =
        program("deaf", "trap '' TERM; echo up; while :; do sleep 0.05; echo alive >> \"$ALIVE\"; done", Restart::Never);
    let alive = folder.join("alive");
    program.environment.push(("ALIVE".into(), alive.display().to_string()));
    let child = Supervised::start(program).expect("started");
    let pid = running(&child).expect("it runs");
    wait_for(&folder, "up").await;
    tokio::time::pause();
    let mut stopping = tokio::spawn(child.stop());
    let others_run = async || {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    // Its keeper hears of it and begins to wait.
    others_run().await;
    tokio::time::advance(limits::DRAIN - Duration::from_millis(1)).await;
    others_run().await;
    // Who was killed writes nothing more, but what it was about to. This thread waits, so that no virtual time goes by.
    let written = || std::fs::read_to_string(&alive).map_or(0, |text| text.lines().count());
    let before = written();
    let lives = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        written() > before + 1
    });
    assert!(lives && !stopping.is_finished(), "it has its time");
    tokio::time::advance(Duration::from_millis(2)).await;
    tokio::time::resume();
    tokio::time::timeout(Duration::from_secs(60), &mut stopping).await.expect("it is killed").expect("stopped");
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    std::fs::remove_dir_all(folder).expect("cleaned");
}

#[tokio::test]
async fn a_child_that_ends_is_started_again_and_one_that_should_not_is_not() {
    let (again, folder) = program("again", "echo started", Restart::Always);
    let child = Supervised::start(again).expect("started");
    tokio::time::timeout(Duration::from_secs(10), async {
        while read(&folder).matches("started").count() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("started twice");
    child.stop().await;
    std::fs::remove_dir_all(folder).expect("cleaned");

    let (once, folder) = program("once", "exit 3", Restart::Never);
    let mut child = Supervised::start(once).expect("started");
    tokio::time::timeout(Duration::from_secs(10), child.state.wait_for(|state| *state == State::Ended))
        .await
        .expect("ended")
        .expect("its state is told");
    assert!(read(&folder).contains("exit status: 3"));
    std::fs::remove_dir_all(folder).expect("cleaned");
}

#[tokio::test]
async fn closing_the_lifeline_alone_ends_a_tethered_child() {
    let (program, folder) = program("tether", "cat >/dev/null; echo untied", Restart::Never);
    let log = open(&program).expect("log");
    let mut child = spawn(&program, log.as_ref()).expect("started");
    child.cut_lifeline();
    tokio::time::timeout(Duration::from_secs(10), child.wait()).await.expect("ended").expect("status");
    wait_for(&folder, "untied").await;
    std::fs::remove_dir_all(folder).expect("cleaned");
}

fn running(child: &Supervised) -> Option<u32> {
    match *child.state.borrow() {
        State::Running { pid } => Some(pid),
        _ => None,
    }
}

const LIVES: &str = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done";

#[tokio::test]
async fn a_successor_runs_beside_the_one_that_serves_until_it_is_settled() {
    let (program, folder) = program("succeed", LIVES, Restart::Always);
    let child = Supervised::start(program.clone()).expect("started");
    let first = running(&child).expect("it runs");
    // One that is not ready in time goes, and nothing has changed.
    let second = child.begin_succession(program.clone()).await.expect("started beside");
    assert_eq!((running(&child), *child.successor.borrow()), (Some(first), Some(second)));
    child.settle(false).await.expect("settled");
    assert_eq!((running(&child), *child.successor.borrow()), (Some(first), None));
    // One that ends by itself is missed by nobody.
    let fails = Program { command: ["/bin/sh", "-c", "exit 1"].map(Into::into).to_vec(), ..program.clone() };
    child.begin_succession(fails).await.expect("started beside");
    let mut successor = child.successor.clone();
    tokio::time::timeout(Duration::from_secs(10), successor.wait_for(Option::is_none)).await.expect("it ended").expect("told");
    assert_eq!(running(&child), Some(first));
    // One that serves is the child from then on, and both end when all does.
    let third = child.begin_succession(program).await.expect("started beside");
    child.settle(true).await.expect("settled");
    assert_eq!(running(&child), Some(third));
    assert!(std::path::Path::new(&format!("/proc/{first}")).exists(), "the elder goes on");
    child.stop().await;
    assert!(![first, third].iter().any(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists()), "nobody is left");
    std::fs::remove_dir_all(folder).expect("cleaned");
}

#[tokio::test]
async fn one_that_hands_over_and_ends_at_once_is_followed_by_its_successor() {
    let (program, folder) = program("hand-over", "trap 'exit 0' TERM; echo up; read word", Restart::Always);
    let child = Supervised::start(program.clone()).expect("started");
    let first = running(&child).expect("it runs");
    let second =
        child.begin_succession(Program { command: ["/bin/sh", "-c", LIVES].map(Into::into).to_vec(), ..program }).await.expect("started");
    rustix::process::kill_process(rustix::process::Pid::from_raw(first as i32).expect("a number"), rustix::process::Signal::KILL)
        .expect("killed");
    let mut state = child.state.clone();
    let followed = state.wait_for(|state| *state == State::Running { pid: second });
    tokio::time::timeout(Duration::from_secs(10), followed).await.expect("in time").expect("told");
    child.settle(true).await.expect("nothing to do any more");
    assert_eq!(running(&child), Some(second));
    child.stop().await;
    std::fs::remove_dir_all(folder).expect("cleaned");
}

#[tokio::test]
async fn children_that_are_released_live_on_and_can_be_kept_again() {
    let (program, folder) = program("release", LIVES, Restart::Always);
    let child = Supervised::start(program.clone()).expect("started");
    let pid = running(&child).expect("it runs");
    let released = child.release().await;
    let again = Supervised::adopt(program.clone(), released).expect("adopted");
    assert_eq!(running(&again), Some(pid));
    // It is watched as any child is: where it ends it is started again, and replaced where that is asked for.
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid as i32).expect("a number"), rustix::process::Signal::KILL)
        .expect("killed");
    let mut state = again.state.clone();
    let other = state.wait_for(|state| matches!(state, State::Running { pid: now } if *now != pid));
    tokio::time::timeout(Duration::from_secs(10), other).await.expect("in time").expect("told");
    let replaced = again.replace(program).await.expect("replaced");
    assert_eq!(running(&again), Some(replaced));
    again.stop().await;
    assert!(!std::path::Path::new(&format!("/proc/{replaced}")).exists());
    std::fs::remove_dir_all(folder).expect("cleaned");
}

fn read(folder: &std::path::Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

async fn wait_for(folder: &std::path::Path, word: &str) {
    tokio::time::timeout(Duration::from_secs(10), async {
        while !read(folder).contains(word) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("no {word:?} in {:?}", read(folder)));
}
