use super::*;
use crate::limits;
use std::time::Duration;
use tokio::time::{Instant, timeout};

#[tokio::test]
async fn a_program_that_does_not_end_when_it_is_told_is_killed_when_its_time_is_over() {
    let deaf = std::env::temp_dir().join(format!("organza-wrapped-{}", std::process::id()));
    let script = format!("trap '' TERM; : > {}; while :; do sleep 0.05; done", deaf.display());
    let mut program = Wrapped::start(&["/bin/sh", "-c", &script].map(Into::into), &[]).expect("started");
    while !deaf.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::pause();
    let begun = Instant::now();
    timeout(limits::DRAIN * 2, program.end()).await.expect("it is killed");
    assert_eq!(begun.elapsed().as_secs(), limits::DRAIN.as_secs());
    std::fs::remove_file(deaf).expect("cleaned");
}
