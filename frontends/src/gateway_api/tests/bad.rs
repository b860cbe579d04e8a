//! What bad input gets: the condition that the specification names, and nothing else is harmed. What a cluster takes though it cannot be used, for files are
//! judged by their schemas before.

use super::told;
use crate::tests::*;
use crate::{Object, Translation};
use model::*;
use serde_json::{Value, json};

fn named(t: &Translation, kind: &str, name: &str) -> Vec<String> {
    let status = t.statuses.iter().find(|status| &*status.object.kind == kind && &*status.object.name == name).unwrap();
    told(status.parents.first().map_or(&status.conditions, |parent| &parent.conditions))
}

fn on_gateway(name: &str, rules: Value) -> Object {
    let spec = json!({"parentRefs": [{"name": "gw"}], "rules": rules});
    object("gateway.networking.k8s.io/v1", "HTTPRoute", ("a", name), json!({ "spec": spec }))
}

fn plain() -> Object {
    gateway(json!([{"name": "web", "port": 80, "protocol": "HTTP"}]))
}

fn good() -> Object {
    on_gateway("good", json!([{"backendRefs": [{"name": "s", "port": 80}]}]))
}

/// What is served of one route.
fn served<'t>(t: &'t Translation, name: &str) -> Option<&'t Route> {
    t.resources.iter().find_map(|resource| match resource {
        Resource::Route(route) if *route.origin.object.name == *name => Some(&**route),
        _ => None,
    })
}

#[test]
fn a_thousand_routes_with_a_bad_expression_say_so_and_the_next_is_served_as_ever() {
    let rules = json!([{"matches": [{"path": {"type": "RegularExpression", "value": "("}}], "backendRefs": [{"name": "s", "port": 80}]}]);
    let alone = run(&[plain(), service("a", "s"), good()]);
    let mut all: Vec<Object> = (0..1000).map(|at| on_gateway(&format!("bad-{at}"), rules.clone())).collect();
    all.extend([plain(), service("a", "s"), good()]);
    let t = run(&all);
    let of_routes = t.reports.iter().filter(|report| &*report.object.kind == "HTTPRoute");
    assert!(
        of_routes.clone().count() == 1000 && of_routes.clone().all(|report| report.path_text() == "spec.rules[0].matches[0].path.value")
    );
    assert_eq!(named(&t, "HTTPRoute", "bad-999")[0], "Accepted=False/UnsupportedValue");
    assert_eq!((named(&t, "HTTPRoute", "good"), served(&t, "good")), (named(&alone, "HTTPRoute", "good"), served(&alone, "good")));
}

#[test]
fn a_secret_that_is_taken_away_closes_its_listener_and_no_other() {
    let pem = |label: &str| format!("-----BEGIN {label}-----\nMAMCAQE=\n-----END {label}-----\n");
    let data = json!({"tls.crt": pem("CERTIFICATE"), "tls.key": pem("PRIVATE KEY")});
    let secret = |name| object("v1", "Secret", ("a", name), json!({"type": "kubernetes.io/tls", "stringData": data}));
    let door = |name: &str, host: &str| json!({"name": name, "port": 443, "protocol": "HTTPS", "hostname": host, "tls": {"certificateRefs": [{"name": name}]}});
    let gateway = gateway(json!([door("one", "one.example"), door("two", "two.example")]));
    let listener = |t: &Translation, name: &str| {
        let found =
            t.resources.iter().find_map(|r| if let Resource::Listener(l) = r { (*l.section == *name).then(|| l.clone()) } else { None });
        found.unwrap()
    };
    let before = run(&[gateway.clone(), secret("one"), secret("two")]);
    assert!(listener(&before, "one").broken.is_none() && listener(&before, "two").broken.is_none());
    let after = run(&[gateway, secret("two")]);
    assert_eq!(listener(&after, "one").broken.as_deref(), Some("InvalidCertificateRef"));
    assert_eq!(listener(&after, "two"), listener(&before, "two"));
    assert_eq!(named(&after, "Gateway", "gw")[0], "Accepted=True/ListenersNotValid");
}

#[test]
fn a_class_of_another_controller_is_its_own_business_whatever_it_is_called() {
    let class = |controller: &str| {
        object("gateway.networking.k8s.io/v1", "GatewayClass", ("", "organza"), json!({"spec": {"controllerName": controller}}))
    };
    let theirs = run(&[class("example.com/other"), plain(), service("a", "s"), good()]);
    assert!(
        theirs.statuses.iter().all(|status| !matches!(&*status.object.kind, "GatewayClass" | "Gateway")),
        "nothing is said of what is theirs"
    );
    assert!(!theirs.resources.iter().any(|resource| matches!(resource, Resource::Listener(_))));
    // Of two of one name the first counts, and that there is another is told.
    let both = run(&[class("organza.dev/gateway-controller"), class("example.com/other"), plain(), service("a", "s"), good()]);
    assert!(both.reports.iter().any(|report| &*report.reason == "Repeated"));
    assert_eq!(named(&both, "HTTPRoute", "good")[0], "Accepted=True/Accepted");
}

/// As large as an API server takes.
#[test]
fn an_object_of_a_megabyte_is_read_like_any_other() {
    let value = "x".repeat(1000);
    let filters = json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-a", "value": value}]}}]);
    let rule = |at: usize| json!({"matches": [{"path": {"type": "PathPrefix", "value": format!("/{at}")}}], "filters": filters, "backendRefs": [{"name": "s", "port": 80}]});
    let large = on_gateway("large", (0..900).map(rule).collect());
    assert!(large.value.to_string().len() > 1_000_000);
    let t = run(&[plain(), service("a", "s"), large, good()]);
    assert_eq!((named(&t, "HTTPRoute", "large")[0].as_str(), t.reports.len()), ("Accepted=True/Accepted", 0));
    assert_eq!(served(&t, "large").unwrap().rules.len(), 900);
    assert_eq!(named(&t, "HTTPRoute", "good")[0], "Accepted=True/Accepted");
}
