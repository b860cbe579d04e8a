//! Authorizers, every word said.

use super::{key, origin};
use crate::{DecodeError, decode, encode};
use model::access::AccessTarget;
use model::authorizer::{AskedBy, Asking, ExternalAuthorizer, Fields};
use model::{Backend, Kind, Resource, ServiceRef};
use prost::Message;
use std::sync::Arc;
use std::time::Duration;

pub fn authorizer() -> ExternalAuthorizer {
    let to = ServiceRef { service: key(Kind::Service, "auth"), port: 80, subset: None };
    ExternalAuthorizer {
        key: key(Kind::ExternalAuthorizer, "externalauthorizer.door"),
        origin: origin("ExternalAuthorizer"),
        targets: vec![AccessTarget::Gateway(key(Kind::Gateway, "edge"))],
        only: Some(super::access::policy().rules),
        asked: Asking {
            backend: Backend::Service(to),
            protocol: AskedBy::Http { prefix: "/check".into(), taken: Fields::Only(vec!["x-user".into()]) },
            told: Fields::All,
            body: 1024,
            timeout: Duration::from_millis(1500),
            fail_open: true,
        },
    }
}

fn round(asked: Asking) -> Result<Asking, DecodeError> {
    match decode(&encode(&Resource::ExternalAuthorizer(Arc::new(ExternalAuthorizer { asked, ..authorizer() }))))? {
        Resource::ExternalAuthorizer(one) => Ok(one.asked.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_protocols_and_both_kinds_of_fields_are_read_back() {
    let http = |prefix: &str, taken| AskedBy::Http { prefix: prefix.into(), taken };
    for protocol in [AskedBy::Grpc, http("", Fields::All), http("/a/b", Fields::Only(Vec::new()))] {
        for told in [Fields::All, Fields::Only(Vec::new()), Fields::Only(vec!["a".into(), "b".into()])] {
            let asked = Asking { protocol: protocol.clone(), told, fail_open: false, body: 0, ..authorizer().asked };
            assert_eq!(round(asked.clone()), Ok(asked));
        }
    }
}

#[test]
fn what_is_no_prefix_or_no_name_is_refused() {
    for prefix in ["check", "/a b", "/a\r\nHost: b", "/a?b", "/a#b"] {
        let protocol = AskedBy::Http { prefix: prefix.into(), taken: Fields::All };
        let read = round(Asking { protocol, ..authorizer().asked });
        assert!(matches!(read, Err(DecodeError::Field { field, .. }) if field == "asked.prefix"), "{prefix:?}");
    }
    let told = Fields::Only(vec!["a b".into()]);
    assert!(round(Asking { told, ..authorizer().asked }).is_err());
}

#[test]
fn who_is_asked_in_a_way_that_is_not_known_lets_nothing_through() {
    let mut message = crate::v1::Resource::decode(&*encode(&Resource::ExternalAuthorizer(Arc::new(authorizer())))).unwrap();
    let Some(crate::v1::resource::Resource::ExternalAuthorizer(said)) = &mut message.resource else { panic!("an authorizer") };
    said.asked.as_mut().unwrap().protocol = None;
    let fields = super::of_a_later_release(&encode(&Resource::ExternalAuthorizer(Arc::new(authorizer()))));
    let mut elsewhere = crate::v1::Resource::decode(&*encode(&Resource::ExternalAuthorizer(Arc::new(authorizer())))).unwrap();
    let Some(crate::v1::resource::Resource::ExternalAuthorizer(said)) = &mut elsewhere.resource else { panic!("an authorizer") };
    said.asked.as_mut().unwrap().backend.as_mut().unwrap().backend = None;
    for bytes in [message.encode_to_vec(), elsewhere.encode_to_vec(), fields] {
        let Resource::ExternalAuthorizer(read) = decode(&bytes).unwrap() else { panic!("an authorizer") };
        assert!(matches!(read.asked.backend, Backend::Invalid { .. }) && !read.asked.fail_open, "{read:?}");
        assert_eq!(read.targets, authorizer().targets);
    }
}
