//! Paired sessions: a server and a client over a wire that loses streams and delays messages.

use super::{Applied, ClientSession, Encoded, ServerSession, Unreadable, View};
use crate::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node};
use crate::{SELF, limits};
use model::{Change, Endpoint, Endpoints, Key, Kind, Resource, Source};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

fn endpoints(name: &str, weight: u32) -> Arc<Encoded> {
    let endpoint = Endpoint {
        id: "a".into(),
        workload: None,
        address: [127, 0, 0, 1].into(),
        ports: vec![(80, 8080)],
        datagrams: Vec::new(),
        tunnel: Default::default(),
        identity: None,
        health: Default::default(),
        weight,
        priority: 0,
        locality: Default::default(),
        labels: Default::default(),
        tls: None,
    };
    let key = Key::new(Source::files(), Kind::Endpoints, "shop", name);
    Arc::new(Encoded::new(&Resource::Endpoints(Arc::new(Endpoints { key, endpoints: vec![endpoint] }))))
}

fn view(generation: u64, items: impl IntoIterator<Item = Arc<Encoded>>) -> View {
    View { generation, items: Arc::new(items.into_iter().collect()), answers: BTreeMap::new() }
}

/// What the proxy has in force, kept apart from the session as the table is.
#[derive(Default)]
struct Pair {
    server: ServerSession,
    client: ClientSession,
    up: VecDeque<DeltaDiscoveryRequest>,
    down: VecDeque<DeltaDiscoveryResponse>,
    table: BTreeMap<String, Resource>,
    sent: usize,
}

impl Pair {
    fn new() -> Self {
        let mut pair = Self {
            client: ClientSession::new(Node { id: "p".into(), ..Node::default() }, BTreeMap::new(), BTreeMap::new()),
            ..Self::default()
        };
        pair.client.subscribe(SELF);
        pair.reset();
        pair
    }

    fn reset(&mut self) {
        self.server = ServerSession::new();
        self.client.connected();
        self.up.clear();
        self.down.clear();
    }

    fn resolve(&mut self, world: &View) {
        let mut view = world.clone();
        for name in self.server.subscriptions().iter().filter(|name| name.starts_with("host/")) {
            view.answers.entry(name.clone()).or_insert(None);
        }
        view.answers.retain(|name, _| self.server.subscriptions().contains(name));
        self.server.set_view(view);
    }

    /// One event of the wire: which, is for the draw to say.
    fn turn(&mut self, draw: u8, world: &View) {
        match draw % 4 {
            0 => self.up.extend(self.client.poll()),
            1 => {
                if let Some(request) = self.up.pop_front()
                    && self.server.on_request(request).unwrap().resubscribed
                {
                    self.resolve(world);
                }
            }
            2 => self.down.extend(self.server.poll()),
            _ => {
                if let Some(response) = self.down.pop_front() {
                    self.sent += response.resources.len();
                    if let Some(step) = self.client.on_response(response).unwrap() {
                        step.changes.into_iter().for_each(|change| self.change(change));
                        self.client.applied(Vec::new());
                    }
                }
            }
        }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Put(resource) => _ = self.table.insert(resource.key().to_string(), resource),
            Change::Told(asleep) => _ = self.table.insert(asleep.key().to_string(), asleep.read().unwrap()),
            Change::Remove(key) => _ = self.table.remove(&key.to_string()),
        }
    }

    fn settle(&mut self, world: &View) {
        for turn in 0..400 {
            self.turn(turn as u8, world);
        }
    }

    fn agrees(&self, world: &View) -> bool {
        let want: BTreeMap<_, _> = world.items.items().iter().map(|i| (i.name.to_string(), crate::decode(&i.bytes).unwrap())).collect();
        let held: Vec<_> = self.client.held().iter().map(|(key, version)| (key.to_string(), version.to_string())).collect();
        let versions: Vec<_> = world.items.items().iter().map(|i| (i.name.to_string(), i.version.to_string())).collect();
        want == self.table && held == versions
    }
}

