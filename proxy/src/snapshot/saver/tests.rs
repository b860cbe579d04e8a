use super::*;
use std::sync::mpsc;

fn stored(generation: u64) -> Stored {
    Stored { generation, ..Stored::default() }
}

#[test]
fn a_burst_while_the_disk_is_slow_is_two_writes_and_ends_with_the_last() {
    let (started, begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let written = Arc::new(Mutex::new(Vec::new()));
    let seen = written.clone();
    let saver = Saver::with(move |stored| {
        seen.lock().unwrap().push(stored.generation);
        _ = started.send(());
        // The first write lasts until the burst is over; an ended channel holds nobody.
        _ = released.recv();
    })
    .unwrap();
    saver.put(stored(1));
    begun.recv().unwrap();
    (2..=1000).for_each(|generation| saver.put(stored(generation)));
    drop(release);
    drop(saver);
    assert_eq!(*written.lock().unwrap(), [1, 1000]);
}

#[test]
fn the_last_of_a_thousand_changes_is_on_disk_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    let saver = Saver::start(path.clone()).unwrap();
    (1..=1000).for_each(|generation| saver.put(stored(generation)));
    drop(saver);
    assert_eq!(file::read(&path).unwrap().unwrap().generation, 1000);
}

#[test]
fn who_must_know_that_it_is_written_can_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    let saver = Saver::start(path.clone()).unwrap();
    saver.settle();
    saver.put(stored(7));
    saver.settle();
    assert_eq!(file::read(&path).unwrap().unwrap().generation, 7);
    // A disk that does not take it holds nobody up.
    let nowhere = Saver::start(folder.path().join("not/there")).unwrap();
    nowhere.put(stored(8));
    nowhere.settle();
}

#[test]
fn while_another_process_writes_what_is_put_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    let saver = Saver::start(path.clone()).unwrap();
    saver.put(stored(1));
    saver.settle();
    saver.hold();
    saver.put(stored(2));
    saver.settle();
    assert_eq!(file::read(&path).unwrap().unwrap().generation, 1);
    saver.release();
    saver.settle();
    assert_eq!(file::read(&path).unwrap().unwrap().generation, 2);
    // Nor is it written at the end.
    saver.hold();
    saver.put(stored(3));
    drop(saver);
    assert_eq!(file::read(&path).unwrap().unwrap().generation, 2);
}
