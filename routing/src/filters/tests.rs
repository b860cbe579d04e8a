use super::*;
use crate::{Caller, Entry, Table};
use model::route::{Cors, RankedMatch};
use model::*;
use std::sync::Arc;
use std::time::Duration;

/// A table of one listener and one rule for prefix `/foo`, with these filters.
fn table(filters: Vec<Filter>) -> (Table, Entry) {
    let key = |kind, name| Key::new(Source::files(), kind, "shop", name);
    let target = Target::Listener(key(Kind::Listener, "edge.http"));
    let matches = RouteMatch { path: Some(PathMatch::prefix("/foo")), ..Default::default() };
    let rule = Rule {
        name: "rule-0".into(),
        matches: vec![RankedMatch { rank: Rank::default(), matches }],
        filters,
        backends: Vec::new(),
        timeouts: Timeouts::default(),
        retry: None,
        session: None,
    };
    let route = Route {
        key: key(Kind::Route, "httproute.r"),
        origin: Origin::new(ObjectRef::new("", "HTTPRoute", "shop", "r"), ""),
        protocol: RouteProtocol::Http,
        attachments: vec![Attachment { target, hosts: vec![HostPattern::Any] }],
        rules: vec![rule],
    };
    (Table::default().apply(&[Change::Put(Resource::Route(Arc::new(route)))]), Entry::Listener(key(Kind::Listener, "edge.http")))
}

fn request(target: &str, headers: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    head.set_authority("example.org:8080");
    head.set_target(target);
    headers.iter().for_each(|(name, value)| head.headers.push(name, value.as_bytes()));
    head
}

fn run(filters: Vec<Filter>, head: &mut RequestHead) -> Result<RequestOutcome, Fault> {
    let (table, entry) = table(filters);
    let decision = table.route(&entry, head, &Caller::default()).unwrap();
    apply_request(&decision, head, &Context { scheme: Scheme::Http, port: 8080 }, &mut Applied::default()).map_err(|refusal| refusal.fault)
}

fn location(redirect: Redirect, target: &str) -> String {
    match run(vec![Filter::Redirect(redirect)], &mut request(target, &[])) {
        Ok(RequestOutcome::Answer(answer)) => answer.headers.text("location").unwrap().to_owned(),
        other => panic!("no redirect: {other:?}"),
    }
}

#[test]
fn prefixes_are_replaced_by_the_specifications_table() {
    for (path, with, want) in [
        ("/foo/bar", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/xyz/", "/xyz/bar"),
        ("/foo", "/xyz", "/xyz"),
        ("/foo/", "/xyz", "/xyz/"),
        ("/foo/bar", "", "/bar"),
        ("/foo/", "", "/"),
        ("/foo", "", "/"),
        ("/foo/", "/", "/"),
        ("/foo", "/", "/"),
        ("/foo/bar?q=1", "/", "/bar?q=1"),
    ] {
        let mut head = request(path, &[]);
        let rewrite = Rewrite { host: None, path: Some(PathEdit::Prefix(with.into())) };
        run(vec![Filter::Rewrite(rewrite)], &mut head).unwrap();
        assert_eq!(head.target(), want, "{path} with {with:?}");
    }
    assert_eq!(edited_path(&PathEdit::Prefix("/x".into()), "/a", Some(0)), "/x/a", "the root as prefix");
}

#[test]
fn redirects_choose_scheme_and_port_by_the_specification() {
    let plain = Redirect { scheme: None, host: None, path: None, port: None, code: 302 };
    assert_eq!(location(plain.clone(), "/foo?q=1"), "http://example.org:8080/foo?q=1");
    assert_eq!(location(Redirect { scheme: Some(Scheme::Https), ..plain.clone() }, "/foo"), "https://example.org/foo");
    assert_eq!(location(Redirect { port: Some(80), ..plain.clone() }, "/foo"), "http://example.org/foo");
    assert_eq!(
        location(Redirect { port: Some(8443), scheme: Some(Scheme::Https), ..plain.clone() }, "/foo"),
        "https://example.org:8443/foo"
    );
    let moved = Redirect { host: Some("b.org".into()), path: Some(PathEdit::Prefix("/new".into())), ..plain };
    assert_eq!(location(moved, "/foo/x"), "http://b.org:8080/new/x");
}

#[test]
fn header_edits_never_touch_framing() {
    let mut head = request("/foo", &[("a", "1"), ("b", "1"), ("content-length", "3"), ("connection", "close")]);
    let pair = |name: &str, value: &str| (Arc::from(name), Arc::from(value));
    let edits = HeaderEdits {
        set: vec![pair("a", "2"), pair("Content-Length", "9")],
        add: vec![pair("c", "3"), pair("transfer-encoding", "chunked")],
        remove: vec!["b".into(), "connection".into()],
    };
    run(vec![Filter::RequestHeaders(edits)], &mut head).unwrap();
    let got: Vec<_> = head.headers.iter().map(|(n, v)| format!("{n}={}", String::from_utf8_lossy(v))).collect();
    assert_eq!(got, ["a=2", "content-length=3", "connection=close", "c=3"]);
}

#[test]
fn cross_origin_requests_get_what_their_rules_allow() {
    let rules = Cors {
        allow_origins: vec!["https://*.example.com".into()],
        allow_methods: vec!["GET".into(), "PUT".into()],
        allow_headers: vec!["*".into()],
        expose_headers: Vec::new(),
        allow_credentials: true,
        max_age: Duration::from_secs(60),
    };
    let ask = |origin: &str| {
        let mut head =
            request("/foo", &[("origin", origin), ("access-control-request-method", "PUT"), ("access-control-request-headers", "x-a")]);
        head.method = Method::Options;
        match run(vec![Filter::Cors(rules.clone())], &mut head) {
            Ok(RequestOutcome::Answer(answer)) => answer,
            other => panic!("no answer: {other:?}"),
        }
    };
    let good = ask("https://a.example.com");
    let field = |name| good.headers.text(name);
    assert_eq!(field("access-control-allow-origin"), Some("https://a.example.com"));
    assert_eq!(field("access-control-allow-methods"), Some("GET, PUT"));
    assert_eq!(field("access-control-allow-headers"), Some("x-a"), "with credentials `*` is no wildcard to browsers");
    assert_eq!((field("access-control-max-age"), field("access-control-allow-credentials")), (Some("60"), Some("true")));
    for bad in ["https://example.com", "http://a.example.com", "https://a.example.com.evil.org", "null"] {
        assert_eq!(ask(bad).headers.text("access-control-allow-origin"), None, "{bad}");
    }
}

#[test]
fn invalid_filters_answer_500_and_mirrors_get_their_share() {
    assert_eq!(run(vec![Filter::Invalid { message: "no".into() }], &mut request("/foo", &[])), Err(Fault::InvalidFilter));
    let backend = Backend::Invalid { reason: InvalidBackend::BackendNotFound, message: "".into() };
    let (table, entry) = table(vec![Filter::Mirror(Mirror { backend, fraction: (1, 4) })]);
    let head = request("/foo", &[]);
    let decision = table.route(&entry, &head, &Caller::default()).unwrap();
    let share = (0..1024u32).filter(|i| mirrors(decision.phases(), || i << 22).count() == 1).count();
    assert_eq!(share, 256);
}
