use super::*;
use clap::Parser;

#[derive(Debug, Parser)]
struct Asked {
    #[command(flatten)]
    ask: AskFlag,
}

/// Each look at a cluster is a process in a pod.
#[test]
fn a_cluster_is_looked_at_less_often() {
    let of = |words: &[&str]| every(&Asked::try_parse_from([&["organza"][..], words].concat()).unwrap().ask);
    assert_eq!((of(&[]), of(&["--kubernetes"])), (EVERY, EVERY_IN_A_CLUSTER));
    assert!(EVERY_IN_A_CLUSTER >= EVERY * 10);
}
