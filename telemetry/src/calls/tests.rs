use super::*;
use crate::{Destination, EdgeTracker, Metrics, Security};
use model::SpiffeId;
use std::time::UNIX_EPOCH;

fn form(path: &str) -> String {
    let mut out = String::from("left over");
    template(path, &mut out);
    out
}

#[test]
fn paths_become_templates_that_match_them_and_tell_nothing_of_anyone() {
    let cases = [
        ("/", "/"),
        ("/orders", "/orders"),
        ("/orders/", "/orders/"),
        ("/orders/17", "/orders/{id}"),
        ("/orders/17/items/3", "/orders/{id}/items/{id}"),
        ("/orders?token=secret", "/orders"),
        ("/api/v1alpha1/users", "/api/v1alpha1/users"),
        ("/users/6f1c2a9e-0d7b-4f38-9a51-2b8c7f3d4e60", "/users/{id}"),
        ("/blobs/9e107d9d372bb6826bd81d3542a419d6", "/blobs/{id}"),
        ("/keys/AKx9Qz7LmP2sT4vW8yB1", "/keys/{id}"),
        ("/deadbeef", "/deadbeef"),
        ("/users/anna@example.com/mail", "/users/{id}/mail"),
        ("/a%20b/c", "/{id}/c"),
        ("/a;jsessionid=1/c", "/{id}/c"),
        ("/{id}/{**}/*", "/{id}/{id}/{id}"),
        ("/2024-05-01/report.pdf", "/{id}/report.pdf"),
        ("/shop.v1.Catalog/GetItem", "/shop.v1.Catalog/GetItem"),
        ("/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/h/{**}"),
        ("*", ""),
    ];
    for (path, want) in cases {
        assert_eq!(form(path), want, "{path}");
        if path.starts_with('/') {
            let template = model::access::PathTemplate::parse(want).expect(want);
            assert!(template.is_match(path.split('?').next().unwrap_or("")), "{want} does not match {path}");
        }
    }
    assert_eq!(form("//orders//7"), "/orders/{id}");
    assert!(form(&format!("/{}/x", "long-".repeat(40))).starts_with("/{id}/x"));
    // Of segments that are long words fewer than eight fit.
    let (segment, fit) = (format!("/{}", "w".repeat(50)), limits::CALL_PATH_BYTES / 51);
    assert_eq!(form(&segment.repeat(limits::CALL_SEGMENTS)), segment.repeat(fit) + "/{**}");
}

fn record(path: &str, outcome: Outcome) -> Record {
    let id = SpiffeId::parse("spiffe://organza.local/ns/shop/sa/web").ok();
    let peer = |id| Arc::new(Peer::claimed("web-1", "shop", "web", "v1", "", id));
    let mut record = Record::begin(UNIX_EPOCH, Reporter::Destination, peer(id.as_ref()), peer(None));
    record.path = path.into();
    record.outcome = outcome;
    record.service_port = 80;
    record.security = Security::MutualTls;
    record.dialled_service = Some(Arc::new(Destination { host: "catalog".into(), name: "catalog".into(), namespace: "shop".into() }));
    record
}

#[test]
fn calls_are_counted_by_the_called_side_and_by_verdict() {
    let metrics = Metrics::new();
    let (mut a, mut b) = (metrics.worker(), metrics.worker());
    a.observe(&record("/items/1", Outcome::Answered(200)));
    b.observe(&record("/items/2", Outcome::Answered(404)));
    b.observe(&record("/items/3", Outcome::Failed(Fault::ConnectRefused)));
    b.observe(&record("/admin", Outcome::Failed(Fault::AccessDenied)));
    // Of these nobody knows whether they would have been let through.
    b.observe(&record("/items/4", Outcome::Failed(Fault::MalformedRequest)));
    b.observe(&record("/items/4", Outcome::Failed(Fault::RateLimited)));
    b.observe(&Record { reporter: Reporter::Source, ..record("/items/5", Outcome::Answered(200)) });
    let calls: Vec<_> = metrics.calls().into_iter().map(|(id, counts)| (id.path.to_string(), counts.allowed, counts.denied)).collect();
    assert_eq!(calls, [("/admin".to_owned(), 0, 1), ("/items/{id}".to_owned(), 3, 0)]);
    let (id, _) = metrics.calls().into_iter().next_back().expect("one");
    assert_eq!((&*id.source, &*id.service, id.port, &*id.method), ("spiffe://organza.local/ns/shop/sa/web", "catalog", 80, "GET"));
}

