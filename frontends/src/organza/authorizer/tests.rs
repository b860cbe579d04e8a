use crate::organza::tests::are_told_and_held_closed;
use crate::tests::{object, run, service};
use crate::{Translation, limits};
use model::authorizer::ExternalAuthorizer;
use model::{Backend, Resource};
use serde_json::{Value, json};
use std::sync::Arc;

const HEAD: &str = "apiVersion: organza.dev/v1alpha1\nkind: ExternalAuthorizer\nmetadata: {name: p, namespace: a}\nspec:\n  targetRefs: [{kind: Service, name: s}]\n";

fn all(t: &Translation) -> Vec<&Arc<ExternalAuthorizer>> {
    t.resources.iter().filter_map(|r| if let Resource::ExternalAuthorizer(one) = r { Some(one) } else { None }).collect()
}

/// There is nobody to ask, and nothing is let through.
fn is_closed(t: &Translation) -> bool {
    matches!(&all(t)[..], [one] if matches!(one.asked.backend, Backend::Invalid { .. }) && !one.asked.fail_open)
}

#[test]
fn mistakes_are_told_with_their_place_and_held_closed() {
    let to = "  backendRef: {name: s, port: 80}\n";
    let cases = [
        ("  protocol: HTTP\n".to_owned(), "spec"),
        (to.to_owned(), "spec"),
        (format!("  protocol: SOAP\n{to}"), "spec.protocol"),
        (format!("  protocol: HTTP\n  grpc: {{}}\n{to}"), "spec"),
        (format!("  protocol: GRPC\n  http: {{}}\n{to}"), "spec"),
        (format!("  protocol: HTTP\n  http: {{path: check}}\n{to}"), "spec.http.path"),
        (format!("  protocol: HTTP\n  forwardBody: {{maxSize: -1}}\n{to}"), "spec.forwardBody.maxSize"),
        (format!("  protocol: HTTP\n  forwardBody: {{maxSize: 1048577}}\n{to}"), "spec.forwardBody.maxSize"),
        (format!("  protocol: HTTP\n  timeout: 2m\n{to}"), "spec.timeout"),
        (format!("  protocol: HTTP\n  failOpen: maybe\n{to}"), "spec.failOpen"),
        (format!("  protocol: HTTP\n  failClosed: true\n{to}"), "spec.failClosed"),
    ];
    are_told_and_held_closed(HEAD, &format!("  protocol: HTTP\n{to}"), &cases, is_closed);
}

#[test]
fn what_no_schema_saw_lets_nobody_through() {
    let with = |more: Value| {
        let target = json!([{"kind": "Service", "name": "s"}]);
        let mut spec = json!({"targetRefs": target, "protocol": "HTTP", "failOpen": true, "backendRef": {"name": "s", "port": 80}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        run(&[service("a", "s"), object("organza.dev/v1alpha1", "ExternalAuthorizer", ("a", "p"), json!({ "spec": spec }))])
    };
    assert!(all(&with(json!({})))[0].asked.fail_open);
    let most = with(json!({"forwardBody": {"maxSize": limits::AUTHORIZER_BODY}, "timeout": "60s"}));
    let asked = &all(&most)[0].asked;
    assert_eq!((u64::from(asked.body), asked.timeout), (limits::AUTHORIZER_BODY, *limits::AUTHORIZER_TIME.end()));
    let odd = [
        json!({"protocol": 3}),
        json!({"grpc": {}}),
        json!({"http": {"path": "//a"}}),
        json!({"http": {"path": "/a/../b"}}),
        json!({"http": {"path": "/a?b"}}),
        json!({"http": {"path": "/a%2fb"}}),
        json!({"http": {"allowedHeaders": ["a b"]}}),
        json!({"http": {"allowedHeaders": "a"}}),
        json!({"http": {"allowedResponseHeaders": [3]}}),
        json!({"forwardBody": {"maxSize": "1k"}}),
        json!({"forwardBody": {"maxSize": limits::AUTHORIZER_BODY + 1}}),
        json!({"timeout": "0s"}),
        json!({"timeout": "60001ms"}),
        json!({"timeout": 5}),
        json!({"failOpen": "no"}),
    ];
    for more in odd {
        let t = with(more.clone());
        assert!(is_closed(&t), "{more}: {:?}", all(&t));
        assert_eq!(t.reports.len(), 1, "{more}: {:?}", t.reports);
        assert_eq!(t.statuses[0].parents[0].conditions[0].status.as_str(), "False", "{more}");
    }
}