#[derive(Debug, Clone)]
enum Event {
    World(Vec<(u8, u32)>),
    Reset,
    Subscribe(u8),
    Unsubscribe(u8),
    Turn(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => proptest::collection::vec((0..6u8, 1..4u32), 0..6).prop_map(Event::World),
        1 => Just(Event::Reset),
        1 => (0..3u8).prop_map(Event::Subscribe),
        1 => (0..3u8).prop_map(Event::Unsubscribe),
        12 => any::<u8>().prop_map(Event::Turn),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn clients_converge_and_resume_for_nothing(events in proptest::collection::vec(event(), 0..80)) {
        let mut pair = Pair::new();
        let mut world = view(1, []);
        for event in events {
            match event {
                Event::World(items) => {
                    let mut next = view(world.generation + 1, items.iter().map(|(n, w)| endpoints(&format!("e{n}"), *w)));
                    // Host `hN` is answered by `eN`, or by nothing.
                    for n in 0..3 {
                        let name: Arc<str> = format!("files/endpoints/shop/e{n}").into();
                        let answer = next.items.get(&name).is_some().then_some(name);
                        next.answers.insert(crate::host_subscription("shop", &format!("h{n}")).into(), answer);
                    }
                    world = next;
                    pair.resolve(&world);
                }
                Event::Reset => pair.reset(),
                Event::Subscribe(n) => _ = pair.client.subscribe(&crate::host_subscription("shop", &format!("h{n}"))),
                Event::Unsubscribe(n) => pair.client.unsubscribe(&crate::host_subscription("shop", &format!("h{n}"))),
                Event::Turn(draw) => pair.turn(draw, &world),
            }
        }
        pair.settle(&world);
        prop_assert!(pair.agrees(&world), "{:?} is not {:?}", pair.table.keys(), world.items.names().collect::<Vec<_>>());
        prop_assert_eq!(pair.server.acknowledged(), Some(world.generation));
        for name in pair.client.subscriptions().iter().filter(|name| name.starts_with("host/")) {
            let want = world.answers.get(name).cloned().flatten();
            let got = pair.client.answers().get(name).map(|key| key.as_ref().map(|key| Arc::from(key.to_string())));
            prop_assert_eq!(got, Some(want), "{}", name);
        }
        prop_assert!(pair.client.answers().keys().all(|name| pair.client.subscriptions().contains(name)), "what is not asked is not kept");
        let before = pair.sent;
        pair.reset();
        pair.settle(&world);
        prop_assert_eq!(pair.sent, before, "a resumed session sends nothing that is held");
        prop_assert_eq!(pair.server.acknowledged(), Some(world.generation));
    }
}

#[test]
fn large_steps_come_in_parts_and_are_given_out_whole() {
    let mut pair = Pair::new();
    let world = view(9, (0..limits::PART_RESOURCES + 1).map(|n| endpoints(&format!("e{n}"), 1)));
    pair.up.extend(pair.client.poll());
    pair.turn(1, &world);
    let first = pair.server.poll().unwrap();
    assert_eq!((first.system_version_info.as_str(), first.resources.len()), ("9+", limits::PART_RESOURCES));
    assert!(pair.server.poll().is_none(), "one response is in flight");
    assert_eq!(pair.client.on_response(first).unwrap(), None);
    let heard = pair.server.on_request(pair.client.poll().unwrap()).unwrap();
    assert_eq!(heard.acknowledged, None, "a part is no generation");
    let last = pair.server.poll().unwrap();
    assert_eq!((last.system_version_info.as_str(), last.resources.len()), ("9", 1));
    let step = pair.client.on_response(last).unwrap().unwrap();
    assert_eq!(step.changes.len(), limits::PART_RESOURCES + 1);
    assert!(pair.client.poll().is_none(), "no acknowledgement before the step is in force");
    pair.client.applied(Vec::new());
    assert_eq!(pair.server.on_request(pair.client.poll().unwrap()).unwrap().acknowledged, Some(9));
}

#[test]
fn bad_resources_are_refused_by_key_and_good_ones_taken() {
    let mut pair = Pair::new();
    let good = endpoints("good", 1);
    let bad = Arc::new(Encoded { bytes: endpoints("bad", model::limits::WEIGHT + 1).bytes.clone(), ..(*endpoints("bad", 1)).clone() });
    let world = view(3, [good, bad]);
    pair.up.extend(pair.client.poll());
    pair.turn(1, &world);
    let step = pair.client.on_response(pair.server.poll().unwrap()).unwrap().unwrap();
    assert_eq!(step.changes.len(), 1);
    pair.client.applied(Vec::new());
    let nack = pair.client.poll().unwrap();
    assert!(nack.error_detail.as_ref().unwrap().message.contains("files/endpoints/shop/bad: endpoints[0].weight: is over"));
    let heard = pair.server.on_request(nack).unwrap();
    assert_eq!(heard.refused[0].0, "files/endpoints/shop/bad");
    assert_eq!(heard.acknowledged, Some(3));
    assert_eq!(pair.server.held().map(|(name, _)| name).collect::<Vec<_>>(), ["files/endpoints/shop/good"]);
    pair.resolve(&world);
    assert!(pair.server.poll().is_none(), "what was refused is not sent again until it changes");
}

/// What is written by another release: fields that are not known, kinds, and words of what guards. The rest of the step is in force, and all is told.
#[test]
fn a_step_of_a_later_release_is_in_force_as_far_as_it_is_understood() {
    use crate::v1;
    use prost::Message;
    let mut pair = Pair::new();
    let later =
        |name: &str, bytes: Vec<u8>| Arc::new(Encoded { name: name.into(), version: crate::version(&bytes).into(), bytes: bytes.into() });
    // Field 2000, a number.
    let with_more = [&endpoints("a", 1).bytes[..], &[0x80, 0x7d, 0x07]].concat();
    let no_kind = vec![0xa2, 0x38, 0x00];
    let policy = v1::AccessPolicy {
        key: "files/access/shop/p".into(),
        origin: Some(v1::Origin::default()),
        tier: v1::AccessTier::Namespace as i32,
        action: 77,
        enforcement: v1::AccessEnforcement::Enforce as i32,
        ..v1::AccessPolicy::default()
    };
    let guard = v1::Resource { resource: Some(v1::resource::Resource::Access(policy)) }.encode_to_vec();
    let items = [("files/endpoints/shop/a", with_more), ("files/later/shop/x", no_kind), ("files/access/shop/p", guard)];
    let world = view(3, items.into_iter().map(|(name, bytes)| later(name, bytes)));
    pair.up.extend(pair.client.poll());
    pair.turn(1, &world);
    let step = pair.client.on_response(pair.server.poll().unwrap()).unwrap().unwrap();
    let names = |all: &[Unreadable]| all.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (step.changes.len(), names(&step.unreadable), names(&step.strict)),
        (2, vec!["files/later/shop/x".into()], vec!["files/access/shop/p".into()])
    );
    let denies = |change: &Change| matches!(change, Change::Put(Resource::Access(policy)) if policy.action == model::access::Action::Deny);
    assert!(step.changes.iter().any(denies), "{:?}", step.changes);
    pair.client.applied(Vec::new());
    assert_eq!(pair.client.held().len(), 2, "what is in force is held, however it was read");
    let heard = pair.server.on_request(pair.client.poll().unwrap()).unwrap();
    let told: BTreeMap<_, _> = heard.refused.into_iter().collect();
    assert!(told["files/later/shop/x"].contains("a kind of resource that this release does not know"), "{told:?}");
    assert!(told["files/access/shop/p"].contains("read as Deny"), "{told:?}");
    assert_eq!(heard.acknowledged, Some(3));
    // It is not sent again by a control plane that knows what is held.
    pair.settle(&world);
    let before = pair.sent;
    pair.reset();
    pair.settle(&world);
    assert_eq!(pair.sent - before, 1, "the kind that is not known, once a stream");
}

