use super::*;
use crate::tests::{key, resources};

/// The endpoints of a service, as a control plane tells them.
fn told(service: &'static str, port: u16) -> Arc<Told<Endpoints>> {
    let all = resources::service(service, &[resources::Place::plain("one", port)]);
    let endpoints = all.into_iter().find(|resource| resource.key().kind == Kind::Endpoints).unwrap();
    let bytes = wire::encode(&endpoints)[..].into();
    match wire::change(endpoints, &bytes) {
        Change::Told(Asleep::Endpoints(told)) => told,
        other => panic!("{other:?}"),
    }
}

fn after(before: &Snapshot, told: &[&Arc<Told<Endpoints>>]) -> Snapshot {
    let changes: Vec<_> = told.iter().map(|told| Change::Told(Asleep::Endpoints(Arc::clone(told)))).collect();
    before.apply(before.generation + 1, &changes, &BTreeMap::new())
}

fn port(snapshot: &Snapshot, service: &str) -> Option<u16> {
    let endpoints = snapshot.endpoints_of(&key(Kind::Service, service))?;
    endpoints.endpoints[0].target_port(resources::HTTP)
}

#[test]
fn endpoints_sleep_until_somebody_calls_and_those_that_were_called_are_ready_as_they_change() {
    let (a, b) = (told("a", 1), told("b", 2));
    let snapshot = after(&Snapshot::default(), &[&a, &b]);
    assert_eq!(snapshot.keys().count(), 2);
    assert_eq!((a.is_awake(), b.is_awake()), (false, false), "to be put or listed wakes nobody");
    assert_eq!((port(&snapshot, "a"), a.is_awake(), b.is_awake()), (Some(1), true, false));
    let (a, b) = (told("a", 3), told("b", 4));
    let next = after(&snapshot, &[&a, &b]);
    assert_eq!((a.is_awake(), b.is_awake()), (true, false));
    assert_eq!([port(&next, "a"), port(&next, "b"), port(&snapshot, "a")], [Some(3), Some(4), Some(1)]);
    let gone = next.apply(9, &[Change::Remove(a.key().clone())], &BTreeMap::new());
    assert_eq!([port(&gone, "a"), port(&gone, "b")], [None, Some(4)]);
}

#[test]
fn who_looks_through_a_namespace_wakes_no_other() {
    let ours = told("a", 1);
    let key = Key::new(model::Source::files(), Kind::Endpoints, "elsewhere", "a");
    let endpoints = Resource::Endpoints(Arc::new(Endpoints { key, endpoints: Vec::new() }));
    let bytes = wire::encode(&endpoints)[..].into();
    let Change::Told(Asleep::Endpoints(theirs)) = wire::change(endpoints, &bytes) else { panic!("sleeps") };
    let snapshot = after(&Snapshot::default(), &[&ours, &theirs]);
    assert_eq!(snapshot.endpoints_in("shop").map(|all| &all.key).collect::<Vec<_>>(), [ours.key()]);
    assert_eq!((ours.is_awake(), theirs.is_awake()), (true, false));
}
