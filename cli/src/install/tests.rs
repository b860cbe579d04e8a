use super::*;
use std::collections::BTreeSet;

fn all() -> Vec<Value> {
    objects(&manifest(IMAGE, DOMAIN, false).unwrap()).unwrap()
}

fn of<'o>(objects: &'o [Value], kind: &str) -> &'o Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap()
}

/// `group/resource verb`, of the ClusterRole.
fn allowed() -> BTreeSet<String> {
    let objects = all();
    let words = |value: &Value| value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let mut allowed = BTreeSet::new();
    for rule in of(&objects, "ClusterRole")["rules"].as_array().unwrap() {
        for (group, resource) in
            words(&rule["apiGroups"]).iter().flat_map(|g| words(&rule["resources"]).into_iter().map(move |r| (g.clone(), r)))
        {
            allowed.extend(words(&rule["verbs"]).into_iter().map(|verb| format!("{group}/{resource} {verb}")));
        }
    }
    allowed
}

#[test]
fn the_role_lets_every_kind_be_watched_and_nothing_be_deleted() {
    let allowed = allowed();
    for (group, kind) in frontends::schema::kinds() {
        let lower = kind.to_lowercase();
        let plural = match lower.strip_suffix('y') {
            Some(stem) if !lower.ends_with("way") => format!("{stem}ies"),
            _ if lower.ends_with("ss") || lower.ends_with("sh") => format!("{lower}es"),
            _ => format!("{lower}s"),
        };
        for verb in ["list", "watch"] {
            let named = allowed.contains(&format!("{group}/{plural} {verb}")) || allowed.contains(&format!("{group}/* {verb}"));
            assert!(named, "{group}/{plural} {verb}");
        }
    }
    assert!(allowed.contains("apiextensions.k8s.io/customresourcedefinitions get"));
    assert!(allowed.iter().all(|one| !one.ends_with(" delete") && !one.ends_with(" *")));
    // Of what users write nothing but statuses is written to, and a class is held while it is in use.
    let is_users =
        |one: &&String| ["gateway.networking", "organza.dev"].iter().any(|group| one.starts_with(group)) && !one.contains("/status ");
    let is_read = |one: &&String| ["get", "list", "watch"].iter().any(|verb| one.ends_with(&format!(" {verb}")));
    let written: Vec<&String> = allowed.iter().filter(|one| is_users(one) && !is_read(one)).collect();
    assert_eq!(written, ["gateway.networking.k8s.io/gatewayclasses patch", "gateway.networking.k8s.io/gateways/finalizers update"]);
}

#[test]
fn the_image_is_that_of_proxies_too_and_pods_are_restricted() {
    let objects = objects(&manifest("reg.example.com/o:2", "mesh.example", false).unwrap()).unwrap();
    let deployment = of(&objects, "Deployment");
    assert_eq!(deployment["spec"]["replicas"], 2);
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["image"], "reg.example.com/o:2");
    let arguments: Vec<&str> = container["args"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
    assert!(arguments.contains(&"--image=reg.example.com/o:2") && arguments.contains(&"--trust-domain=mesh.example"));
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
    assert_eq!(
        (&pod["securityContext"]["runAsNonRoot"], &container["securityContext"]["readOnlyRootFilesystem"]),
        (&true.into(), &true.into())
    );
}

#[test]
fn our_crds_come_and_gateway_apis_do_not() {
    let names: Vec<String> = all()
        .iter()
        .filter(|o| o["kind"] == "CustomResourceDefinition")
        .map(|o| o["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(names.contains(&"accesspolicies.organza.dev".to_owned()));
    assert!(names.iter().all(|name| name.ends_with(".organza.dev")));
}

#[test]
fn what_is_no_image_is_refused() {
    assert!(manifest("a b", DOMAIN, false).is_err());
    assert!(manifest(IMAGE, "UPPER case", false).is_err());
}

#[test]
fn a_webhook_is_answered_and_asked_where_it_is_wanted_and_fails_open_for_what_is_not_ours() {
    let without = all();
    assert!(without.iter().all(|object| object["kind"] != "ValidatingWebhookConfiguration"));
    let arguments = |objects: &[Value]| of(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"].clone();
    assert!(!arguments(&without).to_string().contains("--webhook"));
    let with = objects(&manifest(IMAGE, DOMAIN, true).unwrap()).unwrap();
    assert_eq!(arguments(&with).as_array().unwrap().last().unwrap(), "--webhook");
    let webhooks = of(&with, "ValidatingWebhookConfiguration")["webhooks"].as_array().unwrap();
    let policy = |group: &str| {
        let asks = |webhook: &&Value| webhook["rules"].to_string().contains(&format!("\"{group}\""));
        webhooks.iter().find(asks).map(|webhook| webhook["failurePolicy"].as_str().unwrap())
    };
    assert_eq!(policy("organza.dev"), Some("Fail"));
    assert_eq!(
        (policy("gateway.networking.k8s.io"), policy("gateway.networking.x-k8s.io"), policy("")),
        (Some("Ignore"), Some("Ignore"), None)
    );
}

/// An API server that knows classes and takes what is applied; those by the name `going` were deleted before.
fn cluster() -> Client {
    use bytes::Bytes;
    let server = tower::service_fn(|request: http::Request<_>| async move {
        let resources = serde_json::json!([
            {"name": "gatewayclasses", "singularName": "gatewayclass", "namespaced": false, "kind": "GatewayClass", "verbs": ["patch"]},
        ]);
        let mut body = serde_json::json!({"groupVersion": "gateway.networking.k8s.io/v1", "resources": resources});
        if request.method() == http::Method::PATCH {
            let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            body = serde_json::json!({"metadata": {"name": name}});
            if name == "going" {
                body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            }
        }
        let answer = http::Response::builder().body(http_body_util::Full::new(Bytes::from(body.to_string())));
        answer.map_err(std::io::Error::other)
    });
    Client::new(server, "default")
}

#[tokio::test]
async fn what_is_applied_over_an_object_that_goes_is_said_to_go() {
    let class = |name: &str| {
        let mut class = of(&all(), "GatewayClass").clone();
        class["metadata"]["name"] = name.into();
        class
    };
    apply(&cluster(), &[class("organza")]).await.expect("it stands");
    let goes = apply(&cluster(), &[class("going"), class("organza")]).await.expect_err("one of them goes");
    assert_eq!(goes.code, crate::failure::Code::Problems);
    assert_eq!(goes.what, "GatewayClass going was deleted before, and goes when nothing holds it any more");
    assert!(goes.remedy.is_some_and(|remedy| remedy.contains("run this again")));
}