#[test]
fn a_stream_that_breaks_within_a_step_leaves_what_was_in_force() {
    let mut pair = Pair::new();
    let large = view(9, (0..limits::PART_RESOURCES + 1).map(|n| endpoints(&format!("e{n}"), 1)));
    pair.up.extend(pair.client.poll());
    pair.turn(1, &large);
    assert_eq!(pair.client.on_response(pair.server.poll().unwrap()).unwrap(), None);
    // The other replica knows a newer world, without what was staged.
    pair.reset();
    let small = view(10, [endpoints("only", 2)]);
    pair.settle(&small);
    assert!(pair.agrees(&small), "{:?}", pair.table.keys());
}

#[test]
fn what_could_not_be_used_is_not_held_and_the_last_good_one_stays() {
    let mut pair = Pair::new();
    pair.settle(&view(1, [endpoints("a", 1)]));
    let (key, good) = pair.client.held().iter().next().map(|(key, version)| (key.clone(), version.clone())).unwrap();
    let name = key.to_string();
    let world = view(2, [endpoints("a", 2), endpoints("b", 1)]);
    pair.resolve(&world);
    let step = pair.client.on_response(pair.server.poll().unwrap()).unwrap().unwrap();
    assert_eq!(step.changes.len(), 2);
    pair.client.applied(vec![Unreadable { name: name.clone(), reason: "leads nowhere".into() }]);
    let held: Vec<_> = pair.client.held().keys().map(ToString::to_string).collect();
    assert_eq!(held, ["files/endpoints/shop/a", "files/endpoints/shop/b"]);
    assert_eq!(pair.client.held()[&key], good, "the last good version stays in force");
    let heard = pair.server.on_request(pair.client.poll().unwrap()).unwrap();
    assert_eq!((heard.refused, heard.acknowledged), (vec![(name, "leads nowhere".to_owned())], Some(2)));
    // A stream that is opened anew asks for what was refused, since what is held is older.
    pair.reset();
    let hello = pair.client.poll().unwrap();
    assert_eq!(hello.initial_resource_versions["files/endpoints/shop/a"], good.to_string());
}

