//! Listeners of a gateway, as they cross.

use super::*;

#[test]
fn what_clients_must_show_is_read_back_and_never_taken_for_nothing() {
    let roots: Arc<[u8]> = b"PEM"[..].into();
    for clients in [ClientCertificates::Unasked, ClientCertificates::Required(roots.clone()), ClientCertificates::Insecure(roots)] {
        let tls = Some(ListenerTls { certificates: Vec::new(), clients });
        let sample = Resource::Listener(Arc::new(Listener { tls, ..listener() }));
        assert_eq!(decode(&encode(&sample)).unwrap(), sample);
    }
    let mut message = v1::Resource::decode(&*encode(&Resource::Listener(Arc::new(listener())))).unwrap();
    let Some(v1::resource::Resource::Listener(door)) = &mut message.resource else { panic!("not a listener") };
    door.tls.as_mut().unwrap().clients = Some(v1::ClientCertificates { clients: None });
    assert!(decode(&message.encode_to_vec()).unwrap_err().to_string().contains("tls.clients"));
}

#[test]
fn what_holds_before_a_byte_is_read_crosses_and_a_bad_block_is_named() {
    let trusted = vec![Cidr::parse("10.0.0.0/8").unwrap(), Cidr::parse("fd00::1").unwrap()];
    let second = std::time::Duration::from_secs(1);
    let limits = FrontLimits {
        connections: Some(100),
        handshakes: Some(101),
        handshake_time: Some(second),
        head_bytes: Some(102),
        head_time: Some(second * 2),
        idle: Some(second * 3),
        body_idle: Some(second * 4),
        requests: Some(103),
        streams: Some(104),
        sessions: Some(105),
        session_idle: Some(second * 5),
        datagram_bytes: Some(106),
    };
    let front = Front { proxy_protocol: ProxyProtocol::Require(trusted), limits, ..Front::default() };
    let sample = Resource::Listener(Arc::new(Listener { front, ..listener() }));
    assert_eq!(decode(&encode(&sample)).unwrap(), sample);
    let at = encode(&sample).windows(10).position(|part| part == b"10.0.0.0/8").unwrap();
    let mut bad = encode(&sample).to_vec();
    bad[at] = b'x';
    let error = decode(&bad).unwrap_err().to_string();
    assert!(error.contains("proxy_protocol.trusted"), "{error}");
}

#[test]
fn who_may_bring_requests_for_others_crosses_and_is_never_more_than_was_said() {
    let blocks = vec![Cidr::parse("10.0.0.0/8").unwrap(), Cidr::parse("fd00::1").unwrap()];
    for who in [Trusted::Nobody, Trusted::Sources(blocks), Trusted::Hops(2)] {
        for field in [OriginField::XForwardedFor, OriginField::Forwarded] {
            let trusted = TrustedProxies { who: who.clone(), field };
            let trusted = if trusted.who == Trusted::Nobody { TrustedProxies::default() } else { trusted };
            let sample = Resource::Listener(Arc::new(Listener { front: Front { trusted, ..Front::default() }, ..listener() }));
            assert_eq!(decode(&encode(&sample)).unwrap(), sample);
        }
    }
    let odd =
        |sources: &[&str], hops| v1::TrustedProxies { sources: sources.iter().map(ToString::to_string).collect(), hops, forwarded: false };
    for bad in [odd(&[], 0), odd(&["10.0.0.0/8"], 1), odd(&["10.0.0.0/x"], 0), odd(&[], 256)] {
        let mut message = v1::Resource::decode(&*encode(&Resource::Listener(Arc::new(listener())))).unwrap();
        let Some(v1::resource::Resource::Listener(door)) = &mut message.resource else { panic!("not a listener") };
        door.trusted = Some(bad);
        assert!(decode(&message.encode_to_vec()).unwrap_err().to_string().contains("trusted"));
    }
}

/// What guards is never read as less: to refuse the listener would leave the one before it, which nobody guards.
#[test]
fn who_is_asked_before_routes_crosses_and_one_that_is_not_known_lets_nothing_through() {
    let Resource::ExternalAuthorizer(one) = samples().into_iter().find(|(name, _)| *name == "externalauthorizer").unwrap().1 else {
        panic!()
    };
    let sample =
        Resource::Listener(Arc::new(Listener { asks: vec![Arc::new(one.asked.clone()), Arc::new(one.asked.clone())], ..listener() }));
    assert_eq!(decode(&encode(&sample)).unwrap(), sample);
    let mut message = v1::Resource::decode(&*encode(&sample)).unwrap();
    let Some(v1::resource::Resource::Listener(door)) = &mut message.resource else { panic!("not a listener") };
    door.asks[1].protocol = None;
    let (read, noted) = decode_noting(&message.encode_to_vec()).unwrap();
    let Resource::Listener(read) = read else { panic!("not a listener") };
    assert_eq!((read.asks.len(), &read.asks[0]), (2, &Arc::new(one.asked.clone())));
    assert!(matches!(read.asks[1].backend, model::Backend::Invalid { .. }) && !read.asks[1].fail_open);
    assert!(noted.unwrap().contains("no request is let through"));
}

/// The field of whom it asks came after releases that skip it: to those it is a listener that serves nobody.
#[test]
fn a_listener_that_asks_first_serves_nobody_where_that_is_not_known() {
    let Resource::ExternalAuthorizer(one) = samples().into_iter().find(|(name, _)| *name == "externalauthorizer").unwrap().1 else {
        panic!()
    };
    let sample = |asks, broken| Resource::Listener(Arc::new(Listener { asks, broken, ..listener() }));
    let asking = || vec![Arc::new(one.asked.clone())];
    // What a release makes of it that skips the field.
    let skipped = |sample: &Resource| {
        let mut message = v1::Resource::decode(&*encode(sample)).unwrap();
        let Some(v1::resource::Resource::Listener(door)) = &mut message.resource else { panic!("not a listener") };
        door.asks.clear();
        let Resource::Listener(read) = decode(&message.encode_to_vec()).unwrap() else { panic!("not a listener") };
        read.broken.clone()
    };
    let guarded = sample(asking(), None);
    assert_eq!(decode(&encode(&guarded)).unwrap(), guarded);
    assert_eq!(skipped(&guarded).as_deref(), Some(crate::encode::ASKS_FIRST));
    // One that is broken says why, and one that asks nobody says nothing.
    let broken = sample(asking(), Some("certificate is missing".into()));
    assert_eq!(decode(&encode(&broken)).unwrap(), broken);
    assert_eq!(skipped(&broken).as_deref(), Some("certificate is missing"));
    assert_eq!(skipped(&sample(Vec::new(), None)), None);
}
