//! `cargo bench -p policy`: what one verdict costs among many policies. Prints the median of rounds, in nanoseconds.
#![allow(clippy::print_stdout, reason = "a bench reports on standard output")]

mod many;

use many::{For, policies, service};
use model::*;
use policy::{Attributes, Engine, Moment, Place, Request};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 31;
const CALLS: u32 = 20_000;

fn nanoseconds(engine: &Engine, place: &Place<'_>, of: &Attributes<'_>) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..CALLS {
                black_box(engine.decide(black_box(place), black_box(of)));
            }
            begun.elapsed().as_nanos() as f64 / f64::from(CALLS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn main() {
    println!("{:>8}  {:<8} {:>12} {:>12} {:>12}", "policies", "of", "request ns", "opened ns", "bytes ns");
    for (count, whom, word) in
        [(0, For::Called, "-"), (100, For::Called, "called"), (1_000, For::Called, "called"), (1_000, For::Others, "others")]
    {
        let policies = policies(count, whom);
        let engine = Engine::compile(&policies, []);
        let peer = SpiffeId::parse(&format!("spiffe://organza.local/ns/shop/sa/caller-{}-4", count.saturating_sub(1))).ok();
        let services = [(service("orders"), 80)];
        let (labels, headers) = (Labels::new(), HeaderBlock::default());
        let place = Place::Workload { namespace: "shop", labels: &labels, services: &services };
        let address = [10, 0, 0, 1].into();
        let path = format!("/api/{}/4/orders", count.saturating_sub(1));
        let request = Request {
            host: "orders",
            method: &Method::Get,
            path: &path,
            headers: &headers,
            client: Some(address),
            token: None,
            consumer: None,
        };
        let time = |moment| {
            nanoseconds(
                &engine,
                &place,
                &Attributes { peer: peer.as_ref(), plaintext: false, address, ports: &[80], server_name: None, moment },
            )
        };
        let (request, opened, bytes) = (time(Moment::Request(request)), time(Moment::Opened), time(Moment::Stream));
        println!("{count:>8}  {word:<8} {request:>12.0} {opened:>12.0} {bytes:>12.0}");
    }
}
