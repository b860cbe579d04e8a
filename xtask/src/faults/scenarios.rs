//! What is done to the backends, and what must come of it. The host names the service, and so the policy, of `bench/faults/*.yaml`. Each bound is what that
//! policy promises, for 400 requests a second (2,000 while it is broken) that are spread evenly; its reason stands beside it.

use super::backend::Backend;
use anyhow::Result;
use std::ops::RangeInclusive;

pub struct Scenario {
    pub name: &'static str,
    pub host: &'static str,
    /// Of ten requests a second each, throughout, and more of them while it is broken.
    pub callers: u32,
    pub more_callers: u32,
    pub breaks: fn(&mut [Backend]) -> Result<()>,
    pub mends: fn(&mut [Backend]) -> Result<()>,
    /// The share of requests that must succeed while it is broken, and after it was mended. Before, all must.
    pub during: f64,
    pub after: f64,
    /// Answers a second that backends give while it is broken: where limits bound them, or a breaker.
    pub answers: Option<RangeInclusive<f64>>,
}

/// Where nothing else is said.
const PLAIN: Scenario = Scenario {
    name: "",
    host: "eject.local",
    callers: 40,
    more_callers: 0,
    breaks: |all| first(all, Do::Kill),
    mends: mend,
    during: 0.0,
    // What is mended is used again by requests that succeed.
    after: 0.99,
    answers: None,
};

pub const SCENARIOS: [Scenario; 8] = [
    // Lost is what was under way there, at most one request of each caller that had one there: 14. What finds nobody goes elsewhere.
    Scenario { name: "killed", during: 0.99, mends: restart, ..PLAIN },
    // A third of the 120 requests of 300 ms are under way there before the first is given up; then one tries it after 1 s and after 2 s: 43.
    Scenario { name: "slow", breaks: |all| first(all, Do::Tell("slow 1000")), during: 0.97, ..PLAIN },
    // 80 fail in a second, never five in a row, so whole seconds are judged: the first may have begun well and says nothing, the next ejects it for a second,
    // one more for two. It is used in three of five seconds, which are 240 of 2,000, and by chance (three deviations) 270.
    Scenario { name: "half-broken", breaks: |all| first(all, Do::Tell("fail 60")), during: 0.865, ..PLAIN },
    // Two checks, of a quarter of a second and half a second apart, find it within 1.6 s: a third of the 640 requests of that time.
    Scenario { name: "hanging", host: "checked.local", breaks: |all| first(all, Do::Tell("hang")), during: 0.89, ..PLAIN },
    // It answers requests as well as ever.
    Scenario { name: "sick", host: "checked.local", breaks: |all| first(all, Do::Tell("sick")), during: 1.0, after: 1.0, ..PLAIN },
    // As killed, but two of three: 27. The last backend is in another zone.
    Scenario { name: "zone lost", host: "near.local", breaks: lose_zone, mends: find_zone, during: 0.986, ..PLAIN },
    // 20 under way for 200 ms are 100 answers a second, and a tenth is the machine's. Few enough call before and after that 25 places are room for
    // all of them, however long the machine stands still. What is under way when it is mended keeps its places for 200 ms of five seconds.
    Scenario {
        name: "overloaded",
        host: "limited.local",
        callers: 20,
        more_callers: 20,
        breaks: |all| each(all, "slow 200"),
        after: 0.95,
        answers: Some(90.0..=110.0),
        ..PLAIN
    },
    // It opens before half of an interval's 400 requests have failed; then three at most try it each second, and it is closed within a second of the mending.
    Scenario {
        name: "all failing",
        host: "breaker.local",
        breaks: |all| each(all, "fail 100"),
        after: 0.79,
        answers: Some(0.0..=45.0),
        ..PLAIN
    },
];

enum Do {
    Kill,
    Tell(&'static str),
}

fn first(all: &mut [Backend], what: Do) -> Result<()> {
    match (all.first_mut(), what) {
        (Some(backend), Do::Kill) => backend.kill(),
        (Some(backend), Do::Tell(what)) => backend.tell(what)?,
        (None, _) => {}
    }
    Ok(())
}

fn each(all: &mut [Backend], what: &str) -> Result<()> {
    all.iter_mut().try_for_each(|backend| backend.tell(what))
}

fn zone(all: &mut [Backend]) -> &mut [Backend] {
    let near = all.len().saturating_sub(1);
    &mut all[..near]
}

fn lose_zone(all: &mut [Backend]) -> Result<()> {
    zone(all).iter_mut().for_each(Backend::kill);
    Ok(())
}

fn find_zone(all: &mut [Backend]) -> Result<()> {
    zone(all).iter_mut().try_for_each(Backend::again)
}

fn mend(all: &mut [Backend]) -> Result<()> {
    each(all, "ok")
}

fn restart(all: &mut [Backend]) -> Result<()> {
    all.first_mut().map_or(Ok(()), Backend::again)
}