#[test]
fn what_is_held_is_what_is_in_force_though_a_response_contradicts_itself() {
    let mut pair = Pair::new();
    pair.settle(&view(1, [endpoints("a", 1)]));
    // The same version with other bytes; and the same name twice, first anew and then as it is held.
    let first = endpoints("a", 1);
    let applied = Applied { version: (&*first.version).into(), bytes: first.bytes[..].into() };
    let mut bytes = BTreeMap::from([(Key::parse(&first.name).unwrap(), applied)]);
    for names in [["a1", "a1-forged"], ["a2", "a1"]] {
        let resource = |kind: &str| {
            let of = endpoints("a", if kind == "a1" { 1 } else { 2 });
            let version = if kind == "a2" { of.version.to_string() } else { endpoints("a", 1).version.to_string() };
            let resource = Some(crate::discovery::Any { type_url: crate::TYPE_URL.into(), value: of.bytes.clone() });
            crate::discovery::Resource { name: of.name.to_string(), version, resource, aliases: Vec::new() }
        };
        let response = DeltaDiscoveryResponse {
            type_url: crate::TYPE_URL.into(),
            system_version_info: "2".into(),
            resources: names.map(resource).to_vec(),
            ..DeltaDiscoveryResponse::default()
        };
        let step = pair.client.on_response(response).unwrap().unwrap();
        step.changes.into_iter().for_each(|change| pair.change(change));
        bytes.extend(pair.client.applied(Vec::new()));
        pair.client.poll();
        for (key, version) in pair.client.held() {
            let Applied { version: of, bytes } = &bytes[key];
            assert_eq!((of, pair.table.get(&key.to_string())), (version, crate::decode(bytes).ok().as_ref()), "{names:?}");
        }
    }
}

