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

#[test]
fn so_many_certificates_are_revoked_and_each_until_it_has_ended_by_anybodys_clock() {
    let domain = TrustDomain::parse("organza.local").unwrap();
    let given = |n: usize, until: u64| Certified { sha256: identity::pem::fingerprint(&n.to_be_bytes()), until };
    let mut registry = Registry::default();
    let own = registry.register(request("own"), Some(Registrant { pid: 1, started: 1 }), &domain, 0).unwrap().proxy;
    registry.certified(&own, given(0, 100), 0);
    assert!(registry.revoke(&own).unwrap_err().what.contains("process of this machine"));
    let new = registry.register(request("new"), None, &domain, 0).unwrap().proxy;
    assert!(registry.revoke(&new).unwrap_err().fix.unwrap().contains("organza ca rotate"), "nobody knows what to revoke");
    assert!(registry.revoke("nobody").is_err());
    // What has ended is none of its certificates any more.
    let skew = limits::CLOCK_SKEW.as_secs();
    registry.certified(&new, given(1, 100), 0);
    registry.certified(&new, given(2, 200), 50);
    registry.certified(&new, given(3, 300), 150 + skew);
    assert_eq!(registry.revoke(&new).unwrap(), [given(2, 200), given(3, 300)]);
    assert_eq!((registry.revoked().count(), registry.is_revoked(&given(1, 0).sha256)), (2, false));
    assert!(registry.forget_revoked(200 + skew).is_empty());
    assert_eq!(registry.forget_revoked(201 + skew), [given(2, 200).sha256]);
    assert_eq!(registry.revoked().collect::<Vec<_>>(), [identity::pem::sha256(&3_usize.to_be_bytes())]);
    for n in 0..limits::REVOKED {
        let proxy = registry.register(request("many"), None, &domain, 0).unwrap().proxy;
        registry.certified(&proxy, given(10 + n, 300), 0);
        assert_eq!(registry.revoke(&proxy).is_ok(), n + 1 < limits::REVOKED, "{n}");
        registry.remove(&proxy, Vec::new());
    }
}
