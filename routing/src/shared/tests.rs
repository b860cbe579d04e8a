use super::*;
use crate::Table;
use model::route::HeaderEdits;
use model::{HeaderMatch, Kind, ServiceRef, Source, ValueMatch};

fn edit(value: &str) -> HeaderEdits {
    HeaderEdits { set: vec![("x-edge".into(), value.into())], ..HeaderEdits::default() }
}

fn test(value: &str) -> RouteMatch {
    RouteMatch { headers: vec![HeaderMatch { name: "x-user".into(), value: ValueMatch::Exact(value.into()) }], ..RouteMatch::default() }
}

#[test]
fn equal_parts_are_one_and_different_ones_are_not() {
    let mut shared = Shared::default();
    let (one, two) = (shared.phases(&[Filter::RequestHeaders(edit("a"))]), shared.phases(&[Filter::RequestHeaders(edit("a"))]));
    assert!(Arc::ptr_eq(&one, &two));
    for other in [Filter::RequestHeaders(edit("b")), Filter::ResponseHeaders(edit("a")), Filter::Invalid { message: "no".into() }] {
        let phases = shared.phases(std::slice::from_ref(&other));
        assert_eq!(*phases, Phases::compile(std::slice::from_ref(&other)));
        assert!(!Arc::ptr_eq(&one, &phases));
    }
    assert!(Arc::ptr_eq(&shared.phases(&[]), &shared.phases(&[])));
    let (one, two) = (shared.tests(&test("a")), shared.tests(&RouteMatch { path: Some(model::PathMatch::prefix("/p")), ..test("a") }));
    assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()), "whatever the path");
    assert_eq!(shared.tests(&test("b")).as_deref(), Some(&test("b")));
    assert_eq!(shared.tests(&RouteMatch { path: Some(model::PathMatch::prefix("/p")), ..RouteMatch::default() }), None);
}

#[test]
fn what_is_kept_is_bounded_and_right_beyond_the_bound() {
    let mut shared = Shared::default();
    for i in 0..limits::SHARED * 2 + 1 {
        let value = i.to_string();
        assert_eq!(shared.tests(&test(&value)).as_deref(), Some(&test(&value)));
        assert_eq!(shared.phases(&[Filter::RequestHeaders(edit(&value))]).request_headers[0].filter, edit(&value));
    }
    assert!(shared.tests.len() <= limits::SHARED && shared.phases.len() <= limits::SHARED);
    for i in 0..=limits::SHARED_SERVICES {
        let service = Key::new(Source::files(), Kind::Service, "shop", &i.to_string());
        let backend = Backend::Service(ServiceRef { service, port: 80, subset: None });
        assert_eq!(shared.backend(&backend), backend);
    }
    assert!(shared.services.len() <= limits::SHARED_SERVICES);
}

#[test]
fn a_table_shares_with_the_one_that_it_came_from() {
    let before = Table::default();
    let mut after = before.clone();
    after.shared.tests(&test("a"));
    assert_eq!((before.shared.tests.len(), after.shared.tests.len()), (0, 1));
}
