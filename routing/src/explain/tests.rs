use super::*;
use model::route::{Attachment, HeaderEdits, Mirror, PathEdit, RankedMatch, Redirect, Rewrite};
use model::*;

fn key(kind: Kind, name: &str) -> Key {
    Key::new(Source::files(), kind, "shop", name)
}

fn to(name: &str) -> Backend {
    Backend::Service(ServiceRef { service: key(Kind::Service, name), port: 80, subset: None })
}

fn broken() -> Backend {
    Backend::Invalid { reason: InvalidBackend::BackendNotFound, message: "Service shop/gone does not exist".into() }
}

/// What becomes of a request for `/foo/x` where one rule takes `/foo`.
fn ask(filters: Vec<Filter>, backends: Vec<(u32, Backend, Vec<Filter>)>) -> Explanation {
    let matches = RouteMatch { path: Some(PathMatch::prefix("/foo")), ..Default::default() };
    let rule = Rule {
        name: "only".into(),
        matches: vec![RankedMatch { rank: Rank::default(), matches }],
        filters,
        backends: backends.into_iter().map(|(weight, backend, filters)| WeightedBackend { weight, backend, filters }).collect(),
        timeouts: Timeouts { request: Some(Duration::from_secs(5)), backend_request: None },
        retry: Some(Box::new(Retry { codes: vec![503], attempts: 2, backoff: Duration::from_millis(25) })),
        session: None,
    };
    let listener = key(Kind::Listener, "edge.http");
    let route = Route {
        key: key(Kind::Route, "httproute.r"),
        origin: Origin::new(ObjectRef::new("", "HTTPRoute", "shop", "r"), "r.yaml:1"),
        protocol: RouteProtocol::Http,
        attachments: vec![Attachment { target: Target::Listener(listener.clone()), hosts: vec![HostPattern::Any] }],
        rules: vec![rule],
    };
    let shadow = Service {
        key: key(Kind::Service, "shadow"),
        origin: Origin::new(ObjectRef::new("", "Service", "shop", "shadow"), ""),
        hostnames: Vec::new(),
        addresses: Vec::new(),
        ports: Vec::new(),
        identities: Vec::new(),
        balancer: Balancer::default(),
        nearest: None,
        policies: Vec::new(),
        normalisation: Normalisation::default(),
        tls: Vec::new(),
    };
    let changes = [Resource::Route(Arc::new(route)), Resource::Service(Arc::new(shadow))].map(Change::Put);
    let table = Table::default().apply(&changes);
    let mut head = RequestHead::default();
    head.set_authority("a.example");
    head.set_target("/foo/x?q");
    table.explain(&Entry::Listener(listener), &head, &Caller::default(), &Context { scheme: Scheme::Http, port: 80 })
}

fn edits() -> HeaderEdits {
    HeaderEdits { set: vec![("a".into(), "b".into())], ..HeaderEdits::default() }
}

fn mirror(backend: Backend, fraction: (u32, u32)) -> Filter {
    Filter::Mirror(Mirror { backend, fraction })
}

#[test]
fn filters_are_told_in_the_order_in_which_they_run() {
    let written = vec![
        Filter::ResponseHeaders(edits()),
        mirror(to("shadow"), (1, 4)),
        mirror(broken(), (1, 1)),
        Filter::Rewrite(Rewrite { host: Some("b.example".into()), path: Some(PathEdit::Prefix("/bar".into())) }),
        Filter::RequestHeaders(edits()),
    ];
    let explained = ask(written, vec![(1, to("one"), vec![Filter::ResponseHeaders(edits()), Filter::RequestHeaders(edits())])]);
    let chain = explained.chain.as_ref().expect("a route took it");
    let told = |filters: &[Ran]| filters.iter().map(|ran| ran.name.clone()).collect::<Vec<_>>();
    let of_rule = ["RequestHeaderModifier", "URLRewrite", "RequestMirror shop/shadow:80"];
    assert_eq!(told(&chain.filters), of_rule, "a mirror that leads nowhere is left out");
    assert_eq!((chain.filters[2].share, chain.sent.as_deref()), (Some((1, 4)), Some("GET http://b.example/bar/x?q")));
    let after = ["backend RequestHeaderModifier", "backend ResponseHeaderModifier", "ResponseHeaderModifier"];
    assert_eq!(told(&chain.split[0].filters), [&of_rule[..], &after[..]].concat());
    assert_eq!(
        explained.lines(),
        [
            "enters     files/listener/shop/edge.http",
            "route      HTTPRoute shop/r (r.yaml:1)",
            "rule       only: takes path under /foo",
            "filters    RequestHeaderModifier, URLRewrite, RequestMirror shop/shadow:80 (1 of 4 requests)",
            "sent as    GET http://b.example/bar/x?q",
            "goes to     100 % shop/one:80, then backend RequestHeaderModifier, backend ResponseHeaderModifier, ResponseHeaderModifier",
            "timeouts   5s for the request",
            "retries    up to 2 more on 503 and where nothing was sent, 25ms apart at first",
        ]
    );
}

#[test]
fn a_redirect_answers_with_its_location() {
    let redirect = Redirect { scheme: Some(Scheme::Https), host: None, path: None, port: None, code: 301 };
    let explained = ask(vec![Filter::ResponseHeaders(edits()), Filter::Redirect(redirect)], Vec::new());
    let location = Some("https://a.example/foo/x?q".to_owned());
    assert_eq!(explained.outcome, Outcome::Answer { status: 301, location });
    let ran: Vec<_> = explained.chain.expect("a route took it").filters.into_iter().map(|ran| ran.name).collect();
    assert_eq!(ran, ["RequestRedirect", "ResponseHeaderModifier"]);
}

#[test]
fn a_broken_backend_is_told_with_its_share_and_refuses_alone_where_it_is_alone() {
    let explained = ask(Vec::new(), vec![(1, broken(), Vec::new()), (3, to("one"), Vec::new())]);
    assert_eq!(explained.outcome, Outcome::Forward);
    let split = &explained.chain.as_ref().expect("a route took it").split;
    assert_eq!((split[0].percent, split[0].refused.as_ref().map(|r| r.fault)), (25.0, Some(Fault::InvalidBackend)));
    assert!(split[1].refused.is_none());
    let fault = |explained: Explanation| match explained.outcome {
        Outcome::Refused(refused) => refused.fault,
        other => panic!("{other:?}"),
    };
    assert_eq!(fault(ask(Vec::new(), vec![(1, broken(), Vec::new()), (0, to("one"), Vec::new())])), Fault::InvalidBackend);
    assert_eq!(fault(ask(Vec::new(), vec![(0, to("one"), Vec::new())])), Fault::NoBackend);
    let invalid = || vec![Filter::Invalid { message: "no such thing".into() }];
    assert_eq!(fault(ask(invalid(), vec![(1, to("one"), Vec::new())])), Fault::InvalidFilter);
    assert_eq!(fault(ask(Vec::new(), vec![(1, to("one"), invalid())])), Fault::InvalidFilter);
}
