//! Deciding allocates nothing, however many policies there are: a program of its own, for its allocator counts.

#[path = "../benches/many/mod.rs"]
mod many;

use many::{For, policies, service};
use model::*;
use policy::{Attributes, Engine, Moment, Place, Request};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_verdict_allocates_nothing() {
    for (count, whom) in [(0, For::Called), (1_000, For::Called), (1_000, For::Others)] {
        let all = policies(count, whom);
        let engine = Engine::compile(&all, []);
        let services = [(service("orders"), 80)];
        let (labels, headers) = (Labels::new(), HeaderBlock::default());
        let place = Place::Workload { namespace: "shop", labels: &labels, services: &services };
        let address = [10, 0, 0, 1].into();
        for caller in ["caller-999-4", "nobody"] {
            let peer = SpiffeId::parse(&format!("spiffe://organza.local/ns/shop/sa/{caller}")).ok();
            let request = Request {
                host: "orders",
                method: &Method::Get,
                path: "/api/999/4/a",
                headers: &headers,
                client: Some(address),
                token: None,
                consumer: None,
            };
            for moment in [Moment::Opened, Moment::Stream, Moment::Request(request)] {
                let of = Attributes { peer: peer.as_ref(), plaintext: false, address, ports: &[80], server_name: None, moment };
                let took = |_| {
                    let region = Region::new(COUNTED);
                    let verdict = engine.decide(&place, &of);
                    let counted = region.change();
                    (counted.allocations + counted.reallocations, verdict.decided.to_string())
                };
                // The allocator counts all threads, and that of the test's runner is at work now and then: one of some must be quiet.
                let fewest = (0..5).map(took).min().unwrap();
                assert_eq!(fewest.0, 0, "{count} policies, {caller}: {}", fewest.1);
            }
        }
    }
}
