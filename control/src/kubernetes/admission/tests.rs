use super::*;
use std::sync::Arc;

const GATEWAY_API: &str = "gateway.networking.k8s.io";

fn review(group: &str, kind: &str, spec: &Value) -> Value {
    let version = if group == GATEWAY_API { "v1" } else { "v1alpha1" };
    let metadata = json!({"name": "one", "namespace": "shop", "managedFields": [{"manager": "kubectl"}]});
    let object = json!({"apiVersion": format!("{group}/{version}"), "kind": kind, "metadata": metadata, "spec": spec, "status": {}});
    json!({"apiVersion": VERSION, "kind": "AdmissionReview", "request": {"uid": "u-1", "operation": "CREATE", "namespace": "shop", "name": "one",
        "kind": {"group": group, "version": version, "kind": kind}, "object": object}})
}

fn world() -> World {
    let class = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "organza"},
        "spec": {"controllerName": frontends::gateway_api::CONTROLLER}});
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    let gateway = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "edge", "namespace": "shop"},
        "spec": {"gatewayClassName": "organza", "listeners": listeners}});
    let of = |kind: &str, namespace: &str, name: &str, value: Value| {
        Object::new(ObjectRef::new(GATEWAY_API, kind, namespace, name), "gateway.networking.k8s.io/v1", value)
    };
    let objects = vec![of("GatewayClass", "", "organza", class), of("Gateway", "shop", "edge", gateway)];
    World { objects: Arc::new(objects), ..World::default() }
}

fn asked(mut review: Value) -> Value {
    let question = read(&mut review).unwrap();
    answer(&question, &judged(&question, &world()))["response"].take()
}

fn route(parent: &str, regex: &str) -> Value {
    json!({"parentRefs": [{"name": parent}], "rules": [{"matches": [{"path": {"type": "RegularExpression", "value": regex}}],
        "backendRefs": [{"name": "later", "port": 80}]}]})
}

#[test]
fn what_is_wrong_in_itself_is_refused_and_what_may_be_early_is_warned_of() {
    let said = asked(review(GATEWAY_API, "HTTPRoute", &route("edge", "/a+")));
    assert_eq!((&said["uid"], &said["allowed"]), (&json!("u-1"), &json!(true)));
    assert!(said["warnings"].to_string().contains("later"), "{said}");
    let said = asked(review(GATEWAY_API, "HTTPRoute", &route("edge", "/(")));
    assert_eq!((&said["allowed"], &said["status"]["code"], &said["status"]["reason"]), (&json!(false), &json!(422), &json!("Invalid")));
    let message = said["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("organza: spec.rules[0].matches[0].path.value: "), "{message}");
}

#[test]
fn what_is_none_of_ours_is_let_through_without_a_word() {
    assert_eq!(asked(review(GATEWAY_API, "HTTPRoute", &route("elsewhere", "/("))), json!({"uid": "u-1", "allowed": true}));
    assert_eq!(asked(review("example.com", "Thing", &json!({}))), json!({"uid": "u-1", "allowed": true}));
    let mut gone = review(GATEWAY_API, "HTTPRoute", &route("edge", "/("));
    gone["request"]["object"] = Value::Null;
    assert_eq!(asked(gone), json!({"uid": "u-1", "allowed": true}));
    let mut foreign = route("elsewhere", "/a");
    foreign["fromTheFuture"] = json!(1);
    assert_eq!(asked(review(GATEWAY_API, "HTTPRoute", &foreign)), json!({"uid": "u-1", "allowed": true}));
}

/// It was written before anybody asked, or before a release that minds it.
#[test]
fn what_is_wrong_already_may_end_and_be_labelled_but_not_be_written_anew() {
    let mut ending = review(GATEWAY_API, "HTTPRoute", &route("edge", "/("));
    ending["request"]["operation"] = json!("UPDATE");
    ending["request"]["object"]["metadata"]["deletionTimestamp"] = json!("2026-09-21T14:13:15Z");
    assert_eq!(asked(ending), json!({"uid": "u-1", "allowed": true}));
    let mut labelled = review(GATEWAY_API, "HTTPRoute", &route("edge", "/("));
    labelled["request"]["operation"] = json!("UPDATE");
    labelled["request"]["oldObject"] = labelled["request"]["object"].clone();
    labelled["request"]["object"]["metadata"]["labels"] = json!({"team": "a"});
    let said = asked(labelled.clone());
    assert_eq!(said["allowed"], true);
    assert!(said["warnings"].to_string().contains("spec.rules[0].matches[0].path.value: "), "{said}");
    labelled["request"]["oldObject"]["spec"] = route("edge", "/[");
    assert_eq!(asked(labelled.clone())["allowed"], false);
    labelled["request"]["operation"] = json!("CREATE");
    labelled["request"]["oldObject"] = Value::Null;
    assert_eq!(asked(labelled)["allowed"], false);
}

/// A cluster with definitions of a later release takes what we do not know.
#[test]
fn what_the_cluster_has_judged_is_no_reason_to_refuse() {
    let mut spec = route("edge", "/a");
    spec["fromTheFuture"] = json!(1);
    let said = asked(review(GATEWAY_API, "HTTPRoute", &spec));
    assert_eq!(said["allowed"], true);
    assert!(said["warnings"].to_string().contains("fromTheFuture"), "{said}");
}

#[test]
fn what_is_no_question_is_not_read() {
    assert!(read(&mut json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": {"uid": "u"}})).is_none());
    assert!(read(&mut json!({"apiVersion": VERSION, "kind": "AdmissionReview"})).is_none());
    assert!(read(&mut Value::Null).is_none());
}

#[test]
fn so_much_is_said_and_no_more() {
    let question = Question { uid: "u".into(), object: None, is_unchanged: false };
    let long = "ü".repeat(limits::ADMISSION_MESSAGE);
    let verdict = Verdict { refused: vec![long.clone()], warnings: vec![long; limits::ADMISSION_WARNINGS + 1] };
    let said = answer(&question, &verdict)["response"].take();
    let warnings: Vec<&str> = said["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(warnings.len(), limits::ADMISSION_WARNINGS);
    let text = |said: &str| said.strip_prefix("organza: ").unwrap().strip_suffix('…').unwrap().len();
    assert!(warnings.iter().all(|said| text(said) == limits::ADMISSION_WARNING));
    assert_eq!(text(said["status"]["message"].as_str().unwrap()), limits::ADMISSION_MESSAGE);
}
