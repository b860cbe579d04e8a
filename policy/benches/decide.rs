//! `cargo bench -p policy`: what one verdict costs among many policies. Prints the median of rounds, in nanoseconds.
#![allow(clippy::print_stdout, reason = "a bench reports on standard output")]

use model::access::*;
use model::*;
use policy::{Attributes, Engine, Moment, Place, Request};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 31;
const CALLS: u32 = 20_000;

/// Whom the policies are for.
#[derive(Clone, Copy)]
enum For {
    /// The service that is called, all of them.
    Called,
    Others,
}

fn service(name: &str) -> Key {
    Key::new(Source::files(), Kind::Service, "shop", name)
}

/// Ten rules each: an account, and a path that it may call; denies of some accounts. One rule allows what is asked.
fn policies(count: usize, whom: For) -> Vec<Arc<AccessPolicy>> {
    let rule = |policy: usize, at: usize| {
        let account = AccessMatch::ServiceAccount { namespace: "shop".into(), name: format!("caller-{policy}-{at}").into() };
        let path = AccessMatch::Path(AccessPath::segments(&format!("/api/{policy}/{at}")));
        let clause = |one| Clause(vec![Group(vec![Term::is(vec![one])])]);
        // Half say who and what, half who alone.
        let clauses = if at.is_multiple_of(2) { vec![clause(account), clause(path)] } else { vec![clause(account)] };
        AccessRule { name: format!("rule-{at}").into(), clauses }
    };
    let policy = |policy: usize| {
        let name = format!("accesspolicy.p{policy:04}");
        let target = match whom {
            For::Called => service("orders"),
            For::Others => service(&format!("other-{policy}")),
        };
        Arc::new(AccessPolicy {
            key: Key::new(Source::files(), Kind::Access, "shop", &name),
            origin: Origin::new(ObjectRef::new("organza.dev", "AccessPolicy", "shop", &name), ""),
            tier: Tier::Namespace,
            action: if policy.is_multiple_of(5) { Action::Deny } else { Action::Allow },
            enforcement: Enforcement::Enforce,
            targets: vec![AccessTarget::Service { service: target, port: None }],
            rules: (0..10).map(|at| rule(policy, at)).collect(),
        })
    };
    (0..count).map(policy).collect()
}

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
        let time =
            |moment| nanoseconds(&engine, &place, &Attributes { peer: peer.as_ref(), plaintext: false, address, ports: &[80], moment });
        let (request, opened, bytes) = (time(Moment::Request(request)), time(Moment::Opened), time(Moment::Stream));
        println!("{count:>8}  {word:<8} {request:>12.0} {opened:>12.0} {bytes:>12.0}");
    }
}
