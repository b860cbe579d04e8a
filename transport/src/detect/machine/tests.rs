use super::*;
use std::time::Duration;

const HELLO: &[u8] = b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03\
    01234567890123456789012345678901\x00\x00\x02\x13\x01\x01\x00\x00\x00";

/// Events by their time in milliseconds, and what came of the last.
fn after(reads: Reads, events: &[(u64, Event<'_>)]) -> Step {
    let start = crate::rt::now();
    let mut detection = Detection::new(reads, false, start);
    let mut step = Step::Wait(None);
    for (at, event) in events {
        assert!(!matches!(step, Step::Decided(_)), "{step:?} before {event:?}");
        step = detection.handle(*event, start + Duration::from_millis(*at));
        if let Step::Wait(Some(until)) = &mut step {
            // The test's own clock begins at zero.
            *until = start + until.duration_since(start);
            assert!(*until > start + Duration::from_millis(*at), "a wait ends later");
        }
    }
    step
}

fn opaque(server_first: bool) -> Step {
    Step::Decided(Verdict::Opaque { server_first, tls: None })
}

use Event::{Caller, CallerEnded, Server, ServerEnded, Time};
use Reads::{Anything, HttpAlone};

#[test]
fn a_server_that_greets_is_dialled_after_a_moment_and_is_tcp() {
    assert!(matches!(after(Anything, &[(0, Time)]), Step::Wait(Some(_))));
    assert_eq!(after(Anything, &[(0, Time), (10, Time)]), Step::Dial);
    assert!(matches!(after(Anything, &[(0, Time), (10, Time), (11, Time)]), Step::Wait(Some(_))), "it is dialled once");
    assert_eq!(
        after(Anything, &[(0, Time), (10, Time), (3_600_000, Time)]),
        Step::Decided(Verdict::Nothing),
        "and not waited for without end"
    );
    assert_eq!(after(Anything, &[(0, Time), (10, Time), (12, Server)]), opaque(true));
    assert_eq!(after(Anything, &[(0, Time), (10, Time), (11, Caller(b"GE")), (12, Server)]), opaque(true));
    assert_eq!(after(Anything, &[(0, Time), (10, Time), (5000, ServerEnded)]), opaque(false));
}

#[test]
fn a_caller_is_heard_however_late_it_speaks() {
    for at in [0, 9, 11, 5_000, 500_000] {
        let dialled = [(0, Time), (at.min(10), Time)];
        let with = |event| after(Anything, &[&dialled[..], &[(at, event)]].concat());
        assert_eq!(with(Caller(b"GET / HTTP/1.1\r\n")), Step::Decided(Verdict::Http1));
        assert_eq!(with(Caller(crate::h2::CLIENT_PREFACE)), Step::Decided(Verdict::Http2));
        assert_eq!(with(Caller(HELLO)), Step::Decided(Verdict::Opaque { server_first: false, tls: Some(None) }));
        assert_eq!(with(Caller(b"\0\x01")), opaque(false));
        assert_eq!(with(CallerEnded), opaque(false));
    }
}

#[test]
fn who_begins_and_says_no_more_is_tcp_in_the_end() {
    let begun = [(5, Caller(&b"GET"[..]))];
    assert!(matches!(after(Anything, &begun), Step::Wait(Some(_))));
    let then = |at, event| after(Anything, &[&begun[..], &[(at, event)]].concat());
    assert!(matches!(then(20, Time), Step::Wait(Some(_))), "upstream is not dialled for one who speaks");
    assert_eq!(then(1005, Time), opaque(false));
    assert_eq!(then(900, Caller(b"GET / HTTP/1.1")), Step::Decided(Verdict::Http1));
    assert_eq!(then(1005, Caller(b"GET /")), opaque(false), "no byte by byte beyond the limit");
    assert_eq!(then(20, CallerEnded), opaque(false));
}

#[test]
fn where_http_alone_may_pass_nothing_falls_back() {
    assert_eq!(after(HttpAlone, &[(0, Caller(b"GET / HTTP/1.1"))]), Step::Decided(Verdict::Http1));
    assert_eq!(after(HttpAlone, &[(0, Time), (60_000, Caller(crate::h2::CLIENT_PREFACE))]), Step::Decided(Verdict::Http2));
    assert!(matches!(after(HttpAlone, &[(0, Time), (1000, Time)]), Step::Wait(Some(_))), "upstream is never dialled");
    assert_eq!(after(HttpAlone, &[(0, Time), (75_000, Time)]), Step::Decided(Verdict::Nothing));
    assert_eq!(after(HttpAlone, &[(0, CallerEnded)]), Step::Decided(Verdict::Nothing));
    for events in [
        &[(0, Caller(&b"\0\x01"[..]))][..],
        &[(0, Caller(HELLO))],
        &[(0, Caller(b"GE")), (1, CallerEnded)],
        &[(0, Caller(b"GE")), (10_000, Time)],
        &[(0, Caller(b"GE")), (10_000, Caller(b"GET"))],
    ] {
        assert!(matches!(after(HttpAlone, events), Step::Decided(Verdict::Unrecognised(_))), "{events:?}");
    }
}

#[test]
fn upstream_that_is_open_already_is_not_dialled() {
    let start = crate::rt::now();
    let mut detection = Detection::new(Anything, true, start);
    assert_eq!(detection.handle(Time, start + Duration::from_secs(1)), Step::Wait(Some(start + limits::TUNNEL_IDLE)));
}
