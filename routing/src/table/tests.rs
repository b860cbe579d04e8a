use super::*;
use crate::limits;
use crate::{Caller, Entry};
use model::{Attachment, ObjectRef, Origin, RequestHead, Source};
use std::sync::PoisonError;

/// Routes by the numbers that stand for their bytes: this crate knows no encoding.
static WRITTEN: Mutex<Vec<Arc<Route>>> = Mutex::new(Vec::new());

fn told(route: &Arc<Route>) -> Arc<Told<Route>> {
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    written.push(route.clone());
    let read = |bytes: &[u8]| {
        let place = usize::from_be_bytes(bytes.try_into().ok()?);
        let written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(place).cloned()
    };
    Arc::new(Told::asleep(route.key.clone(), (written.len() - 1).to_be_bytes()[..].into(), read))
}

/// The change that puts a route which sleeps until it is asked for.
pub(crate) fn asleep(route: &Arc<Route>) -> Change {
    Change::Told(Asleep::Route(told(route)))
}

fn key(kind: Kind, name: &str) -> Key {
    Key::new(Source::files(), kind, "shop", name)
}

fn route(name: &str, hosts: &[&str], rule: &str) -> Arc<Route> {
    let rule = Rule {
        name: rule.into(),
        matches: vec![model::route::RankedMatch { rank: Rank::default(), matches: RouteMatch::default() }],
        filters: Vec::new(),
        backends: Vec::new(),
        timeouts: Default::default(),
        retry: None,
        session: None,
    };
    let hosts = hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect();
    Arc::new(Route {
        key: key(Kind::Route, name),
        origin: Origin::new(ObjectRef::new("", "HTTPRoute", "shop", name), ""),
        protocol: RouteProtocol::Http,
        attachments: vec![Attachment { target: Target::Listener(key(Kind::Listener, "edge.http")), hosts }],
        rules: vec![rule],
    })
}

/// Which rule a request for a host takes.
fn taken(table: &Table, host: &str) -> Option<String> {
    let mut head = RequestHead::default();
    head.set_authority(host);
    let decided = table.route(&Entry::Listener(key(Kind::Listener, "edge.http")), &head, &Caller::default());
    decided.ok().map(|decision| decision.rule_name().to_string())
}

fn put(routes: &[&Arc<Told<Route>>]) -> Vec<Change> {
    routes.iter().map(|told| Change::Told(Asleep::Route(Arc::clone(told)))).collect()
}

#[test]
fn a_request_wakes_the_routes_of_its_host_and_no_others() {
    let [a, b, any] = [("a", "a.b"), ("b", "b.b"), ("any", "*.b")].map(|(name, host)| told(&route(name, &[host], name)));
    let table = Table::default().apply(&put(&[&a, &b, &any]));
    let awake = || [&a, &b, &any].map(|told| told.is_awake());
    assert_eq!(awake(), [false; 3], "to be put wakes nobody");
    assert_eq!(table.get(a.key()).map(|held| held.key().clone()).as_ref(), Some(a.key()));
    assert_eq!((table.routes().count(), awake()), (3, [false; 3]), "nor to be shown");
    assert_eq!((taken(&table, "a.b").as_deref(), awake()), (Some("a"), [true, false, false]));
    assert_eq!((taken(&table, "c.b").as_deref(), awake()), (Some("any"), [true, false, true]));
    assert_eq!((taken(&table, "b.b").as_deref(), awake()), (Some("b"), [true; 3]));
}

#[test]
fn what_was_asked_for_is_ready_as_it_changes_and_what_was_not_sleeps_on() {
    let table = Table::default().apply(&[asleep(&route("a", &["a.b"], "one")), asleep(&route("b", &["b.b"], "one"))]);
    assert_eq!(taken(&table, "a.b").as_deref(), Some("one"));
    let [a, b] = ["a", "b"].map(|name| told(&route(name, &[&format!("{name}.b")], "two")));
    let next = table.apply(&put(&[&a, &b]));
    assert_eq!((a.is_awake(), b.is_awake()), (true, false));
    assert_eq!([taken(&next, "a.b"), taken(&next, "b.b"), taken(&table, "a.b")].map(|rule| rule.unwrap()), ["two", "two", "one"]);
    let gone = next.apply(&[Change::Remove(a.key().clone()), asleep(&route("b", &["c.b"], "three"))]);
    assert_eq!([taken(&gone, "a.b"), taken(&gone, "b.b"), taken(&gone, "c.b")], [None, None, Some("three".to_owned())]);
}

#[test]
fn a_host_of_many_routes_is_ready_before_anybody_asks() {
    for (count, ready) in [(limits::ASLEEP_ROUTES, false), (limits::ASLEEP_ROUTES + 1, true)] {
        let routes: Vec<_> = (0..count).map(|i| told(&route(&format!("r{i}"), &["a.b"], "rule"))).collect();
        let table = Table::default().apply(&put(&routes.iter().collect::<Vec<_>>()));
        assert!(routes.iter().all(|told| told.is_awake() == ready), "{count}");
        assert_eq!(taken(&table, "a.b").as_deref(), Some("rule"));
    }
}

#[test]
fn workers_that_ask_at_once_get_the_same_match() {
    for _ in 0..100 {
        let table = Table::default().apply(&[asleep(&route("a", &["a.b"], "one"))]);
        let (table, all) = (&table, &std::sync::Barrier::new(4));
        let ask = || {
            all.wait();
            let mut head = RequestHead::default();
            head.set_authority("a.b");
            let decided = table.route(&Entry::Listener(key(Kind::Listener, "edge.http")), &head, &Caller::default());
            std::ptr::from_ref(decided.unwrap().found) as usize
        };
        let found: Vec<_> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            asked.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(found.iter().all(|place| *place == found[0]));
    }
}

#[test]
fn requests_to_a_service_are_routed_where_a_route_of_requests_hangs_on_that_port() {
    let catalog = key(Kind::Service, "catalog");
    let on = |protocol, port| {
        let target = Target::Service { service: catalog.clone(), port, callers: Some("other".into()) };
        let attachments = vec![Attachment { target, hosts: vec![HostPattern::Any] }];
        Arc::new(Route { protocol, attachments, ..Route::clone(&route("r", &[], "rule")) })
    };
    let said = |protocol, port| Table::default().apply(&[asleep(&on(protocol, port))]).has_requests_routed(&catalog, 80);
    assert_eq!([said(RouteProtocol::Http, Some(80)), said(RouteProtocol::Grpc, None)], [true, true]);
    assert_eq!([said(RouteProtocol::Http, Some(81)), said(RouteProtocol::Tcp, Some(80))], [false, false]);
    assert!(!Table::default().has_requests_routed(&catalog, 80));
}
