use super::*;

#[tokio::test]
async fn pauses_double_up_to_the_longest_and_are_forgiven_who_ran_for_long() {
    let path = std::env::temp_dir().join(format!("organza-keeper-{}", std::process::id()));
    let log = LogFile::open(&path).expect("log");
    let program = Program {
        name: "never".into(),
        command: vec!["/bin/false".into()],
        environment: Vec::new(),
        log: Some(path.clone()),
        patience: limits::DRAIN,
        restart: Restart::Always,
    };
    let mut keeper = Keeper::new(program, Some(log), None, Vec::new());
    let mut pauses = Vec::new();
    for _ in 0..8 {
        pauses.push(keeper.pause.as_millis() / 100);
        keeper.postpone();
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 100, 100]);
    let status = || Ok(std::os::unix::process::ExitStatusExt::from_raw(0));
    assert!(keeper.ended(status()));
    assert_eq!(keeper.pause, limits::RESTART_LONGEST, "it had hardly begun");
    keeper.started = Instant::now().checked_sub(limits::RESTART_FORGIVEN + Duration::from_millis(1)).expect("a while ago");
    assert!(keeper.ended(status()));
    assert_eq!(keeper.pause, 2 * limits::RESTART_FIRST);
    std::fs::remove_file(path).expect("cleaned");
}
