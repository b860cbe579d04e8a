//! How a client is led back, as it travels.

use super::*;

#[test]
fn sessions_of_rules_are_read_back_and_bad_keys_are_refused() {
    let with = |session| {
        let mut route = route();
        route.rules[0].session = Some(Box::new(session));
        Resource::Route(Arc::new(route))
    };
    for carrier in [Carrier::Cookie, Carrier::PermanentCookie, Carrier::Header] {
        for key in [None, Some([7; 32])] {
            let sample = with(session(carrier, key));
            assert_eq!(decode(&encode(&sample)).unwrap(), sample);
        }
    }
    let broken = |change: fn(&mut v1::SessionPersistence)| {
        let mut message = v1::Resource::decode(&*encode(&with(session(Carrier::Cookie, None)))).unwrap();
        let Some(v1::resource::Resource::Route(route)) = &mut message.resource else { panic!("not a route") };
        change(route.rules[0].session.as_mut().unwrap());
        decode(&message.encode_to_vec()).unwrap_err().to_string()
    };
    assert!(broken(|s| s.key = Some(vec![7; 31].into())).contains("session.key"));
    assert!(broken(|s| s.name = "a b".into()).contains("session.name"));
    assert!(broken(|s| s.carrier = 0).contains("session.carrier"));
}