#[test]
fn methods_that_somebody_makes_up_are_one_as_long_as_none_is_let_through() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let by = |method: &str, outcome| Record { method: model::Method::parse(method).expect("a token"), ..record("/", outcome) };
    for n in 0..10 {
        worker.observe(&by(&format!("X{n}"), Outcome::Failed(Fault::AccessDenied)));
    }
    worker.observe(&by("PROPFIND", Outcome::Answered(207)));
    let calls: Vec<_> = metrics.calls().into_iter().map(|(id, counts)| (id.method.to_string(), counts.allowed, counts.denied)).collect();
    assert_eq!(calls, [("OTHER".to_owned(), 0, 10), ("PROPFIND".to_owned(), 1, 0)]);
}

#[test]
fn connections_of_bytes_are_seen_when_they_open() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let open = Record { protocol: Protocol::Tcp, ..record("", Outcome::Answered(0)) };
    worker.opened(&open);
    assert_eq!(metrics.calls().values().map(|counts| counts.allowed).collect::<Vec<_>>(), [1]);
    worker.observe(&open);
    assert_eq!(metrics.calls().values().map(|counts| counts.allowed).collect::<Vec<_>>(), [1], "its end is no other call");
    worker.observe(&Record { outcome: Outcome::Failed(Fault::AccessDenied), ..open });
    let id = metrics.calls().into_iter().next().expect("one");
    assert_eq!((id.1, &*id.0.method, &*id.0.path), (CallCounts { allowed: 1, denied: 1 }, "", ""));
}

/// A path of a word that no other number makes.
fn word(n: usize) -> String {
    n.to_string().bytes().map(|b| char::from(b - b'0' + b'a')).collect()
}

/// Another caller.
fn by(caller: &str, record: Record) -> Record {
    let id = SpiffeId::parse(&format!("spiffe://organza.local/ns/shop/sa/{caller}")).ok();
    Record { source: Arc::new(Peer::claimed("x-1", "shop", "x", "v1", "", id.as_ref())), ..record }
}

fn wide(metrics: &Metrics) -> Vec<(String, u64)> {
    let all = metrics.calls().into_iter().filter(|(id, _)| id.path.ends_with("{**}"));
    all.map(|(id, counts)| (format!("{} {}", id.source.rsplit('/').next().unwrap_or(""), id.path), counts.allowed)).collect()
}

#[test]
fn what_finds_no_room_is_counted_by_a_coarser_path_and_then_left_out() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    for n in 0..limits::CALLS_OF_CALLER + 10 {
        worker.observe(&record(&format!("/users/{}", word(n)), Outcome::Answered(200)));
    }
    assert_eq!(wide(&metrics), [("web /users/{**}".to_owned(), 10)]);
    for n in 0..limits::CALLS_COARSE_OF_CALLER + 10 {
        worker.observe(&record(&format!("/{}/x", word(n)), Outcome::Answered(200)));
    }
    assert_eq!(metrics.calls().len(), limits::CALLS_OF_CALLER + limits::CALLS_COARSE_OF_CALLER);
    assert_eq!(metrics.calls_left_out(), 11);
    worker.observe(&record("/users/zz", Outcome::Answered(200)));
    assert_eq!(
        (wide(&metrics).into_iter().find(|(name, _)| name == "web /users/{**}"), metrics.calls_left_out()),
        (Some(("web /users/{**}".to_owned(), 11)), 11)
    );
}

#[test]
fn of_all_callers_so_many_kinds_are_told_apart_and_so_many_by_a_coarser_path() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let mut call = |caller: usize, path: &str| worker.observe(&by(&word(caller), record(path, Outcome::Answered(200))));
    let many = limits::CALLS / limits::CALLS_OF_CALLER;
    for n in 0..limits::CALLS {
        call(n % many, &format!("/{}", word(n)));
    }
    // Each by a caller who asks for the first time.
    for n in 0..limits::CALLS_COARSE + 3 {
        call(many + n, "/users/list");
    }
    assert_eq!((metrics.calls().len(), metrics.calls_left_out()), (limits::CALLS + limits::CALLS_COARSE, 3));
}

