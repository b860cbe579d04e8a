//! What is done to the backends, and what must come of it. The host names the service, and so the policy, of `bench/faults/*.yaml`.

use super::backend::Backend;
use anyhow::Result;

pub struct Scenario {
    pub name: &'static str,
    pub host: &'static str,
    pub breaks: fn(&mut [Backend]) -> Result<()>,
    pub mends: fn(&mut [Backend]) -> Result<()>,
    /// The share of requests that must succeed while it is broken, and after it was mended.
    pub during: f64,
    pub after: f64,
}

pub const SCENARIOS: [Scenario; 8] = [
    Scenario { name: "killed", host: "eject.local", breaks: |all| first(all, Do::Kill), mends: restart, during: 0.99, after: 0.99 },
    Scenario { name: "slow", host: "eject.local", breaks: |all| first(all, Do::Tell("slow 1000")), mends: mend, during: 0.97, after: 0.99 },
    Scenario {
        name: "half-broken",
        host: "eject.local",
        breaks: |all| first(all, Do::Tell("fail 60")),
        mends: mend,
        during: 0.85,
        after: 0.99,
    },
    Scenario { name: "hanging", host: "checked.local", breaks: |all| first(all, Do::Tell("hang")), mends: mend, during: 0.85, after: 0.99 },
    Scenario { name: "sick", host: "checked.local", breaks: |all| first(all, Do::Tell("sick")), mends: mend, during: 1.0, after: 1.0 },
    // The last backend is in another zone.
    Scenario { name: "zone lost", host: "near.local", breaks: lose_zone, mends: find_zone, during: 0.99, after: 0.99 },
    // 20 under way for 200 ms are 100 answers a second, whoever stands there; the sooner the others are refused, the more of them ask again meanwhile.
    Scenario { name: "overloaded", host: "limited.local", breaks: |all| each(all, "slow 200"), mends: mend, during: 0.35, after: 0.95 },
    Scenario { name: "all failing", host: "breaker.local", breaks: |all| each(all, "fail 100"), mends: mend, during: 0.0, after: 0.5 },
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