#[test]
fn what_somebody_lost_is_asked_for_again_and_what_is_gone_is_told_all_the_same() {
    let mut pair = Pair::new();
    pair.settle(&view(1, [endpoints("a", 1), endpoints("b", 1)]));
    pair.client.ask_again();
    assert_eq!(pair.client.held().len(), 2, "it is in force all the while");
    pair.reset();
    let hello = pair.client.poll().unwrap();
    assert_eq!(hello.initial_resource_versions["files/endpoints/shop/b"], "");
    pair.server.on_request(hello).unwrap();
    pair.resolve(&view(2, [endpoints("b", 1)]));
    let step = pair.client.on_response(pair.server.poll().unwrap()).unwrap().unwrap();
    assert!(step.changes.iter().any(|change| matches!(change, Change::Remove(key) if &*key.name == "a")), "{step:?}");
    let fresh = pair.client.applied(Vec::new());
    assert_eq!(fresh.keys().map(ToString::to_string).collect::<Vec<_>>(), ["files/endpoints/shop/b"]);
    assert_eq!(fresh.values().next().unwrap().bytes[..], endpoints("b", 1).bytes);
    assert_eq!(pair.client.held().values().map(ToString::to_string).collect::<Vec<_>>(), [endpoints("b", 1).version.to_string()]);
}

/// A later release's kind of resource: the field of the message is not known here, nor is the word in its key.
fn of_a_later_kind(version: &str) -> Arc<Encoded> {
    let bytes = [&[0xa2, 0x38, 3][..], b"new"].concat();
    Arc::new(Encoded { name: "files/widget/shop/dial".into(), version: version.into(), bytes: bytes.into() })
}

#[test]
fn a_kind_of_a_later_release_is_refused_alone_and_never_in_the_way() {
    let mut pair = Pair::new();
    pair.settle(&view(1, [endpoints("a", 1), of_a_later_kind("1"), endpoints("b", 1)]));
    assert_eq!(pair.table.len(), 2);
    let refused: Vec<_> = pair.server.refused().iter().map(|(key, why)| (key.as_str(), why.as_str())).collect();
    assert_eq!(refused, [("files/widget/shop/dial", "a kind of resource that this release does not know")]);
    // What changes beside it is in force; so is what changes after it went.
    pair.resolve(&view(2, [endpoints("a", 2), of_a_later_kind("2"), endpoints("b", 1)]));
    pair.settle(&view(2, [endpoints("a", 2), of_a_later_kind("2"), endpoints("b", 1)]));
    assert_eq!(pair.server.acknowledged(), Some(2));
    let last = view(3, [endpoints("a", 3), endpoints("b", 1)]);
    pair.resolve(&last);
    pair.settle(&last);
    assert!(pair.agrees(&last));
    assert!(pair.server.refused().is_empty());
}

#[test]
fn who_leaves_says_so_and_is_heard_only_where_that_is_known() {
    let mut pair = Pair::new();
    pair.settle(&view(1, [endpoints("a", 1)]));
    assert!(!pair.server.is_leaving() && pair.client.knows_leaving());
    pair.client.leave();
    pair.client.leave();
    pair.reset();
    pair.settle(&view(1, [endpoints("a", 1)]));
    assert!(pair.server.is_leaving());
    // A control plane of before names itself in no response.
    let request = pair.client.poll();
    assert_eq!(request, None);
    let mut response = DeltaDiscoveryResponse { type_url: crate::TYPE_URL.into(), system_version_info: "2".into(), ..Default::default() };
    pair.client.on_response(response.clone()).unwrap();
    assert!(!pair.client.knows_leaving());
    pair.client.applied(Vec::new());
    pair.client.poll();
    response.control_plane = Some(crate::discovery::ControlPlane { identifier: "another".into() });
    pair.client.on_response(response).unwrap();
    assert!(!pair.client.knows_leaving());
}

