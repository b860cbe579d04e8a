use super::*;

fn request(name: &str) -> RegistrationRequest {
    RegistrationRequest {
        name: name.into(),
        namespace: "shop".into(),
        service_account: "web".into(),
        service: None,
        ports: Vec::new(),
        protocol: None,
        labels: BTreeMap::new(),
        addresses: Vec::new(),
    }
}

#[test]
fn so_many_processes_are_registered_and_so_many_remembered_that_left() {
    let domain = TrustDomain::parse("organza.local").unwrap();
    let mut registry = Registry::default();
    (0..limits::REGISTRATIONS).for_each(|i| drop(registry.register(request(&format!("p{i}")), None, &domain, 0).unwrap()));
    assert!(registry.register(request("late"), None, &domain, 0).is_err());
    let identity = SpiffeId::new(domain.clone(), "shop", "web").unwrap();
    assert!(registry.admit("late", &identity, 0).is_err());
    assert!(registry.admit("p7", &identity, 0).is_ok(), "one that is known");
    (0..=limits::DEPARTED).for_each(|i| drop(registry.remove(&format!("p{i}"), Vec::new()).unwrap()));
    assert!(registry.departed("p0", &identity).is_none() && registry.departed("p1", &identity).is_some());
    assert!(registry.admit("late", &identity, 0).is_ok());
}

#[test]
fn a_process_has_so_many_labels_and_no_more() {
    let domain = TrustDomain::parse("organza.local").unwrap();
    let labelled = |count: usize| {
        let labels = (0..count).map(|i| (format!("l{i}"), String::new())).collect();
        Registry::default().register(RegistrationRequest { labels, ..request("web") }, None, &domain, 0).is_ok()
    };
    assert!(labelled(limits::LABELS) && !labelled(limits::LABELS + 1));
}
