use super::*;

fn program(name: &str, script: &str, restart: Restart) -> (Program, PathBuf) {
    let folder = std::env::temp_dir().join(format!("organza-supervise-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let program = Program {
        name: name.into(),
        command: ["/bin/sh", "-c", script].map(Into::into).to_vec(),
        environment: Vec::new(),
        log: folder.join("log"),
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
    let log = LogFile::open(&program.log).expect("log");
    let mut child = spawn(&program, &log).expect("started");
    drop(child.stdin.take());
    tokio::time::timeout(Duration::from_secs(10), child.wait()).await.expect("ended").expect("status");
    wait_for(&folder, "untied").await;
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