#[test]
fn a_first_request_of_a_later_release_is_understood() {
    use prost::Message;
    let node =
        Node { id: "p".into(), user_agent_version: "9.0.0".into(), client_features: vec!["organza.later".into()], ..Node::default() };
    let request = DeltaDiscoveryRequest { node: Some(node), type_url: crate::TYPE_URL.into(), ..Default::default() };
    let mut bytes = request.encode_to_vec();
    bytes.extend_from_slice(&[0x80, 0x7d, 0x07]);
    let mut server = ServerSession::new();
    server.on_request(DeltaDiscoveryRequest::decode(&*bytes).unwrap()).unwrap();
    assert_eq!((server.node(), server.release(), server.is_leaving()), (Some("p"), "9.0.0", false));
}

/// A server that was greeted with this.
fn greeted(change: impl FnOnce(&mut DeltaDiscoveryRequest)) -> Result<ServerSession, super::Breach> {
    let mut client = ClientSession::new(Node { id: "p".into(), ..Node::default() }, BTreeMap::new(), BTreeMap::new());
    client.subscribe(SELF);
    client.connected();
    let mut request = client.poll().unwrap();
    change(&mut request);
    let mut server = ServerSession::new();
    server.on_request(request).map(|_| server)
}

#[test]
fn names_subscriptions_and_resources_of_a_proxy_are_so_many_and_no_more() {
    use super::Breach;
    let name = |bytes: usize| greeted(|request| request.resource_names_subscribe = vec!["x".repeat(bytes)]).map(|_| ());
    assert_eq!((name(limits::NAME_BYTES), name(limits::NAME_BYTES + 1)), (Ok(()), Err(Breach::Name)));
    let many = |count: usize| greeted(|request| request.resource_names_subscribe = (0..count).map(|n| n.to_string()).collect()).map(|_| ());
    assert_eq!((many(limits::SUBSCRIPTIONS), many(limits::SUBSCRIPTIONS + 1)), (Ok(()), Err(Breach::Subscriptions)));
    let held =
        |count: usize| greeted(|r| r.initial_resource_versions = (0..count).map(|n| (n.to_string(), String::new())).collect()).map(|_| ());
    assert_eq!((held(limits::RESOURCES), held(limits::RESOURCES + 1)), (Ok(()), Err(Breach::Resources)));
    // The proxy's own end asks for no more, and takes no more.
    let mut client = ClientSession::default();
    assert!((0..limits::SUBSCRIPTIONS).all(|n| client.subscribe(&n.to_string())) && !client.subscribe("one more"));
    assert!(!ClientSession::default().subscribe(&"x".repeat(limits::NAME_BYTES + 1)));
}

#[test]
fn features_of_a_node_are_looked_at_up_to_a_number() {
    let leaves = |before: usize| {
        let features = (0..before).map(|n| n.to_string()).chain([super::LEAVING.to_owned()]).collect();
        greeted(|request| request.node.as_mut().unwrap().client_features = features).unwrap().is_leaving()
    };
    assert_eq!((leaves(limits::FEATURES - 1), leaves(limits::FEATURES)), (true, false));
}

#[test]
fn a_proxy_says_which_kinds_that_guard_it_knows_and_who_says_nothing_knows_none() {
    let lacks = |change: fn(&mut DeltaDiscoveryRequest)| greeted(change).unwrap().lacks().to_vec();
    assert_eq!(lacks(|_| {}), []);
    assert_eq!(lacks(|request| request.node.as_mut().unwrap().client_features.clear()), super::GUARDS);
    assert_eq!(lacks(|request| request.node.as_mut().unwrap().client_features = vec!["organza.leaving".into()]), super::GUARDS);
    assert_eq!((lacks(|request| request.node = None), ServerSession::new().lacks()), (super::GUARDS.to_vec(), &super::GUARDS[..]));
}

