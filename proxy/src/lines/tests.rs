use super::*;
use std::sync::mpsc::channel;
use std::time::{Duration, UNIX_EPOCH};
use telemetry::{Peer, Record, Reporter};

fn record(path: &str) -> Record {
    let peer = || Arc::new(Peer::unknown());
    Record { path: path.into(), status: 200, ..Record::begin(UNIX_EPOCH, Reporter::Gateway, peer(), peer()) }
}

fn file(name: &str, bytes: u64, kept: u32) -> Option<Arc<LineFile>> {
    Some(Arc::new(LineFile { name: name.into(), bytes, kept }))
}

/// What is written of these, with the bytes of the output.
fn written(lines: Vec<Line>, folder: &Path, lost: &Gauge) -> String {
    let (sender, receiver) = channel();
    lines.into_iter().for_each(|line| sender.send(line).unwrap());
    drop(sender);
    let mut out = Vec::new();
    write(&receiver, &mut out, folder, lost);
    String::from_utf8(out).unwrap()
}

fn line(text: &str, output: bool, file: Option<Arc<LineFile>>) -> Line {
    Line { text: format!("{text}\n"), output, file }
}

#[test]
fn lines_go_where_their_policy_says_and_files_are_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("logs");
    let lost = Gauge::default();
    let (a, b) = (file("a.log", 20, 2), file("b.log", 100, 0));
    let lines = vec![
        line("one", true, None),
        line("two two two", false, a.clone()),
        line("three three", true, a.clone()),
        line("four four four", false, a.clone()),
        line("five five five", false, a),
        line("six", false, b),
    ];
    assert_eq!(written(lines, &own, &lost), "one\nthree three\n");
    let read = |name: &str| std::fs::read_to_string(own.join(name)).unwrap();
    assert_eq!(
        (read("a.log"), read("a.log.1"), read("a.log.2")),
        ("five five five\n".into(), "four four four\n".into(), "three three\n".into())
    );
    assert_eq!((read("b.log"), own.join("a.log.3").exists(), lost.get()), ("six\n".to_owned(), false, 0.0));
}

#[test]
fn what_cannot_be_written_is_counted_and_the_output_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let lost = Gauge::default();
    // A file stands where the folder should be.
    std::fs::write(folder.path().join("logs"), "").unwrap();
    let lines = vec![line("one", true, file("a", 100, 1)), line("two", true, file("a", 100, 1)), line("three", true, None)];
    assert_eq!(written(lines, &folder.path().join("logs"), &lost), "one\ntwo\nthree\n");
    assert_eq!(lost.get(), 2.0);
}

#[test]
fn a_proxy_without_output_and_file_writes_nothing_and_a_policy_chooses_the_form() {
    let metrics = Metrics::new();
    let (sender, receiver) = sync_channel(4);
    let sink = LogSink::to(sender, false, access_log::Format::Json, &metrics);
    sink.write(&access_log::Once::of(&record("/a")), &Tell::default());
    assert!(receiver.try_recv().is_err());
    sink.write(&access_log::Once::of(&record("/b")), &Tell { file: file("a", 1, 1), ..Tell::default() });
    sink.write(&access_log::Once::of(&record("/c")), &Tell { file: file("a", 1, 1), format: Some(LineFormat::Text), ..Tell::default() });
    let (json, text) = (receiver.recv().unwrap(), receiver.recv().unwrap());
    assert!(json.text.starts_with('{') && !json.output && json.file.is_some(), "{json:?}");
    assert!(!text.text.starts_with('{') && text.text.contains("/c"), "{text:?}");
}

#[test]
fn a_full_disk_is_said_once_and_tried_once_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    // It opens, and takes nothing.
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let (mut open, begun) = (Written::default(), Instant::now());
    let mut line = |millis: u64| {
        let written = open.line("one", file("a", 100, 1), folder.path(), begun + Duration::from_millis(millis));
        (written, open.failed.map(|at| at.duration_since(begun).as_millis()))
    };
    assert_eq!((line(0), line(1), line(999)), ((false, Some(0)), (false, Some(0)), (false, Some(0))));
    assert_eq!((line(1000), line(1500)), ((false, Some(1000)), (false, Some(1000))));
    std::fs::remove_file(&path).unwrap();
    assert_eq!((line(1999), line(2000), line(2001)), ((false, Some(1000)), (true, None), (true, None)));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\none\n");
}
