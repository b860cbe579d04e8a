//! What goes over a limit is refused by the name of its field, and what just reaches it is taken.

use super::*;
use crate::limits;

/// What is said of the route, or of the endpoints, so changed.
fn told(sample: Resource, edit: impl FnOnce(&mut v1::resource::Resource)) -> String {
    let mut message = v1::Resource::decode(&*encode(&sample)).unwrap();
    edit(message.resource.as_mut().unwrap());
    decode(&message.encode_to_vec()).map_or_else(|why| why.to_string(), |_| "taken".into())
}

fn of_route(edit: impl FnOnce(&mut v1::Route)) -> String {
    told(Resource::Route(Arc::new(route())), |resource| match resource {
        v1::resource::Resource::Route(route) => edit(route),
        other => panic!("{other:?}"),
    })
}

#[test]
fn a_resource_is_of_so_many_bytes_and_no_more() {
    // No message at all: how long it is, is seen first.
    assert_eq!(decode(&vec![0; limits::RESOURCE_BYTES + 1]), Err(DecodeError::TooLarge));
    assert!(matches!(decode(&vec![0; limits::RESOURCE_BYTES]), Err(DecodeError::Protobuf(_))));
}

#[test]
fn texts_lists_and_codes_are_of_so_many_and_no_more() {
    let name = |bytes: usize| of_route(move |route| route.rules[0].name = "x".repeat(bytes));
    assert_eq!((name(limits::TEXT_BYTES).as_str(), name(limits::TEXT_BYTES + 1).contains("is longer than")), ("taken", true));
    let hosts = |count: usize| of_route(move |route| route.attachments[0].hosts = vec!["a".into(); count]);
    assert_eq!((hosts(limits::LIST).as_str(), hosts(limits::LIST + 1).contains("has more than 65536 members")), ("taken", true));
    let codes = |count: usize| {
        of_route(move |route| route.rules[0].retry = Some(v1::Retry { codes: vec![500; count], attempts: 1, backoff_nanos: 1 }))
    };
    assert_eq!((codes(limits::RETRY_CODES).as_str(), codes(limits::RETRY_CODES + 1).contains("retry.codes")), ("taken", true));
}

#[test]
fn what_is_of_bytes_is_of_so_many_and_no_more() {
    let chain = |bytes: usize| {
        let certificate =
            Certificate { key: key(Kind::Certificate, "cert"), chain: Arc::from(vec![1; bytes]), private_key: Arc::from(&b"K"[..]) };
        decode(&encode(&Resource::Certificate(Arc::new(certificate)))).map_or_else(|why| why.to_string(), |_| "taken".into())
    };
    assert_eq!((chain(limits::BLOB_BYTES).as_str(), chain(limits::BLOB_BYTES + 1).contains("chain: is longer than")), ("taken", true));
    let keys = |bytes: usize| {
        told(Resource::TokenIssuer(Arc::new(token::issuer())), |resource| match resource {
            v1::resource::Resource::TokenIssuer(issuer) => issuer.keys = Some(v1::token_issuer::Keys::Inline(" ".repeat(bytes))),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!((keys(limits::BLOB_BYTES).as_str(), keys(limits::BLOB_BYTES + 1).contains("inline: is longer than")), ("taken", true));
}

#[test]
fn a_health_check_takes_so_many_statuses_for_good_and_no_more() {
    let expected = |count: usize| {
        let sample = Service { policies: policies(), ..service(Balancer::PeakEwma) };
        told(Resource::Service(Arc::new(sample)), |resource| {
            let v1::resource::Resource::Service(service) = resource else { panic!("a service was encoded") };
            let checks = service.policies.iter_mut().filter_map(|attached| attached.policy.as_mut()?.health.as_mut());
            let http = checks.filter_map(|check| match check.probe.as_mut()? {
                v1::health_check::Probe::Http(http) => Some(http),
                _ => None,
            });
            let mut changed = 0;
            for http in http {
                http.expected = vec![200; count];
                changed += 1;
            }
            assert!(changed > 0, "the sample has a check by HTTP");
        })
    };
    let (most, over) = (limits::EXPECTED_STATUSES, limits::EXPECTED_STATUSES + 1);
    assert_eq!((expected(most).as_str(), expected(over).contains("http.expected")), ("taken", true));
}

#[test]
fn so_much_is_told_of_one_resource_and_no_more() {
    let mut later = crate::decode::read::Later::default();
    (0..limits::NOTES + 3).for_each(|n| later.note(format!("note {n}")));
    assert_eq!(later.told().unwrap().matches("note ").count(), limits::NOTES);
}
