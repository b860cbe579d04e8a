use super::*;
use std::time::Duration;

fn frame(kind: u8, flags: u8, length: usize) -> Header {
    Header { length, kind, flags, stream: 1 }
}

/// One of each that is counted, and the budget that it has.
fn kinds() -> Vec<(Header, FrameBudget, Flood)> {
    vec![
        (frame(0x6, 0, 0), limits::H2_PING, Flood::Ping),
        (frame(0x6, 1, 0), limits::H2_PING, Flood::Ping),
        (frame(0x4, 0, 0), limits::H2_SETTINGS, Flood::Settings),
        (frame(0x0, 0, 0), limits::H2_EMPTY_DATA, Flood::EmptyData),
        (frame(0x8, 0, 0), limits::H2_WINDOW_UPDATE, Flood::WindowUpdate),
        (frame(0x2, 0, 0), limits::H2_PRIORITY, Flood::Priority),
        (frame(0x10, 0, 0), limits::H2_PRIORITY, Flood::Priority),
        (frame(0x3, 0, 0), limits::H2_RESET, Flood::Reset),
        (frame(0xbb, 0, 0), limits::H2_UNKNOWN, Flood::Unknown),
        (frame(0x7, 0, 0), limits::H2_UNKNOWN, Flood::Unknown),
    ]
}

/// How many of these go through before the flood, and which it is.
fn through(watch: &mut Watch, frame: Header, now: Instant) -> (u32, Flood) {
    let mut count = 0;
    loop {
        match watch.frame(frame, now) {
            Ok(()) => count += 1,
            Err(flood) => return (count, flood),
        }
    }
}

#[test]
fn each_kind_has_its_budget_and_gets_it_back_with_time() {
    for (bytes, budget, flood) in kinds() {
        let mut now = Instant::now();
        let mut watch = Watch::new(Who::Stranger, now);
        assert_eq!(through(&mut watch, bytes, now), (budget.burst, flood));
        // One kind's flood takes nothing of another's.
        let others = kinds();
        let other = others.iter().find(|(.., f)| *f != flood).unwrap();
        assert_eq!(through(&mut watch, other.0, now), (other.1.burst, other.2));
        now += Duration::from_secs(1);
        assert_eq!(through(&mut watch, bytes, now), (budget.per_second, flood));
        now += Duration::from_secs(3600);
        assert_eq!(through(&mut watch, bytes, now), (budget.burst, flood), "never more than at the beginning");
    }
}

#[test]
fn a_member_has_a_larger_one() {
    let now = Instant::now();
    let mut watch = Watch::new(Who::Member, now);
    let (bytes, budget, flood) = kinds().remove(0);
    assert_eq!(through(&mut watch, bytes, now), (budget.burst * limits::H2_MEMBER_FACTOR, flood));
}

#[test]
fn work_that_was_done_earns_frames() {
    let now = Instant::now();
    for (bytes, budget, flood) in kinds() {
        let mut watch = Watch::new(Who::Stranger, now);
        through(&mut watch, bytes, now);
        watch.wrote(6400);
        let by_bytes = 6400u32.checked_div(budget.bytes_each).unwrap_or(0);
        assert_eq!(through(&mut watch, bytes, now), (by_bytes.min(budget.burst), flood));
        for _ in 0..10 {
            watch.frame(frame(0x1, flag::END_HEADERS, 30), now).unwrap();
        }
        assert_eq!(through(&mut watch, bytes, now), ((budget.per_head * 10).min(budget.burst), flood));
    }
}

#[test]
fn what_we_answer_to_a_flood_does_not_pay_for_it() {
    let now = Instant::now();
    for (bytes, answer) in [(frame(0x6, 0, 8), 17), (frame(0x4, 0, 0), 9)] {
        let mut watch = Watch::new(Who::Stranger, now);
        let ended = (0..10_000).find(|_| {
            watch.wrote(answer);
            watch.frame(bytes, now).is_err()
        });
        assert!(ended.is_some(), "{answer} bytes a frame paid for all of them");
    }
}

#[test]
fn what_carries_something_is_not_counted() {
    let now = Instant::now();
    let mut watch = Watch::new(Who::Stranger, now);
    for bytes in [frame(0x0, 0, 1), frame(0x0, flag::END_STREAM, 0), frame(0x1, 5, 40)] {
        for _ in 0..100_000 {
            watch.frame(bytes, now).unwrap();
        }
    }
}

#[test]
fn header_blocks_go_on_for_so_long_and_no_longer() {
    let now = Instant::now();
    let mut watch = Watch::new(Who::Member, now);
    for round in 0..10 {
        watch.frame(frame(0x1, 0, 40), now).unwrap();
        for n in 1..=limits::H2_CONTINUATIONS {
            let last = if n == limits::H2_CONTINUATIONS && round < 9 { flag::END_HEADERS } else { 0 };
            watch.frame(frame(0x9, last, 40), now).unwrap();
        }
    }
    assert_eq!(watch.frame(frame(0x9, 0, 40), now), Err(Flood::Continuation));
}

#[test]
fn streams_that_the_peer_makes_us_reset_have_a_budget_too() {
    let mut now = Instant::now();
    let mut watch = Watch::new(Who::Stranger, now);
    assert_eq!((0..1000).filter(|_| watch.provoked(now)).count() as u32, limits::H2_ERROR_RESETS.burst);
    now += Duration::from_secs(1);
    assert_eq!((0..1000).filter(|_| watch.provoked(now)).count() as u32, limits::H2_ERROR_RESETS.per_second);
}
