//! What a worker remembers of those it calls.

use super::*;
use crate::tests::quiet::{Network, on};
use crate::tests::{Mesh, id};
use identity::Expected;

fn address() -> SocketAddr {
    "10.0.0.1:80".parse().unwrap()
}

#[test]
fn hosts_outside_are_remembered_for_a_while_and_so_many_of_them() {
    let (mut names, now) = (Names::default(), Instant::now());
    let found: Arc<[SocketAddr]> = Arc::from([address()]);
    let name = |i: usize| format!("host-{i}.example");
    (0..limits::DNS_NAMES).for_each(|i| names.put(&name(i), found.clone(), now));
    assert_eq!(names.0.len(), limits::DNS_NAMES);
    names.put("one more", found.clone(), now);
    assert_eq!(names.0.len(), 1);
    let late = now + limits::DNS_TIME;
    assert!(names.get("one more", late - std::time::Duration::from_millis(1)).is_some() && names.get("one more", late).is_none());
}

#[test]
fn configurations_and_shared_connections_are_so_many_and_no_more() {
    on(Network::Silent, async {
        let worker = Mesh::new().proxy("web").worker;
        let credentials = Mesh::new().credentials("web");
        let some = identity::client_config(&credentials, Expected::AnyTrusted, &[alpn::H2], Arc::new(rt::Here::now())).unwrap();
        for i in 0..=limits::TLS_CONFIGS {
            let via = Via::Hbone { expected: Arc::from([id("catalog")]), authority: format!("10.0.0.1:{i}").into() };
            let key = UpstreamKey { via, ..UpstreamKey::plain(address(), Framing::Http1) };
            worker.config(&key, &[alpn::H2], || Ok(some.clone())).unwrap();
            assert_eq!(worker.configs.borrow().len(), i % limits::TLS_CONFIGS + 1);
        }
        let (mut all, key) = (Multiplexing::default(), UpstreamKey::plain(address(), Framing::Http2));
        for _ in 0..=limits::H2_CONNECTIONS {
            let client = h2::Client::new(Stream::connect(address()).await.unwrap(), BytesMut::new()).await.unwrap();
            all.put(key.clone(), client, None, rt::now());
        }
        assert_eq!(all.open[&key].len(), limits::H2_CONNECTIONS);
    });
}
