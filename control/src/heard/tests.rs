use super::*;

const NOW: u64 = 1_000_000;

#[test]
fn a_report_is_news_once_and_each_process_counts_its_own() {
    let mut heard = Heard::default();
    let told = [(1, 1), (1, 1), (1, 2), (1, 1), (2, 1), (1, 2), (1, 3), (2, 1)];
    let news = told.map(|(incarnation, sequence)| heard.is_news("web", incarnation, sequence, NOW));
    assert_eq!(news, [true, false, true, false, true, false, true, false]);
    // Of incarnations that are long gone nothing is kept.
    (3..100).for_each(|incarnation| _ = heard.is_news("web", incarnation, 1, NOW));
    assert_eq!(heard.of["web"].incarnations.len(), limits::INCARNATIONS);
}

#[test]
fn proxies_that_come_and_go_are_forgotten_at_last_and_leave_the_store() {
    let mut kept = Kept::default();
    kept.is_news("web-0", 1, 1, 0);
    assert_eq!(kept.sweep(0).put.len(), 1);
    (1..limits::REPORTERS as u64 + 10).for_each(|n| _ = kept.is_news(&format!("web-{n}"), 1, 1, n));
    assert_eq!(kept.heard.of.len(), limits::REPORTERS);
    let stored = kept.sweep(limits::REPORTERS as u64 + 10);
    assert!(stored.delete.contains(&"heard/web-0".to_owned()) && stored.put.len() == limits::REPORTERS);
    let more = stored.put.into_iter().chain([("heard/z".to_owned(), br#"{"incarnations":[],"at":1}"#.to_vec())]);
    assert_eq!(Kept::load(more).heard.of.len(), limits::REPORTERS);
}

#[test]
fn what_is_stored_is_known_to_the_next() {
    let mut first = Kept::default();
    assert!(first.is_news("web", 7, 3, NOW) && first.is_news("db", 1, 1, NOW));
    let stored = first.sweep(NOW);
    assert!(first.sweep(NOW).put.is_empty(), "nothing is new");
    assert!(!first.is_news("web", 7, 3, NOW) && first.sweep(NOW).put.is_empty(), "what is told again changes nothing");
    let mut second = Kept::load(stored.put);
    assert!(!second.is_news("web", 7, 3, NOW + 60));
    assert!(second.is_news("web", 7, 4, NOW + 60) && second.is_news("web", 8, 1, NOW + 60));
    assert!(second.sweep(NOW + WEEK).delete.is_empty());
    let mut gone = second.sweep(NOW + 60 + WEEK).delete;
    gone.sort_unstable();
    assert_eq!(gone, ["heard/db"]);
    // What cannot be read is as if it were not there.
    assert!(Kept::load([("heard/web".to_owned(), b"{".to_vec())]).is_news("web", 7, 3, NOW));
}
