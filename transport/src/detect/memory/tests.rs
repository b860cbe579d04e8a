use super::*;
use std::time::Duration;

#[test]
fn knowledge_grows_old_and_using_it_does_not_keep_it_young() {
    let start = crate::rt::now();
    let mut known = ServerFirst::default();
    let nearly = start + limits::SERVER_FIRST_TIME - Duration::from_millis(1);
    known.learn(25, start);
    known.learn(25, nearly);
    assert!(known.knows(&25, start) && known.knows(&25, nearly) && !known.knows(&26, start));
    assert!(!known.knows(&25, start + limits::SERVER_FIRST_TIME));
    known.learn(25, start + limits::SERVER_FIRST_TIME);
    assert!(known.knows(&25, start + limits::SERVER_FIRST_TIME));
}

#[test]
fn the_table_is_bounded_and_the_oldest_goes() {
    let start = crate::rt::now();
    let at = |i: usize| start + Duration::from_micros(i as u64);
    let mut known = ServerFirst::default();
    for port in 0..limits::SERVER_FIRST_PORTS + 10 {
        known.learn(port, at(port));
    }
    assert_eq!(known.0.len(), limits::SERVER_FIRST_PORTS);
    let now = at(limits::SERVER_FIRST_PORTS + 10);
    assert!(!known.knows(&9, now) && known.knows(&10, now));
    known.learn(7, start + 2 * limits::SERVER_FIRST_TIME);
    assert_eq!(known.0.len(), 1, "what is old makes room at once");
}
