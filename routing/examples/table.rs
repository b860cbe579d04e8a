//! What a table of routes costs: `cargo run --release -p routing --example table [ROUTES]` builds it (10,000 rules in a thousand HTTPRoutes, each with a host
//! of its own), edits one route, changes one set of endpoints and looks routes up. Times are of this thread's processor, for the machine may be busy.

#![expect(clippy::print_stdout, reason = "a program that says what it measured")]

use model::route::{HeaderEdits, RankedMatch};
use model::*;
use routing::filters::{self, Context, RequestOutcome};
use routing::{Caller, Entry, Table};
use std::sync::Arc;
use std::time::Duration;

const HOSTS: usize = 1000;
const LOOKUPS: u32 = 204_800;
const BATCH: u32 = 256;
/// Enough of them for the kernel's account to have grown.
const EDITS: u32 = 1000;

#[path = "../../bench/meter.rs"]
mod meter;

use meter::timed;

fn main() {
    let rules: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let changes: Vec<Change> = (0..rules.min(HOSTS)).map(|host| put(host, rules, "/items")).collect();
    let (table, built) = timed(|| Table::default().apply(&changes));
    let edited = table.apply(&[put(7, rules, "/edited")]);
    let same = edited.apply(&[Change::Put(Resource::Endpoints(Arc::new(endpoints_of("backend"))))]);
    let ((), edits) = timed(|| (0..EDITS).for_each(|i| drop(table.apply(&[put(i as usize, rules, "/edited")]))));
    println!("{rules} rules: built in {built:?}, {} host patterns", table.rebuilt());
    println!("one route edited: {:?}, {} rebuilt; endpoints changed: {} rebuilt", edits / EDITS, edited.rebuilt(), same.rebuilt());
    let entry = Entry::Listener(key(Kind::Listener, "edge.http"));
    let (mut found, mut looked) = (0, Duration::ZERO);
    for batch in 0..LOOKUPS / BATCH {
        // Few enough that they are near, as a head is that was just read.
        let heads: Vec<RequestHead> = (0..BATCH).map(|i| head(((batch * BATCH + i) as usize * 7919) % rules)).collect();
        let (held, took) = timed(|| heads.iter().filter(|head| edited.route(&entry, head, &Caller::default()).is_ok()).count());
        (found, looked) = (found + held, looked + took);
    }
    println!("{found} of {LOOKUPS} look-ups found a route: {:?} each", looked / LOOKUPS);
    let (done, took) = timed(|| (0..LOOKUPS).filter(|i| whole(&edited, &entry, (*i as usize * 7919) % rules).is_some()).count());
    println!("{done} of {LOOKUPS} requests had all done to them that a route says: {:?} each", took / LOOKUPS);
}

/// A request's way through the table: route, patience, edits, backend, edits of the answer.
fn whole(table: &Table, entry: &Entry, number: usize) -> Option<u64> {
    let mut head = head(number);
    let decision = table.route(entry, &head, &Caller::default()).ok()?;
    let (context, mut applied) = (Context { scheme: Scheme::Http, port: 80 }, Applied::default());
    let RequestOutcome::Forward(pending) = filters::apply_request(&decision, &mut head, &context, &mut applied).ok()? else { return None };
    let backend = decision.pick(number as u32).ok()?;
    filters::apply_backend_request(&decision, backend, &mut head, &mut applied);
    let patience = (decision.timeouts(), decision.retry().is_some(), decision.session().is_some(), decision.protocol());
    let mut answer = ResponseHead::with_status(200);
    filters::apply_response(&decision, Some(backend), &pending, &mut answer, &mut applied);
    std::hint::black_box((patience, answer));
    Some(u64::from(backend.index))
}

fn key(kind: Kind, name: &str) -> Key {
    Key::new(Source::files(), kind, "bench", name)
}

/// The HTTPRoute of one host, with every rule that stands on it: path, header, an edit each way, a backend.
fn put(host: usize, rules: usize, path: &str) -> Change {
    let name = format!("routes-{host:04}");
    let edit = HeaderEdits { set: vec![("x-edge".into(), "bench".into())], ..HeaderEdits::default() };
    let to = ServiceRef { service: key(Kind::Service, "backend"), port: 80, subset: None };
    let rule = |number: usize| Rule {
        name: format!("rule-{number}").into(),
        matches: vec![RankedMatch {
            rank: Rank { order: [0; 5], created: 0, name: name.as_str().into(), rule: number as u32, position: 0 },
            matches: RouteMatch {
                path: Some(PathMatch::prefix(&format!("{path}/{number}"))),
                headers: vec![HeaderMatch { name: "x-bench".into(), value: ValueMatch::Exact("1".into()) }],
                ..RouteMatch::default()
            },
        }],
        filters: vec![Filter::RequestHeaders(edit.clone()), Filter::ResponseHeaders(edit.clone())],
        backends: vec![WeightedBackend { weight: 1, backend: Backend::Service(to.clone()), filters: Vec::new() }],
        timeouts: Timeouts::default(),
        retry: None,
        session: None,
    };
    let hosts = HostPattern::parse(&format!("host-{host}.bench.local")).into_iter().collect();
    Change::Put(Resource::Route(Arc::new(Route {
        key: key(Kind::Route, &name),
        origin: Origin::new(ObjectRef::new("gateway.networking.k8s.io", "HTTPRoute", "bench", &name), ""),
        protocol: RouteProtocol::Http,
        attachments: vec![Attachment { target: Target::Listener(key(Kind::Listener, "edge.http")), hosts }],
        rules: (host..rules).step_by(HOSTS).map(rule).collect(),
    })))
}

fn head(number: usize) -> RequestHead {
    let mut head = RequestHead::default();
    head.set_authority(&format!("host-{}.bench.local", number % HOSTS));
    head.set_target(&format!("/items/{number}/one"));
    head.headers.push("x-bench", b"1");
    head
}

fn endpoints_of(service: &str) -> Endpoints {
    Endpoints { key: key(Kind::Endpoints, service), endpoints: Vec::new() }
}
