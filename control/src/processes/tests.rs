use super::*;
use std::time::Duration;

#[test]
fn a_share_of_a_core_needs_two_words_of_one_process() {
    let (mut processes, begun) = (Processes::default(), crate::shell::monotone());
    let told = |cpu_millis| Process { cpu_millis, resident_bytes: 4096, threads: 3, descriptors: 9 };
    let percent = |processes: &Processes| processes.of("web").unwrap().cpu_percent;
    processes.report(("web", 1), &told(500), begun);
    assert_eq!(percent(&processes), 0.0);
    processes.report(("web", 1), &told(750), begun + Duration::from_secs(1));
    assert_eq!(percent(&processes), 25.0);
    // Another process under the same name has spent less.
    processes.report(("web", 2), &told(10), begun + Duration::from_secs(2));
    assert_eq!(percent(&processes), 0.0);
    processes.forget("web");
    assert!(processes.own().is_none());
    processes.look(begun);
    assert!(processes.own().is_some_and(|own| own.resident_bytes > 0 && own.threads > 0));
    assert!(processes.of("web").is_none());
}
