mod bad;
mod conformance;
mod golden;
mod mutation;
mod references;
mod render;
mod yaml;

use crate::tests::*;
use model::*;
use serde_json::{Value, json};
use std::time::Duration;

/// One route on a Service, with the given rules.
fn ruled(rules: Value) -> crate::Translation {
    let parents = json!([{"group": "", "kind": "Service", "name": "s"}]);
    run(&[service("a", "s"), route("a", json!({"parentRefs": parents, "rules": rules}))])
}

fn invalid(rule: &Rule) -> bool {
    rule.filters.iter().any(|filter| matches!(filter, Filter::Invalid { .. }))
}

#[test]
fn a_broken_rule_answers_500_and_the_others_are_served() {
    let cases = [
        (
            json!({"filters": [{"type": "ExtensionRef", "extensionRef": {"group": "x", "kind": "F", "name": "f"}}]}),
            ".filters[0].extensionRef",
        ),
        (json!({"filters": [{"type": "Magic"}]}), ".filters[0].type"),
        (json!({"sessionPersistence": {"sessionName": "s t"}}), ".sessionPersistence.sessionName"),
        (json!({"timeouts": {"request": "1y"}}), ".timeouts.request"),
        (json!({"timeouts": {"request": "1s", "backendRequest": "2s"}}), ".timeouts.backendRequest"),
        (json!({"retry": {"codes": [503, 200]}}), ".retry.codes[1]"),
        (json!({"retry": {"attempts": 101}}), ".retry.attempts"),
        (json!({"backendRefs": [{"name": "s", "port": 80, "weight": -1}]}), ".backendRefs[0].weight"),
        (json!({"backendRefs": [{"name": "s", "port": 80, "weight": model::limits::WEIGHT + 1}]}), ".backendRefs[0].weight"),
        (json!({"backendRefs": [{"name": "s", "port": 80, "filters": [{"type": "CORS"}]}]}), ".backendRefs[0].filters[0].type"),
        (
            json!({"filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a b", "value": "1"}]}}]}),
            ".filters[0].requestHeaderModifier.set[0].name",
        ),
        (
            json!({"filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "a", "value": "1\r\nb: 2"}]}}]}),
            ".filters[0].responseHeaderModifier.add[0].value",
        ),
        (
            json!({"filters": [{"type": "CORS", "cors": {"allowOrigins": ["https://a.example", "example.com"]}}]}),
            ".filters[0].cors.allowOrigins[1]",
        ),
        (json!({"matches": [{}, {"path": {"type": "RegularExpression", "value": "("}}]}), ".matches[1].path.value"),
        (
            json!({"matches": [{"path": {"type": "Exact", "value": "/a"}}],
            "filters": [{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"}}}]}),
            ".filters",
        ),
    ];
    for (rule, place) in cases {
        let t = ruled(json!([rule, {"name": "good", "matches": [{"method": "GET"}]}]));
        let rules = &routes(&t)[0].rules;
        assert!(invalid(&rules[0]) && !invalid(&rules[1]), "{rule}");
        assert_eq!(verdict(&t), "Accepted=True ResolvedRefs=True UnsupportedValue=True", "{rule}");
        let partial = &t.statuses[0].parents[0].conditions[2];
        assert!(&*partial.kind == "PartiallyInvalid" && partial.message.starts_with("Dropped Rule rule-0"), "{partial:?}");
        assert_eq!(t.reports.iter().map(Report::path_text).collect::<Vec<_>>(), [format!("spec.rules[0]{place}")]);

        let t = ruled(json!([rule]));
        assert_eq!(verdict(&t), "UnsupportedValue=False ResolvedRefs=True", "a route of which every rule is broken");
        assert!(invalid(&routes(&t)[0].rules[0]));
    }
}

#[test]
fn filters_that_contradict_each_other_are_incompatible() {
    let t = ruled(json!([{"filters": [{"type": "RequestRedirect", "requestRedirect": {}}, {"type": "URLRewrite", "urlRewrite": {}}]}]));
    assert_eq!(verdict(&t), "IncompatibleFilters=False ResolvedRefs=True");
    assert_eq!(t.reports[0].path_text(), "spec.rules[0].filters[1]");
}

#[test]
fn patience_is_read_and_zero_is_no_bound() {
    let t = ruled(json!([
        {"timeouts": {"request": "1h30m", "backendRequest": "0s"}},
        {"timeouts": {"request": "0ms", "backendRequest": "5s"}, "retry": {"codes": [500, 503], "attempts": 7, "backoff": "100ms"}},
        {"retry": {}},
        {"retry": {"attempts": 100}}]));
    let rules = &routes(&t)[0].rules;
    assert_eq!(rules[0].timeouts, Timeouts { request: Some(Duration::from_secs(5400)), backend_request: None });
    assert_eq!(rules[1].timeouts, Timeouts { request: None, backend_request: Some(Duration::from_secs(5)) });
    let retry = Retry { codes: vec![500, 503], attempts: 7, backoff: Duration::from_millis(100) };
    assert_eq!((&rules[0].retry, &rules[1].retry), (&None, &Some(Box::new(retry))));
    assert!(rules[2].retry.as_ref().is_some_and(|retry| retry.codes.is_empty() && retry.attempts > 0));
    assert!(rules[3].retry.as_ref().is_some_and(|retry| retry.attempts == 100));
}

#[test]
fn sessions_are_read_for_http_and_grpc() {
    let parents = json!([{"group": "", "kind": "Service", "name": "s"}]);
    let spec = json!({"parentRefs": parents, "rules": [{"sessionPersistence": {"sessionName": "cart", "type": "Header"}}, {"sessionPersistence": {}}, {}]});
    for kind in ["HTTPRoute", "GRPCRoute"] {
        let t = run(&[service("a", "s"), object("gateway.networking.k8s.io/v1", kind, ("a", "r"), json!({"spec": spec}))]);
        let sessions: Vec<_> = routes(&t)[0].rules.iter().map(|rule| rule.session.clone()).collect();
        let named = sessions[0].as_ref().map(|session| (&*session.name, session.carrier));
        assert_eq!(named, Some(("cart", model::session::Carrier::Header)), "{kind}");
        assert!(sessions[1].as_ref().is_some_and(|session| session.name.starts_with("organza-session-")), "{kind}");
        assert_eq!(sessions[2], None, "{kind}");
    }
}

#[test]
fn mirrors_have_shares_and_a_broken_one_leaves_the_rule_alone() {
    let mirror = |body: Value| json!({"filters": [{"type": "RequestMirror", "requestMirror": body}]});
    let to = |name: &str| json!({"name": name, "port": 80});
    let t = ruled(json!([
        mirror(json!({"backendRef": to("s")})),
        mirror(json!({"backendRef": to("s"), "percent": 20})),
        mirror(json!({"backendRef": to("s"), "fraction": {"numerator": 1, "denominator": 1000}})),
        mirror(json!({"backendRef": to("gone"), "fraction": {"numerator": 5}}))
    ]));
    let found = routes(&t)[0].rules.iter().flat_map(|rule| &rule.filters).map(|filter| match filter {
        Filter::Mirror(mirror) => (mirror.fraction, matches!(mirror.backend, Backend::Invalid { .. })),
        other => panic!("{other:?}"),
    });
    assert_eq!(found.collect::<Vec<_>>(), [((1, 1), false), ((20, 100), false), ((1, 1000), false), ((5, 100), true)]);
    assert_eq!(verdict(&t), "Accepted=True BackendNotFound=False");
    assert_eq!(t.reports[0].path_text(), "spec.rules[3].filters[0].requestMirror.backendRef.name");
}

#[test]
fn cross_origin_rules_are_read() {
    let cors = json!({"allowOrigins": ["https://a.example", "http://127.0.0.1:3000", "https://*.b.example"], "allowMethods": ["PUT"],
        "allowHeaders": ["*"], "exposeHeaders": ["x-a"], "allowCredentials": true});
    let t = ruled(json!([{"filters": [{"type": "CORS", "cors": cors}]}]));
    let Filter::Cors(cors) = &routes(&t)[0].rules[0].filters[0] else { panic!("a cross-origin filter") };
    assert_eq!((cors.allow_origins.len(), cors.allow_credentials, cors.max_age), (3, true, Duration::from_secs(5)));
    assert_eq!((&*cors.allow_methods[0], &*cors.allow_headers[0], &*cors.expose_headers[0]), ("PUT", "*", "x-a"));
}

#[test]
fn problems_point_at_the_item_and_say_what_to_do() {
    let t = ruled(json!([{"backendRefs": [{"name": "s", "port": 80}, {"name": "gone", "port": 80}, {"name": "s", "port": 81}]}]));
    let found: Vec<_> = t.reports.iter().map(|r| (r.path_text(), r.fix.is_some())).collect();
    assert_eq!(found, [("spec.rules[0].backendRefs[1].name".into(), true), ("spec.rules[0].backendRefs[2].port".into(), true)]);
}

#[test]
fn a_port_that_cannot_carry_the_route_is_no_backend() {
    let parents = json!([{"group": "", "kind": "Service", "name": "s"}]);
    for (protocol, want) in
        [("kubernetes.io/h2c", "ResolvedRefs=True"), ("https", "UnsupportedProtocol=False"), ("tcp", "UnsupportedProtocol=False")]
    {
        let t = object("v1", "Service", ("a", "t"), json!({"spec": {"ports": [{"port": 80, "appProtocol": protocol}]}}));
        let spec = json!({"parentRefs": parents, "rules": [{"backendRefs": [{"name": "t", "port": 80}]}]});
        assert_eq!(verdict(&run(&[service("a", "s"), t, route("a", spec)])), format!("Accepted=True {want}"), "{protocol}");
    }
}

#[test]
fn a_route_without_rules_matches_everything() {
    let parents = json!([{"group": "", "kind": "Service", "name": "s"}]);
    let t = run(&[service("a", "s"), route("a", json!({"parentRefs": parents}))]);
    assert_eq!(routes(&t)[0].rules[0].matches[0].matches.path, Some(PathMatch::prefix("/")));
}

#[test]
fn two_references_to_one_listener_attach_once() {
    let gw = gateway(json!([{"name": "web", "port": 80, "protocol": "HTTP"}]));
    let t = run(&[gw, route("a", json!({"parentRefs": [{"name": "gw"}, {"name": "gw", "sectionName": "web"}], "rules": [{}]}))]);
    assert_eq!((routes(&t)[0].attachments.len(), t.statuses[0].parents.len(), t.statuses[1].listeners[0].attached_routes), (1, 2, 1));
}

/// `Kind=Status/Reason` of each condition.
fn told(conditions: &[Condition]) -> Vec<String> {
    conditions.iter().map(|c| format!("{}={}/{}", c.kind, c.status.as_str(), c.reason)).collect()
}

#[test]
fn conflicting_listeners_serve_nothing_and_take_no_route() {
    let t = run(&[
        gateway(json!([{"name": "a", "port": 80, "protocol": "HTTP"}, {"name": "b", "port": 80, "protocol": "HTTP"},
            {"name": "c", "port": 81, "protocol": "HTTP"}])),
        route("a", json!({"parentRefs": [{"name": "gw", "sectionName": "a"}], "rules": [{}]})),
    ]);
    assert_eq!(verdict(&t), "NoMatchingParent=False ResolvedRefs=True");
    let status = t.statuses.iter().find(|s| &*s.object.kind == "Gateway").unwrap();
    assert_eq!(told(&status.conditions), ["Accepted=True/ListenersNotValid", "Programmed=False/Pending"]);
    let conflict = "HostnameConflict";
    let want = [
        format!("Accepted=False/{conflict}"),
        "ResolvedRefs=True/ResolvedRefs".into(),
        format!("Programmed=False/{conflict}"),
        format!("Conflicted=True/{conflict}"),
    ];
    assert_eq!(told(&status.listeners[0].conditions), want);
    assert_eq!(t.reports[0].path_text(), "spec.listeners[0].hostname");
}

#[test]
fn a_listener_with_one_unknown_kind_serves_the_known_one() {
    let kinds = json!({"kinds": [{"kind": "HTTPRoute"}, {"kind": "Odd"}]});
    let t = run(&[
        gateway(json!([{"name": "web", "port": 80, "protocol": "HTTP", "allowedRoutes": kinds}])),
        route("a", json!({"parentRefs": [{"name": "gw"}], "rules": [{}]})),
    ]);
    assert_eq!(verdict(&t), "Accepted=True ResolvedRefs=True");
    let listener = &t.statuses[1].listeners[0];
    assert_eq!(listener.supported_kinds.len(), 1);
    assert_eq!(told(&listener.conditions)[..2], ["Accepted=True/Accepted", "ResolvedRefs=False/InvalidRouteKinds"]);
    assert_eq!(t.reports[0].path_text(), "spec.listeners[0].allowedRoutes.kinds[1].kind");
    assert!(t.resources.iter().any(|r| matches!(r, Resource::Listener(l) if l.broken.is_none())));
}

#[test]
fn gateways_that_cannot_serve_say_so() {
    let spec = |spec: Value| run(&[object(API, "Gateway", ("a", "gw"), json!({"spec": spec}))]);
    let listeners = json!([{"name": "web", "port": 80, "protocol": "HTTP"}]);
    let empty = spec(json!({"gatewayClassName": "organza", "listeners": []}));
    assert_eq!(told(&empty.statuses[0].conditions), ["Accepted=False/ListenersNotValid", "Programmed=False/Invalid"]);
    for (field, value, want) in [
        ("infrastructure", json!({"parametersRef": {"group": "x", "kind": "Y", "name": "z"}}), "InvalidParameters"),
        ("addresses", json!([{"type": "IPAddress", "value": "300.0.0.1"}]), "UnsupportedAddress"),
    ] {
        let mut body = json!({"gatewayClassName": "organza", "listeners": listeners});
        body[field] = value;
        let t = spec(body);
        assert_eq!(told(&t.statuses[0].conditions), [format!("Accepted=False/{want}"), "Programmed=False/Invalid".into()]);
        assert!(t.resources.iter().all(|r| matches!(r, Resource::Listener(l) if l.broken.is_some())));
        assert!(t.reports[0].path_text().starts_with(&format!("spec.{field}")) && t.reports[0].fix.is_some());
    }
    let stranger = spec(json!({"gatewayClassName": "other", "listeners": listeners}));
    assert!(stranger.statuses.is_empty() && stranger.resources.is_empty());
    assert_eq!((stranger.reports[0].path_text().as_str(), stranger.reports[0].severity), ("spec.gatewayClassName", Severity::Warning));
}

#[test]
fn of_an_http_and_a_grpc_route_of_one_host_the_older_is_accepted() {
    let dated = |kind: &str, created: &str, host: &str| {
        let spec = json!({"parentRefs": [{"name": "gw"}], "hostnames": [host], "rules": [{}]});
        let mut made = object(API, kind, ("a", "r"), json!({"spec": spec}));
        std::sync::Arc::make_mut(&mut made.value)["metadata"]["creationTimestamp"] = json!(created);
        made
    };
    let gw = gateway(json!([{"name": "web", "port": 80, "protocol": "HTTP"}]));
    let accepted = |http: &str, grpc: &str, host: &str| {
        let t = run(&[gw.clone(), dated("HTTPRoute", http, "a.example"), dated("GRPCRoute", grpc, host)]);
        let mut kinds: Vec<_> = routes(&t).iter().map(|r| r.protocol).collect();
        kinds.sort_by_key(|p| *p == RouteProtocol::Http);
        kinds
    };
    let (old, new) = ("2020-09-08T01:02:03Z", "2020-09-08T01:02:04Z");
    assert_eq!(accepted(old, new, "*.example"), [RouteProtocol::Http]);
    assert_eq!(accepted(new, old, "*.example"), [RouteProtocol::Grpc]);
    assert_eq!(accepted(new, old, "b.example"), [RouteProtocol::Grpc, RouteProtocol::Http]);
}

#[test]
fn host_names_that_cannot_be_read_are_reported() {
    let spec = json!({"parentRefs": [{"name": "gw"}], "hostnames": ["a.example", "10.0.0.1"], "rules": [{}]});
    let t = run(&[gateway(json!([{"name": "web", "port": 80, "protocol": "HTTP"}])), route("a", spec)]);
    assert_eq!(t.reports[0].path_text(), "spec.hostnames[1]");
    assert_eq!(routes(&t)[0].attachments[0].hosts, [HostPattern::parse("a.example").unwrap()]);
}

#[test]
fn the_shop_of_the_demo_has_no_problem() {
    let folder = std::path::Path::new("../examples/shop");
    let mut objects = Vec::new();
    for file in ["gateway.yaml", "routes.yaml", "services.yaml"] {
        objects.extend(yaml::read(&std::fs::read_to_string(folder.join(file)).unwrap()));
    }
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 3, "every file of the example is read");
    let t = run(&objects);
    assert_eq!(t.reports, []);
    let conditions = t.statuses.iter().flat_map(|s| s.parents.iter().flat_map(|p| &p.conditions));
    assert!(conditions.clone().count() == 4 && conditions.into_iter().all(|c| c.status == ConditionStatus::True));
    let catalog = routes(&t).into_iter().find(|r| &*r.key.name == "httproute.catalog").unwrap();
    let weights: Vec<u32> = catalog.rules[1].backends.iter().map(|b| b.weight).collect();
    assert_eq!((&*catalog.rules[0].name, weights), ("canary", vec![90, 10]));
    assert!(catalog.rules[0].matches[0].rank < catalog.rules[1].matches[0].rank, "the header match goes first");
}

#[test]
fn a_parent_that_does_not_exist_is_reported() {
    let gw = gateway(json!([{"name": "web", "port": 80, "protocol": "HTTP"}]));
    for (parents, place) in [
        (json!([{"name": "other"}]), "spec.parentRefs[0].name"),
        (json!([{"name": "gw"}, {"name": "gw", "kind": "Listener"}]), "spec.parentRefs[1].kind"),
        (json!([]), "spec"),
    ] {
        let t = run(&[gw.clone(), route("a", json!({"parentRefs": parents, "rules": [{}]}))]);
        assert_eq!(t.reports.iter().map(Report::path_text).collect::<Vec<_>>(), [place]);
        assert!(t.reports[0].fix.is_some());
    }
    let mut foreign = gw;
    std::sync::Arc::make_mut(&mut foreign.value)["spec"]["gatewayClassName"] = json!("theirs");
    let class = object(API, "GatewayClass", ("", "theirs"), json!({"spec": {"controllerName": "example.com/x"}}));
    let t = run(&[foreign, class, route("a", json!({"parentRefs": [{"name": "gw"}], "rules": [{}]}))]);
    assert!(t.reports.is_empty() && t.statuses.is_empty(), "what others serve is none of our business");
}

#[test]
fn of_two_objects_of_one_name_the_first_counts() {
    let parents = json!([{"group": "", "kind": "Service", "name": "s"}]);
    let named = |rule: &str| route("a", json!({"parentRefs": parents, "rules": [{"name": rule}]}));
    let t = run(&[service("a", "s"), named("first"), named("second"), named("third")]);
    assert_eq!(routes(&t).iter().map(|r| &*r.rules[0].name).collect::<Vec<_>>(), ["first"]);
    assert_eq!(t.reports.iter().map(|r| &*r.reason).collect::<Vec<_>>(), ["Repeated", "Repeated"]);
}

#[test]
fn paths_that_can_never_match_are_refused() {
    let read = |path: &str| super::matches::http(&json!({"path": {"type": "Exact", "value": path}})).is_ok();
    for good in ["/", "/a", "/a/", "/a%20b", "/a.b/..c/d..", "/%C3%A9", "/a:b@c;d=e,f"] {
        assert!(read(good), "{good}");
    }
    for bad in ["", "a", "/a//b", "/a/./b", "/a/..", "/a/.", "/a%2Fb", "/a%2fb", "/a b", "/é", "/a?b", "/a#b", "/%", "/%4", "/%zz", "/a\\b"]
    {
        assert!(!read(bad), "{bad}");
    }
}

#[test]
fn listeners_that_mean_something_else_than_would_be_served_are_refused() {
    for (listener, place) in [
        (json!({"name": "a", "port": 80, "protocol": "HTTP", "tls": {"mode": "Terminate"}}), "spec.listeners[0].tls"),
        (json!({"name": "a", "port": 80, "protocol": "TCP", "hostname": "a.example"}), "spec.listeners[0].hostname"),
        (json!({"name": "a", "port": 80, "protocol": "UDP", "hostname": "a.example"}), "spec.listeners[0].hostname"),
        (json!({"name": "a", "port": 80, "protocol": "UDP", "tls": {"mode": "Terminate"}}), "spec.listeners[0].tls"),
        (json!({"name": "a", "port": 0, "protocol": "HTTP"}), "spec.listeners[0].port"),
        (json!({"port": 80, "protocol": "HTTP"}), "spec.listeners[0].name"),
        (json!({"name": "a", "port": 80, "protocol": "HTTP", "hostname": "a..b"}), "spec.listeners[0].hostname"),
    ] {
        let t = run(&[gateway(json!([listener]))]);
        assert_eq!(t.reports.iter().map(Report::path_text).collect::<Vec<_>>(), [place]);
        assert_eq!(told(&t.statuses[0].conditions), ["Accepted=False/ListenersNotValid", "Programmed=False/Invalid"]);
    }
}

#[test]
fn a_rule_that_redirects_has_no_backends() {
    let t = ruled(json!([{"filters": [{"type": "RequestRedirect", "requestRedirect": {}}], "backendRefs": [{"name": "s", "port": 80}]}]));
    assert_eq!(
        (verdict(&t).as_str(), t.reports[0].path_text().as_str()),
        ("IncompatibleFilters=False ResolvedRefs=True", "spec.rules[0].backendRefs")
    );
}

#[test]
fn mistakes_of_a_route_that_nobody_serves_are_told_too() {
    let t = run(&[route("a", json!({"parentRefs": [{"name": "gone"}], "rules": [{"retry": {"attempts": 101}}]}))]);
    assert_eq!(t.reports.iter().map(Report::path_text).collect::<Vec<_>>(), ["spec.parentRefs[0].name", "spec.rules[0].retry.attempts"]);
    assert!(t.statuses.is_empty() && t.resources.is_empty());
}

#[test]
fn a_filter_has_the_body_of_its_type_and_no_other() {
    for (filter, place) in [
        (json!({"type": "CORS"}), "type"),
        (json!({"type": "RequestRedirect", "urlRewrite": {}}), "type"),
        (json!({"type": "RequestRedirect", "requestRedirect": {}, "cors": {}}), "cors"),
    ] {
        let t = ruled(json!([{"filters": [filter]}]));
        assert_eq!(t.reports[0].path_text(), format!("spec.rules[0].filters[0].{place}"));
        assert!(invalid(&routes(&t)[0].rules[0]));
    }
}

#[test]
fn a_class_of_ours_is_accepted_unless_it_has_parameters() {
    for (parameters, want) in
        [(Value::Null, "Accepted=True/Accepted"), (json!({"kind": "X", "name": "y"}), "Accepted=False/InvalidParameters")]
    {
        let spec = json!({"controllerName": crate::gateway_api::CONTROLLER, "parametersRef": parameters});
        let gw = json!({"spec": {"gatewayClassName": "c", "listeners": [{"name": "a", "port": 80, "protocol": "HTTP"}]}});
        let t = run(&[object(API, "GatewayClass", ("", "c"), json!({"spec": spec})), object(API, "Gateway", ("a", "gw"), gw)]);
        assert_eq!((told(&t.statuses[0].conditions), &told(&t.statuses[1].conditions)[0]), (vec![want.to_owned()], &want.to_owned()));
        let places: Vec<_> = t.reports.iter().map(Report::path_text).collect();
        assert!(places.is_empty() || places == ["spec.parametersRef.kind", "spec.gatewayClassName"]);
    }
}

#[test]
fn a_policy_names_so_many_gateways_or_targets_in_its_status() {
    let targets: Vec<_> =
        (0..=crate::limits::ANCESTORS).map(|i| json!({"group": "", "kind": "Service", "name": format!("s{i}")})).collect();
    let validation = json!({"hostname": "s.example", "wellKnownCACertificates": "System"});
    let spec = json!({"spec": {"targetRefs": targets, "validation": validation}});
    let t = run(&[object(API, "BackendTLSPolicy", ("a", "p"), spec)]);
    let status = t.statuses.iter().find(|status| *status.object.kind == *"BackendTLSPolicy").unwrap();
    assert_eq!(status.parents.len(), crate::limits::ANCESTORS);
}