#[test]
fn who_scans_makes_the_paths_of_nobody_else_coarser() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    for n in 0..limits::CALLS + limits::CALLS_COARSE {
        worker.observe(&by("scanner", record(&format!("/{}/x", word(n)), Outcome::Failed(Fault::AccessDenied))));
    }
    worker.observe(&record("/users/list", Outcome::Answered(200)));
    let paths: Vec<_> = metrics.calls().into_keys().filter(|id| id.source.ends_with("/web")).map(|id| id.path.to_string()).collect();
    assert_eq!(paths, ["/users/list"]);
}

#[test]
fn a_worker_remembers_so_many_callers_without_room_until_it_sweeps() {
    let (all, mut worker) = (Calls::default(), WorkerCalls::default());
    for caller in 0..limits::CALLS / limits::CALLS_OF_CALLER {
        for n in 0..limits::CALLS_OF_CALLER {
            worker.ended(&all, &by(&word(caller), record(&format!("/{}", word(n)), Outcome::Answered(200))));
        }
    }
    assert!(worker.full.is_empty());
    for n in 0..limits::CALLERS_FULL + limits::CALLS_COARSE + 3 {
        worker.ended(&all, &by(&format!("late-{}", word(n)), record("/", Outcome::Answered(200))));
    }
    assert_eq!(worker.full.len(), limits::CALLERS_FULL);
    worker.sweep(Duration::from_secs(1));
    assert!(worker.full.is_empty());
}

#[test]
fn what_was_not_seen_for_a_while_makes_room_once_it_was_told() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let mut tracker = EdgeTracker::new(7);
    for n in 0..limits::CALLS_OF_CALLER {
        worker.observe(&record(&format!("/{}", word(n)), Outcome::Answered(200)));
    }
    let sweep = |worker: &mut crate::WorkerMetrics| worker.sweep(limits::CALLS_IDLE / 2);
    // Once to note what was counted; then /a alone is called on.
    for _ in 0..3 {
        sweep(&mut worker);
        worker.observe(&record("/a", Outcome::Answered(200)));
    }
    assert_eq!(metrics.calls().len(), limits::CALLS_OF_CALLER, "nothing was told yet");
    let first = tracker.poll(&metrics, true).expect("calls");
    assert_eq!(first.calls.iter().map(|(_, counts)| counts.allowed).sum::<u64>(), limits::CALLS_OF_CALLER as u64 + 3);
    tracker.acknowledged(first.sequence);
    assert!(tracker.poll(&metrics, true).is_none(), "what is let go is told no second time");
    assert_eq!(metrics.calls().into_keys().map(|id| id.path.to_string()).collect::<Vec<_>>(), ["/a"]);
    worker.observe(&record("/new", Outcome::Answered(200)));
    worker.observe(&record("/b", Outcome::Answered(200)));
    let next = tracker.poll(&metrics, true).expect("what came since");
    let told: Vec<_> = next.calls.iter().map(|(id, counts)| (&*id.path, counts.allowed)).collect();
    assert_eq!(told, [("/b", 1), ("/new", 1)]);
}

#[test]
fn calls_travel_with_edges_and_count_once() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let mut tracker = EdgeTracker::new(7);
    worker.observe(&record("/a", Outcome::Answered(200)));
    let edges = tracker.poll(&metrics, false).expect("edges");
    assert!(edges.calls.is_empty(), "not each second");
    tracker.acknowledged(edges.sequence);
    let calls = tracker.poll(&metrics, true).expect("calls alone");
    assert_eq!((calls.edges.len(), calls.calls.len(), calls.calls[0].1.allowed), (0, 1, 1));
    worker.observe(&record("/a", Outcome::Answered(200)));
    assert_eq!(tracker.poll(&metrics, true).expect("again"), calls, "repeated until acknowledged");
    tracker.acknowledged(calls.sequence);
    let more = tracker.poll(&metrics, true).expect("more");
    assert_eq!((more.sequence, more.calls[0].1.allowed), (calls.sequence + 1, 1));
    tracker.acknowledged(more.sequence);
    assert_eq!(tracker.poll(&metrics, true), None);
}
