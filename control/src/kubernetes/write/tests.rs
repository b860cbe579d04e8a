use super::*;

fn gateway(addresses: &[&str]) -> Object {
    let api = "gateway.networking.k8s.io/v1";
    let addresses: Vec<Value> = addresses.iter().map(|value| json!({ "value": value })).collect();
    let value =
        json!({"apiVersion": api, "kind": "Gateway", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"addresses": addresses}});
    Object::new(ObjectRef::new("gateway.networking.k8s.io", "Gateway", "shop", "web"), api, value)
}

/// Reason of Programmed for a Gateway whose proxies say `(status, reason)`, that asks for some addresses and was given others.
fn programmed(says: (&str, &str), asks: &[&str], given: &[&str]) -> String {
    let condition = |kind: &str, (status, reason): (&str, &str)| Condition {
        kind: kind.into(),
        status: status.into(),
        reason: reason.into(),
        message: String::new(),
    };
    let told = api::Object {
        group: String::new(),
        kind: "Gateway".into(),
        namespace: String::new(),
        name: "web".into(),
        place: String::new(),
        labels: BTreeMap::new(),
        manifest: None,
        conditions: vec![condition("Accepted", ("True", "Accepted")), condition("Programmed", says)],
        parents: Vec::new(),
        listeners: Vec::new(),
        applied: 0,
        concerned: 0,
    };
    let ingress: Vec<Value> = given.iter().map(|value| json!({ "ip": value })).collect();
    let gateway = gateway(asks);
    let assigned = addresses::assigned(&gateway, &json!({"type": "LoadBalancer"}), &json!({"loadBalancer": {"ingress": ingress}}));
    assert_eq!(addressed(&told, &gateway, &assigned, true).conditions[2].kind, "AddressesAssigned");
    let told = addressed(&told, &gateway, &assigned, false);
    assert_eq!(told.conditions.len(), 2, "what the release does not know is not said");
    assert_eq!(told.conditions[0].status, "True", "what is asked for is another matter than whether it can be had");
    format!("{} {}", told.conditions[1].status, told.conditions[1].reason)
}

#[test]
fn who_is_not_reached_where_it_asks_to_be_is_not_programmed() {
    let done = ("True", "Programmed");
    assert_eq!(programmed(done, &[], &["192.0.2.1"]), "True Programmed");
    assert_eq!(programmed(done, &["192.0.2.1"], &["192.0.2.1"]), "True Programmed");
    assert_eq!(programmed(done, &[], &[]), "False AddressNotAssigned");
    // What cannot be had is said at once: an address may never come.
    assert_eq!(programmed(done, &["192.0.2.9"], &[]), "False AddressNotUsable");
    assert_eq!(programmed(done, &["192.0.2.1", "192.0.2.9"], &["192.0.2.1"]), "False AddressNotUsable");
    assert_eq!(programmed(("False", "Pending"), &["192.0.2.9"], &[]), "False AddressNotUsable");
    assert_eq!(programmed(("False", "Invalid"), &["192.0.2.9"], &[]), "False Invalid", "a worse fault goes before");
}

fn kept(value: &Value, status: &Value, version: &str) -> Kept {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (kind, name, api) = (text(&value["kind"]), text(&value["metadata"]["name"]), text(&value["apiVersion"]));
    let object = Object::new(ObjectRef::new("gateway.networking.k8s.io", &kind, "shop", &name), &api, value.clone());
    Kept { object, status: status.to_string().into(), uid: name, version: version.into(), ending: false, held: false }
}

/// What the API server makes of a status that is written, and of nothing.
fn hear(shared: &Shared, kind: &str, value: &Value, status: &Value, version: &str) {
    let name = KindName { group: "gateway.networking.k8s.io".into(), kind: kind.into() };
    shared.hear(&name, super::super::News::Is(Box::new(kept(value, status, version))));
}

