use super::*;
use crate::Table;
use model::route::HeaderEdits;
use model::{HeaderMatch, Key, Kind, ServiceRef, Source, ValueMatch};

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
    for i in 0..=limits::SHARED_BACKENDS {
        let service = Key::new(Source::files(), Kind::Service, "shop", &i.to_string());
        let backend = Backend::Service(ServiceRef { service, port: 80, subset: None });
        assert_eq!(*shared.backend(&backend), backend);
    }
    assert!(shared.backends.len() <= limits::SHARED_BACKENDS);
    let found = matches_of(&[("/a", "1", 1)]);
    for i in 0..=limits::SHARED_COMMONS {
        let backend = Arc::new(Backend::Invalid { reason: model::InvalidBackend::BackendNotFound, message: "".into() });
        let to = crate::compiled::SplitBackend { index: 0, weight: i as u32, backend, phases: found[0].common.phases.clone() };
        let common = Common { tests: None, split: std::iter::once(to).collect(), ..like(&found[0].common) };
        assert_eq!(shared.common(common).split[0].weight, i as u32);
    }
    assert!(shared.commons.len() <= limits::SHARED_COMMONS);
}

#[test]
fn tables_share_with_those_that_they_came_from() {
    let before = Table::default();
    let after = before.apply(&[]);
    lock(&after.shared).tests(&test("a"));
    assert_eq!(lock(&before.shared).tests.len(), 1);
}

fn like(common: &Common) -> Common {
    let Common { protocol, retries, sessions, total_weight, timeouts, .. } = *common;
    Common { tests: None, protocol, retries, sessions, phases: common.phases.clone(), split: Default::default(), total_weight, timeouts }
}

fn matches_of(rules: &[(&str, &str, u32)]) -> Vec<crate::compiled::CompiledMatch> {
    let service = Key::new(Source::files(), Kind::Service, "shop", "catalog");
    let backend = Backend::Service(ServiceRef { service, port: 80, subset: None });
    let rule = |(path, user, weight): &(&str, &str, u32)| model::Rule {
        name: (*path).into(),
        matches: vec![model::route::RankedMatch {
            rank: model::Rank::default(),
            matches: RouteMatch { path: Some(model::PathMatch::prefix(path)), ..test(user) },
        }],
        filters: vec![Filter::RequestHeaders(edit("a"))],
        backends: vec![model::WeightedBackend { weight: *weight, backend: backend.clone(), filters: Vec::new() }],
        timeouts: model::Timeouts::default(),
        retry: None,
        session: None,
    };
    let route = model::Route {
        key: Key::new(Source::files(), Kind::Route, "shop", "r"),
        origin: model::Origin::new(model::ObjectRef::new("", "HTTPRoute", "shop", "r"), ""),
        protocol: model::RouteProtocol::Http,
        attachments: Vec::new(),
        rules: rules.iter().map(rule).collect(),
    };
    crate::compiled::CompiledMatch::all(&Arc::new(route), &mut Shared::default()).collect()
}

#[test]
fn what_matches_say_besides_their_paths_is_kept_once_where_it_is_alike() {
    let found = matches_of(&[("/a", "1", 1), ("/b", "1", 1), ("/c", "2", 1), ("/d", "1", 2)]);
    let alike = |a: usize, b: usize| Arc::ptr_eq(&found[a].common, &found[b].common);
    assert_eq!((alike(0, 1), alike(0, 2), alike(0, 3)), (true, false, false), "another test, another weight");
}

/// The second line would be fetched from far, for each of ten thousand routes.
#[test]
fn a_match_is_one_line_of_the_cache_and_its_path_with_it() {
    assert_eq!(size_of::<crate::compiled::CompiledMatch>(), 64);
    let found = matches_of(&[("/items/of/the/catalog", "1", 1), ("/a/path/that/is/longer/than/that", "1", 1)]);
    assert_eq!((found[0].path.spilled(), found[1].path.spilled()), (false, true));
}
