use super::*;
use crate::limits;
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn a_program_that_does_not_end_when_it_is_told_is_killed_when_its_time_is_over() {
    let deaf = std::env::temp_dir().join(format!("organza-wrapped-{}", std::process::id()));
    let script = format!("trap '' TERM; : > {}; while :; do sleep 0.05; done", deaf.display());
    let mut program = Wrapped::start(&["/bin/sh", "-c", &script].map(Into::into), &[]).expect("started");
    while !deaf.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::pause();
    let mut end = std::pin::pin!(program.end());
    assert!(timeout(limits::DRAIN - Duration::from_millis(1), &mut end).await.is_err(), "it has its time");
    // Real time again, for the kernel to say that it has ended.
    tokio::time::resume();
    timeout(Duration::from_secs(60), end).await.expect("it is killed");
    std::fs::remove_file(deaf).expect("cleaned");
}