#[tokio::test]
async fn what_stands_as_it_should_is_looked_at_again_when_something_of_it_changed() {
    let api = "gateway.networking.k8s.io/v1";
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    let gateway = json!({"apiVersion": api, "kind": "Gateway", "metadata": {"name": "web", "namespace": "shop", "generation": 1},
        "spec": {"gatewayClassName": "organza", "listeners": listeners}});
    let route = |generation: u64| {
        json!({"apiVersion": api, "kind": "HTTPRoute", "metadata": {"name": "one", "namespace": "shop", "generation": generation},
        "spec": {"parentRefs": [{"name": "web"}]}})
    };
    let folder = tempfile::tempdir().unwrap();
    let (core, _) = crate::open(&crate::tests::config(folder.path()), Arc::new(crate::store::Memory::default())).unwrap();
    let nobody = tower::service_fn(|_: http::Request<kube::client::Body>| {
        std::future::pending::<Result<http::Response<kube::client::Body>, std::convert::Infallible>>()
    });
    let cluster = Cluster {
        client: kube::Client::new(nobody, "organza"),
        namespace: "organza".into(),
        replica: "me".into(),
        deployment: None,
        webhook: None,
    };
    let (shared, mut written) = (Shared::new(), Written::default());
    let served = ["Gateway", "HTTPRoute"].map(|kind| discover::Served {
        name: KindName { group: "gateway.networking.k8s.io".into(), kind: kind.into() },
        resource: ApiResource {
            group: "gateway.networking.k8s.io".into(),
            version: "v1".into(),
            api_version: api.into(),
            kind: kind.into(),
            plural: format!("{}s", kind.to_lowercase()),
        },
        namespaced: true,
    });
    lock(&shared.cache).serve(&served.iter().map(|one| one.name.clone()).collect::<Vec<_>>());
    lock(&shared.found).kinds = served.into();
    let read = |generation: u64, status: &Value, version: &str| {
        hear(&shared, "Gateway", &gateway, &Value::Null, "1");
        hear(&shared, "HTTPRoute", &route(generation), status, version);
        core.read(crate::files::Read { objects: lock(&shared.cache).objects(), problems: Vec::new() });
    };
    let due = |written: &mut Written| {
        let world = core.world();
        let round = Round::new(&cluster, &shared, &core, &world);
        round.forget(written);
        let jobs: Vec<Job> = world.objects.iter().filter_map(|object| round.job(object, written)).collect();
        jobs.into_iter().find(|job| &*job.object.kind == "HTTPRoute").map(|job| job.status)
    };
    read(1, &Value::Null, "1");
    let first = due(&mut written).expect("nothing stands there");
    assert!(written.settled.is_empty());
    read(1, &first, "2");
    assert_eq!(due(&mut written), None);
    assert_eq!(written.settled.len(), 1);
    assert_eq!(due(&mut written), None, "nothing changed");
    // Somebody else wrote over it: the same world, and another version.
    read(1, &json!({"parents": []}), "3");
    assert_eq!(due(&mut written).as_ref(), Some(&first));
    read(1, &first, "4");
    assert_eq!(due(&mut written), None);
    // It was edited, which says nothing else but of which edit it is.
    read(2, &first, "5");
    let second = due(&mut written).expect("it is of another edit");
    assert_eq!(second["parents"][0]["conditions"][0]["observedGeneration"], 2);
    read(2, &second, "6");
    assert_eq!(due(&mut written), None);
    // A proxy comes, who has not all of it yet.
    let request = wire::api::RegistrationRequest {
        name: "a".into(),
        namespace: "shop".into(),
        service_account: "a".into(),
        service: None,
        ports: Vec::new(),
        protocol: None,
        labels: BTreeMap::new(),
        addresses: Vec::new(),
    };
    let proxy = core.register(request.clone(), None).unwrap().proxy;
    let stream = core.connected(&proxy, "0".into(), false);
    let third = due(&mut written).expect("one more is concerned");
    assert!(third.to_string().contains("applied by 0 of 1 proxies"), "{third}");
    read(2, &third, "7");
    core.session(&proxy, stream, |session| session.current = u64::MAX);
    let fourth = due(&mut written).expect("it has all of it");
    assert!(fourth.to_string().contains("applied by 1 of 1 proxies"), "{fourth}");
    read(2, &fourth, "8");
    assert_eq!(due(&mut written), None);
    // That there is one more that has all of it is no hurry.
    let another = core.register(wire::api::RegistrationRequest { name: "b".into(), ..request.clone() }, None).unwrap().proxy;
    let stream = core.connected(&another, "0".into(), false);
    core.session(&another, stream, |session| session.current = u64::MAX);
    assert_eq!(due(&mut written), None);
    written.settled.values_mut().for_each(|settled| settled.at = settled.at.checked_sub(limits::APPLY_AGAIN).unwrap());
    let fifth = due(&mut written).expect("it is told in the end");
    assert!(fifth.to_string().contains("applied by 2 of 2 proxies"), "{fifth}");
    read(2, &fifth, "9");
    assert_eq!(due(&mut written), None);
    // That one of three has not all of it is said at once, and how many have.
    let late = core.register(wire::api::RegistrationRequest { name: "c".into(), ..request }, None).unwrap().proxy;
    core.connected(&late, "0".into(), false);
    let sixth = due(&mut written).expect("it is not everywhere");
    let conditions = sixth["parents"][0]["conditions"].as_array().unwrap();
    let applied = conditions.iter().find(|condition| condition["type"] == "organza.dev/Applied").unwrap();
    assert_eq!((&applied["status"], &applied["message"]), (&json!("False"), &json!("applied by 2 of 3 proxies")));
    // A status that somebody lost says it again, and no proxy is asked for that. Its times are of now.
    read(2, &json!({"parents": []}), "10");
    let seventh = due(&mut written).expect("it says it again");
    let [seventh, sixth] = [seventh, sixth].map(|mut status| {
        let conditions = status["parents"][0]["conditions"].as_array_mut().unwrap();
        conditions.iter_mut().for_each(|condition| condition["lastTransitionTime"] = Value::Null);
        status
    });
    assert_eq!(seventh, sixth);
}
