use super::*;

/// Of a process of another machine, without a service.
pub(crate) fn request(name: &str) -> RegistrationRequest {
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
fn a_priority_that_is_none_is_refused_and_one_that_is_one_is_taken() {
    let with = |priority: &str| {
        let labels = [(model::Endpoint::PRIORITY_LABEL.to_owned(), priority.to_owned())].into();
        Registry::default().register(RegistrationRequest { labels, ..request("web") }, None, &domain(), 0)
    };
    assert!(with("1").is_ok());
    for wrong in ["first", "256", ""] {
        let refused = with(wrong).err().unwrap_or_else(|| panic!("{wrong:?} is taken"));
        assert!(format!("{refused:?}").contains("0 to 255"), "{refused:?}");
    }
}

fn domain() -> TrustDomain {
    TrustDomain::parse("organza.local").unwrap()
}

fn given(n: usize, until: u64) -> Certified {
    Certified { sha256: identity::pem::fingerprint(&n.to_be_bytes()), until }
}

#[test]
fn who_left_is_not_renewed_as_its_neighbour_and_is_revoked_all_the_same() {
    let web = SpiffeId::new(domain(), "shop", "web").unwrap();
    let mut registry = Registry::default();
    let [stays, goes] = [1, 2].map(|n| {
        let proxy = registry.register(request("web"), None, &domain(), 0).unwrap().proxy;
        registry.certified(&proxy, given(n, 100), 0);
        proxy
    });
    let by = |registry: &Registry, n: usize| registry.renewed(&given(n, 0).sha256, &web, 50).map(|entry| entry.proxy.clone());
    assert_eq!((by(&registry, 1), by(&registry, 2), by(&registry, 3)), (Some(stays.clone()), Some(goes.clone()), None));
    registry.remove(&goes, Vec::new());
    assert_eq!((by(&registry, 1), by(&registry, 2)), (Some(stays.clone()), None));
    // Nor is it where the neighbour has one that nobody noted.
    let entry = Entry { certificates: Vec::new(), certified_until: 100, ..registry.get(&stays).unwrap().clone() };
    let left = registry.left(&goes).cloned();
    let mut upgraded = Registry::load([entry]).with_left(left);
    assert_eq!((by(&upgraded, 1), by(&upgraded, 2)), (Some(stays.clone()), None));
    upgraded.certified(&stays, given(4, 9000), 50);
    assert!(upgraded.revoke(&stays, 50).is_err(), "it has one that is not known");
    assert!(upgraded.revoke(&stays, 101 + limits::CLOCK_SKEW.as_secs()).is_ok());
    // One of this machine that has the name since is another.
    let own = registry.register(request("web-2"), Some(Registrant { pid: 1, started: 1 }), &domain(), 0).unwrap().proxy;
    assert_eq!(own, goes);
    registry.certified(&own, given(5, 100), 0);
    assert_eq!(registry.revoke(&goes, 50).unwrap(), [given(2, 100)]);
    assert!(registry.left(&goes).is_none() && registry.revoke(&goes, 50).is_err());
    registry.remove(&own, Vec::new());
    assert!(registry.left(&own).is_none(), "what it was given ended with it");
}

#[test]
fn who_comes_back_has_what_it_was_given() {
    let web = SpiffeId::new(domain(), "shop", "web").unwrap();
    let mut registry = Registry::default();
    let proxy = registry.register(request("web"), None, &domain(), 0).unwrap().proxy;
    registry.certified(&proxy, given(1, 100), 0);
    registry.remove(&proxy, Vec::new());
    let own = Some(Registrant { pid: 1, started: 1 });
    let again = |registry: &mut Registry, registrant: Option<Registrant>| {
        registry.register_again("web", request("web"), registrant, &domain(), 50).unwrap().unwrap()
    };
    // But nobody has what another's was.
    assert!(again(&mut registry, own).certificates.is_empty());
    assert!(registry.renewed(&given(1, 0).sha256, &web, 50).is_none() && registry.renewed(&given(2, 0).sha256, &web, 50).is_some());
    registry.remove(&proxy, Vec::new());
    assert_eq!(again(&mut registry, None).certificates, [given(1, 100)]);
    assert!(registry.left(&proxy).is_none() && registry.renewed(&given(1, 0).sha256, &web, 50).is_some());
}

#[test]
fn so_many_that_left_are_remembered_and_those_that_end_first_make_room() {
    let mut registry = Registry::default();
    for n in 0..=limits::LEFT {
        let proxy = registry.register(request(&format!("p{n}")), None, &domain(), 0).unwrap().proxy;
        registry.certified(&proxy, given(n, if n == 7 { 100 } else { 200 }), 0);
        registry.remove(&proxy, Vec::new());
    }
    assert_eq!(registry.forget_left(50), ["p7"]);
    assert!(registry.forget_left(200 + limits::CLOCK_SKEW.as_secs()).is_empty());
    assert_eq!(registry.forget_left(201 + limits::CLOCK_SKEW.as_secs()).len(), limits::LEFT);
}

#[test]
fn so_many_certificates_are_given_to_one_and_no_more_until_one_has_ended() {
    let mut registry = Registry::default();
    let proxy = registry.register(request("web"), None, &domain(), 0).unwrap().proxy;
    for n in 0..limits::CERTIFICATES {
        assert!(!registry.is_full(&proxy, 100));
        registry.certified(&proxy, given(n, if n == 0 { 100 } else { 200 }), 0);
    }
    assert!(registry.is_full(&proxy, 100) && !registry.is_full(&proxy, 101) && !registry.is_full("another", 100));
    // Of those that ended so many are remembered.
    (0..3 * limits::CERTIFICATES).for_each(|n| drop(registry.certified(&proxy, given(100 + n, 300), 250).cloned()));
    assert_eq!(registry.get(&proxy).unwrap().certificates.len(), 2 * limits::CERTIFICATES);
}

#[test]
fn so_many_certificates_are_revoked_and_each_until_it_has_ended_by_anybodys_clock() {
    let domain = TrustDomain::parse("organza.local").unwrap();
    let mut registry = Registry::default();
    let own = registry.register(request("own"), Some(Registrant { pid: 1, started: 1 }), &domain, 0).unwrap().proxy;
    registry.certified(&own, given(0, 100), 0);
    assert!(registry.revoke(&own, 0).unwrap_err().what.contains("process of this machine"));
    let new = registry.register(request("new"), None, &domain, 0).unwrap().proxy;
    assert!(registry.revoke(&new, 0).unwrap_err().fix.unwrap().contains("organza ca rotate"), "nobody knows what to revoke");
    assert!(registry.revoke("nobody", 0).is_err());
    // What has ended is none of its certificates any more.
    let skew = limits::CLOCK_SKEW.as_secs();
    registry.certified(&new, given(1, 100), 0);
    registry.certified(&new, given(2, 200), 50);
    registry.certified(&new, given(3, 300), 150 + skew);
    assert_eq!(registry.revoke(&new, 0).unwrap(), [given(2, 200), given(3, 300)]);
    assert_eq!((registry.revoked().count(), registry.is_revoked(&given(1, 0).sha256)), (2, false));
    assert!(registry.forget_revoked(200 + skew).is_empty());
    assert_eq!(registry.forget_revoked(201 + skew), [given(2, 200).sha256]);
    assert_eq!(registry.revoked().collect::<Vec<_>>(), [identity::pem::sha256(&3_usize.to_be_bytes())]);
    for n in 0..limits::REVOKED {
        let proxy = registry.register(request("many"), None, &domain, 0).unwrap().proxy;
        registry.certified(&proxy, given(10 + n, 300), 0);
        assert_eq!(registry.revoke(&proxy, 0).is_ok(), n + 1 < limits::REVOKED, "{n}");
        registry.remove(&proxy, Vec::new());
    }
}
