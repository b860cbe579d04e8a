use super::*;
use futures_util::FutureExt;
use std::sync::mpsc;

fn kept(generation: u64) -> Kept {
    Kept { generation, ..Kept::default() }
}

fn key(name: &str) -> model::Key {
    model::Key::parse(&format!("files/service/shop/{name}")).unwrap()
}

fn applied(version: &str) -> wire::delta::Applied {
    wire::delta::Applied { version: version.into(), bytes: version.as_bytes().into() }
}

#[test]
fn a_burst_while_the_disk_is_slow_is_two_writes_and_ends_with_the_last() {
    let (started, begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let written = Arc::new(Mutex::new(Vec::new()));
    let seen = written.clone();
    let write = move |kept: &Kept, _: &Fresh| {
        seen.lock().unwrap().push(kept.generation);
        _ = started.send(());
        // The first write lasts until the burst is over; an ended channel holds nobody.
        _ = released.recv();
        Ok(())
    };
    let saver = Saver::with(write, (QUIET, give_back)).unwrap();
    saver.put(kept(1), Fresh::new());
    begun.recv().unwrap();
    (2..=1000).for_each(|generation| saver.put(kept(generation), Fresh::new()));
    drop(release);
    drop(saver);
    assert_eq!(*written.lock().unwrap(), [1, 1000]);
}

#[test]
fn the_last_of_a_thousand_changes_is_on_disk_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    let saver = Saver::start(path.clone()).unwrap();
    (1..=1000).for_each(|generation| saver.put(kept(generation), Fresh::new()));
    drop(saver);
    assert_eq!(file::read(&path).unwrap().unwrap().generation, 1000);
}

#[test]
fn memory_is_given_back_once_after_the_beginning_and_after_each_time_that_something_was_put() {
    let (given, gave) = mpsc::channel();
    let saver = Saver::with(|_, _| Ok(()), (Duration::from_millis(50), move || given.send(()).unwrap())).unwrap();
    let once = || {
        gave.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(gave.recv_timeout(Duration::from_millis(200)).is_err(), "nothing was put since");
    };
    once();
    saver.put(kept(1), Fresh::new());
    once();
    saver.put(kept(2), Fresh::new());
    once();
}

#[test]
fn who_must_know_that_it_is_written_can_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    let saver = Saver::start(path.clone()).unwrap();
    saver.settle();
    saver.put(kept(7), Fresh::new());
    saver.settle();
    assert_eq!(file::read(&path).unwrap().unwrap().generation, 7);
    // A disk that does not take it holds nobody up.
    let nowhere = Saver::start(folder.path().join("not/there")).unwrap();
    nowhere.put(kept(8), Fresh::new());
    nowhere.settle();
}

#[test]
fn while_another_process_writes_what_is_put_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    let saver = Saver::start(path.clone()).unwrap();
    saver.put(kept(1), Fresh::new());
    saver.settle();
    saver.hold();
    saver.put(kept(2), Fresh::new());
    saver.settle();
    assert_eq!(file::read(&path).unwrap().unwrap().generation, 1);
    saver.release();
    saver.settle();
    assert_eq!(file::read(&path).unwrap().unwrap().generation, 2);
    // Nor is it written at the end.
    saver.hold();
    saver.put(kept(3), Fresh::new());
    drop(saver);
    assert_eq!(file::read(&path).unwrap().unwrap().generation, 2);
}

#[test]
fn bytes_that_were_not_written_are_owed_until_they_are_and_lost_ones_are_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/yet");
    let saver = Saver::start(path.clone()).unwrap();
    let of = |version: &str| Kept { held: [(key("a"), version.into())].into(), ..kept(1) };
    saver.put(of("v1"), [(key("a"), applied("v1"))].into());
    saver.settle();
    let is_lost = || saver.lost().now_or_never().is_some();
    assert!(!is_lost(), "a disk that does not take them loses nothing");
    std::fs::create_dir(folder.path().join("not")).unwrap();
    saver.put(of("v1"), Fresh::new());
    saver.settle();
    assert_eq!(file::read(&path).unwrap().unwrap().held, [(key("a"), applied("v1"))].into());
    std::fs::remove_file(&path).unwrap();
    saver.put(of("v1"), Fresh::new());
    saver.settle();
    assert!(is_lost());
    assert!(!is_lost());
}

#[test]
fn bytes_wait_with_what_is_put_while_another_process_writes_and_the_newest_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    let saver = Saver::start(path.clone()).unwrap();
    let of = |a: &str| Kept { held: [(key("a"), a.into()), (key("b"), "b1".into())].into(), ..kept(1) };
    saver.put(of("a1"), [(key("a"), applied("a1")), (key("b"), applied("b1"))].into());
    saver.settle();
    saver.hold();
    saver.put(of("a2"), [(key("a"), applied("a2"))].into());
    saver.put(of("a3"), [(key("a"), applied("a3"))].into());
    // Nothing new is told of it later, and what was told is not forgotten.
    saver.put(of("a3"), Fresh::new());
    saver.release();
    saver.settle();
    assert_eq!(file::read(&path).unwrap().unwrap().held, [(key("a"), applied("a3")), (key("b"), applied("b1"))].into());
}
