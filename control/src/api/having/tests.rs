use super::*;
use model::{Kind, ObjectRef, Source};
use std::sync::Arc;
use wire::delta::Encoded;

fn session(current: u64, refused: &[&str]) -> Session {
    let refused = refused.iter().map(|name| ((*name).to_owned(), "why".to_owned())).collect();
    let mut session = Session::default();
    (session.connected, session.current, session.refused) = (true, current, refused);
    session
}

fn group(sessions: &[Session]) -> Group {
    let mut group = Group::default();
    sessions.iter().for_each(|session| group.add(session));
    group.content.sort_unstable();
    group
}

fn key(kind: Kind, name: &str) -> Key {
    Key::new(Source::files(), kind, "shop", name)
}

fn listener(gateway: &str, modified: u64) -> Item {
    let objects = [frontends::Object::new(
        ObjectRef::new("gateway.networking.k8s.io", "Gateway", "shop", gateway),
        "gateway.networking.k8s.io/v1",
        serde_json::json!({"spec": {"gatewayClassName": "organza", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}}),
    )];
    let made = frontends::translate(&objects, &frontends::Options::default());
    let resource = made.resources.into_iter().find(|resource| matches!(resource, Resource::Listener(_))).unwrap();
    Item { encoded: Arc::new(Encoded::new(&resource)), resource, modified }
}

#[test]
fn a_proxy_has_what_came_before_its_generation_and_what_it_did_not_refuse() {
    let item = listener("edge", 5);
    let name = item.encoded.name.to_string();
    let all = group(&[
        session(4, &[]),
        session(5, &[]),
        session(6, &[]),
        session(6, &[&name]),
        session(6, &["another"]),
        session(4, &["another"]),
    ]);
    let having = Having { all, ..Having::default() };
    assert_eq!(having.applied(&World::default(), &[&item]), (3, 6));
    assert_eq!(having.applied(&World::default(), &[]), (6, 6), "what concerns nobody all have");
}

#[test]
fn in_a_cluster_what_a_gateway_serves_is_its_own_proxies_matter() {
    let (edge, other) = (listener("edge", 5), listener("other", 7));
    let of = |name: &str, sessions: &[Session]| (key(Kind::Gateway, name), group(sessions));
    let (first, second) = ([session(5, &[]), session(4, &[])], [session(6, &[]), session(7, &[]), session(8, &[])]);
    let gateways = BTreeMap::from([of("edge", &first), of("other", &second)]);
    let all = group(&[first.as_slice(), second.as_slice()].concat());
    let having = Having { all, gateways: Some(gateways), standing: None };
    let world = World::default();
    assert_eq!(having.applied(&world, &[&edge]), (1, 2));
    assert_eq!(having.applied(&world, &[&other]), (2, 3));
    assert_eq!(having.applied(&world, &[&edge, &other]), (2, 5), "of both together the newer counts");
    assert_eq!(having.applied(&world, &[&listener("nobodys", 1)]), (0, 0));
}

/// Each that comes would make thousands of statuses false, and true again.
#[test]
fn a_gateways_proxy_that_only_begins_does_not_count_yet() {
    let folder = tempfile::tempdir().unwrap();
    let (core, _) = crate::open(&crate::tests::config(folder.path()), Arc::new(crate::store::Memory::default())).unwrap();
    let nobody = kube::Config::new("http://127.0.0.1:9".parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    core.join_cluster(kube::Client::try_from(nobody).unwrap());
    let id = model::SpiffeId::parse("spiffe://organza.local/ns/shop/sa/gateway-edge").unwrap();
    core.lock().registry.admit("a.shop", &id, 0).unwrap();
    let stream = core.connected("a.shop", "0".into(), false);
    let counted = || Having::look(&core).applied(&World::default(), &[&listener("edge", 5)]);
    assert_eq!(counted(), (0, 0));
    let until = until_one_counts(&core).unwrap();
    assert!(!until.is_zero() && until <= Duration::from_secs(limits::JOINING), "{until:?}");
    core.session("a.shop", stream, |session| session.since -= limits::JOINING);
    assert_eq!((counted(), until_one_counts(&core)), ((0, 1), None), "it does not come to it");
    core.session("a.shop", stream, |session| (session.since, session.current) = (session.since + limits::JOINING, 6));
    assert_eq!(counted(), (1, 1));
}

/// Its proxies have yet to come to a control plane that leads anew.
#[tokio::test(start_paused = true)]
async fn what_is_told_of_a_gateway_stands_until_one_of_its_proxies_comes() {
    let folder = tempfile::tempdir().unwrap();
    let (core, _) = crate::open(&crate::tests::config(folder.path()), Arc::new(crate::store::Memory::default())).unwrap();
    let gateway = |generation: u64| {
        let spec = serde_json::json!({"gatewayClassName": "organza", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]});
        let object = ObjectRef::new("gateway.networking.k8s.io", "Gateway", "shop", "edge");
        frontends::Object::new(
            object,
            "gateway.networking.k8s.io/v1",
            serde_json::json!({"metadata": {"generation": generation}, "spec": spec}),
        )
    };
    let read = |generation| core.read(crate::files::Read { objects: vec![gateway(generation)], problems: Vec::new() });
    let told = || {
        let edge = super::super::told::objects(&core, false).items.remove(0);
        edge.conditions.into_iter().find(|condition| condition.kind == "Programmed").map(|condition| condition.status)
    };
    let stands = |generation| core.stand([(gateway(generation).object, generation)].into());
    read(1);
    assert_eq!(told().as_deref(), Some("False"), "who leads from the beginning knows of no others");
    stands(1);
    assert_eq!(told().as_deref(), Some("True"));
    read(2);
    assert_eq!(told().as_deref(), Some("False"), "another one was applied since");
    stands(2);
    tokio::time::advance(limits::RETURN).await;
    assert_eq!(told().as_deref(), Some("False"), "nobody comes");
    stands(2);
    assert_eq!(told().as_deref(), Some("True"));
    core.admit("a.shop", &model::SpiffeId::parse("spiffe://organza.local/ns/shop/sa/gateway-edge").unwrap()).unwrap();
    core.connected("a.shop", "0".into(), false);
    assert_eq!(told().as_deref(), Some("False"), "one has come, and has not got it yet");
}
