use crate::schema::check;
use crate::tests::{object, run, service};
use crate::{Translation, file};
use model::Resource;
use model::rate::RatePolicy;
use serde_json::{Value, json};
use std::sync::Arc;

const HEAD: &str = "apiVersion: organza.dev/v1alpha1\nkind: RateLimitPolicy\nmetadata: {name: p, namespace: a}\nspec:\n";

fn policies(t: &Translation) -> Vec<&Arc<RatePolicy>> {
    t.resources.iter().filter_map(|r| if let Resource::RateLimit(p) = r { Some(p) } else { None }).collect()
}

#[test]
fn mistakes_are_told_with_their_place() {
    let told = |refs: &str, limit: &str| {
        let text = format!("{HEAD}  targetRefs: [{refs}]\n  limits: [{limit}]\n");
        let (objects, found) = file::parse("p.yaml", &text);
        assert!(found.is_empty(), "{found:?}");
        check(objects).1.into_iter().map(|found| found.report.path_text()).collect::<Vec<_>>()
    };
    let service = "{kind: Service, name: s}";
    assert_eq!(told(service, "{name: x, requests: 1}"), Vec::<String>::new());
    let cases = [
        ("{name: x, requests: 0}", "spec.limits[0].requests"),
        ("{name: x, requests: 1000001}", "spec.limits[0].requests"),
        ("{name: x, requests: 1, burst: 0}", "spec.limits[0].burst"),
        ("{name: x, requests: 1, window: 500ms}", "spec.limits[0].window"),
        ("{name: x, requests: 1, window: 25h}", "spec.limits[0].window"),
        ("{name: 'x\"', requests: 1}", "spec.limits[0].name"),
        ("{name: x, requests: 1, by: [{type: Colour}]}", "spec.limits[0].by[0].type"),
        ("{name: x, requests: 1, by: [{type: Header}]}", "spec.limits[0].by[0]"),
        ("{name: x, requests: 1, by: [{type: Route}]}", "spec"),
        ("{name: x, requests: 1}, {name: x, requests: 2}", "spec.limits[1]"),
        ("{name: x, request: 1}", "spec.limits[0].request"),
    ];
    for (limit, path) in cases {
        let found = told(service, limit);
        assert!(found.iter().any(|found| found == path), "{limit}: {found:?}");
    }
    let gateway = "{group: gateway.networking.k8s.io, kind: Gateway, name: g}";
    assert_eq!(told(gateway, "{name: x, requests: 1, by: [{type: Route}]}"), Vec::<String>::new());
}

#[test]
fn what_no_schema_saw_limits_by_what_can_be_read() {
    let policy = |limits: Value| {
        let spec = json!({"targetRefs": [{"kind": "Service", "name": "s"}], "limits": limits});
        run(&[service("a", "s"), object("organza.dev/v1alpha1", "RateLimitPolicy", ("a", "p"), json!({ "spec": spec }))])
    };
    let good = json!({"name": "good", "requests": 5});
    let odd = [
        json!(3),
        json!({"requests": 1}),
        json!({"name": "x"}),
        json!({"name": "x", "requests": 0}),
        json!({"name": "x", "requests": 1, "burst": 2_000_000}),
        json!({"name": "x", "requests": 1, "window": "0s"}),
        json!({"name": "x", "requests": 1, "window": "25h"}),
        json!({"name": "x", "requests": 1, "by": "all"}),
        json!({"name": "x", "requests": 1, "by": [{"type": "Header", "header": {"name": "a b"}}]}),
    ];
    for limit in odd {
        let t = policy(json!([limit, good]));
        assert_eq!(policies(&t)[0].limits.len(), 1, "{limit}");
        assert_eq!(t.reports.len(), 1, "{limit}: {:?}", t.reports);
        let status = t.statuses.iter().find(|s| *s.object.kind == *"RateLimitPolicy").unwrap();
        assert_eq!(&*status.parents[0].conditions[0].reason, "Invalid", "{limit}");
        assert!(policies(&policy(json!([limit]))).is_empty(), "{limit}");
    }
    let by_route = policy(json!([{"name": "x", "requests": 1, "by": [{"type": "Route"}]}]));
    assert!(policies(&by_route).is_empty(), "beside a workload no route is known");
}