#[test]
fn a_step_is_of_so_many_bytes_in_parts_of_so_many() {
    use super::Breach;
    use crate::discovery::{Any, Resource as Carried};
    // As bytes go: what they mean is not looked at here.
    let large = |name: &str, bytes: usize| Arc::new(Encoded { name: name.into(), version: "1".into(), bytes: vec![0; bytes].into() });
    let mut server = greeted(|_| {}).unwrap();
    server.set_view(view(1, ["a", "b", "c"].map(|name| large(name, limits::PART_BYTES / 2))));
    let first = server.poll().unwrap();
    assert_eq!((first.resources.len(), first.system_version_info.as_str()), (1, "1+"), "two halves and their names are more than a part");
    let response = |bytes: usize| {
        let value = Any { type_url: String::new(), value: vec![0; bytes].into() };
        let one = Carried { name: "a".into(), version: "1".into(), resource: Some(value), aliases: Vec::new() };
        DeltaDiscoveryResponse {
            type_url: crate::TYPE_URL.into(),
            system_version_info: "1+".into(),
            resources: vec![one; 2],
            ..Default::default()
        }
    };
    let take = |bytes: usize| ClientSession::default().on_response(response(bytes)).map(|_| ());
    assert_eq!((take(limits::STEP_BYTES / 2), take(limits::STEP_BYTES / 2 + 1)), (Ok(()), Err(Breach::Step)));
    let many = (0..limits::RESOURCES + 1).map(|n| Carried { name: n.to_string(), ..Carried::default() }).collect();
    let many = DeltaDiscoveryResponse { resources: many, ..response(0) };
    assert_eq!(ClientSession::default().on_response(many), Err(Breach::Resources));
    let long = |bytes: usize| "x".repeat(bytes);
    let named = |name: String, version: String| {
        let resources = vec![Carried { name, version, ..Carried::default() }];
        ClientSession::default().on_response(DeltaDiscoveryResponse { resources, ..response(0) }).map(|_| ())
    };
    let most = limits::NAME_BYTES;
    assert_eq!((named(long(most), "1".into()), named(long(most + 1), "1".into())), (Ok(()), Err(Breach::Name)));
    assert_eq!((named("a".into(), long(most)), named("a".into(), long(most + 1))), (Ok(()), Err(Breach::Name)));
}

#[test]
fn refusals_are_spelt_out_up_to_a_number_and_read_up_to_it() {
    use crate::discovery::Resource as Carried;
    let many = (0..limits::REFUSALS + 5).map(|n| Carried { name: format!("r{n:04}"), ..Carried::default() }).collect();
    let response =
        DeltaDiscoveryResponse { type_url: crate::TYPE_URL.into(), system_version_info: "1".into(), resources: many, ..Default::default() };
    let mut client = ClientSession::default();
    client.on_response(response).unwrap();
    client.applied(Vec::new());
    let mut error = client.poll().unwrap().error_detail.unwrap();
    assert_eq!(error.details.len(), limits::REFUSALS);
    assert!(error.message.contains(&format!("and {} more", limits::REFUSALS + 5 - 8)), "{}", error.message);
    error.details.extend(error.details.clone());
    let mut pair = Pair::new();
    pair.up.extend(pair.client.poll());
    let world = view(1, [endpoints("a", 1)]);
    pair.turn(1, &world);
    let nonce = pair.server.poll().unwrap().nonce;
    let request =
        DeltaDiscoveryRequest { type_url: crate::TYPE_URL.into(), response_nonce: nonce, error_detail: Some(error), ..Default::default() };
    assert_eq!(pair.server.on_request(request).unwrap().refused.len(), limits::REFUSALS);
}

/// A proxy with ten thousand services would hold all of them both ways otherwise.
#[test]
fn what_a_step_brings_much_of_is_given_out_asleep() {
    let mut pair = Pair::new();
    let world = view(1, [endpoints("a", 1), endpoints("b", 1)]);
    pair.up.extend(pair.client.poll());
    pair.turn(1, &world);
    let step = pair.client.on_response(pair.server.poll().unwrap()).unwrap().unwrap();
    assert_eq!(step.changes.len(), 2);
    for change in &step.changes {
        assert!(matches!(change, Change::Told(model::Asleep::Endpoints(told)) if !told.is_awake()), "{change:?}");
    }
}
