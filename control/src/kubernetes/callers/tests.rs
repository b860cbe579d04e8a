use super::*;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

/// An API server that knows three tokens, and lets `ann` tap and `sys` administer. What it was asked is kept.
pub fn server(asked: &Arc<Mutex<Vec<Value>>>) -> Callers {
    let asked = asked.clone();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let asked = asked.clone();
        async move {
            let is_token = request.uri().path().ends_with("/tokenreviews");
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let mut review: Value = serde_json::from_slice(&body).unwrap();
            asked.lock().unwrap().push(review["spec"].clone());
            review["status"] = if is_token { known(&review["spec"]) } else { allowed(&review["spec"]) };
            let answer = http::Response::builder().status(201).body(kube::client::Body::from(review.to_string().into_bytes()));
            Ok::<_, Infallible>(answer.unwrap())
        }
    });
    Callers { client: Client::new(service, "organza"), namespace: "organza-system".into(), mesh: "default".into() }
}

fn known(spec: &Value) -> Value {
    let for_us = spec["audiences"][0] == AUDIENCE;
    match spec["token"].as_str().unwrap() {
        "ann's" if for_us => {
            json!({"authenticated": true, "audiences": ["organza"], "user": {"username": "ann", "groups": ["g"], "uid": "1"}})
        }
        "sys's" if !for_us => json!({"authenticated": true, "audiences": ["api"], "user": {"username": "sys"}}),
        // A server that minds no audience.
        "other's" if for_us => json!({"authenticated": true, "audiences": ["vault"], "user": {"username": "sys"}}),
        _ => json!({"authenticated": false, "error": "token lookup failed"}),
    }
}

fn allowed(spec: &Value) -> Value {
    let may = [("ann", "tap"), ("sys", "administer")];
    let attributes = &spec["resourceAttributes"];
    json!({"allowed": may.iter().any(|(user, verb)| spec["user"] == *user && attributes["verb"] == *verb)})
}

#[tokio::test]
async fn the_api_server_says_who_it_is_and_what_he_may() {
    let asked = Arc::default();
    let callers = server(&asked);
    assert_eq!(callers.judge("ann's", Role::Tapper).await, Ok("ann".into()));
    let wanted = json!({"user": "ann", "groups": ["g"], "uid": "1", "resourceAttributes":
        {"group": "organza.dev", "resource": "meshes", "name": "default", "namespace": "organza-system", "verb": "tap"}});
    assert_eq!(asked.lock().unwrap().last(), Some(&wanted));
    assert_eq!(callers.judge("ann's", Role::Viewer).await, Ok("ann".into()), "who may tap may look");
    let refused = callers.judge("ann's", Role::Operator).await.unwrap_err();
    assert_eq!(refused.to_string(), "ann may not operate meshes of organza.dev in namespace organza-system");
    assert_eq!(callers.judge("sys's", Role::Viewer).await, Ok("sys".into()));
}

#[tokio::test]
async fn a_token_that_nobody_knows_or_that_is_for_another_is_refused() {
    let callers = server(&Arc::default());
    for token in ["", "nobody's", "other's"] {
        assert_eq!(callers.judge(token, Role::Viewer).await, Err(Refused::Unknown("token lookup failed".into())), "{token:?}");
    }
}

#[tokio::test]
async fn an_api_server_that_says_nothing_lets_nobody_in() {
    let service = tower::service_fn(async |_: http::Request<kube::client::Body>| {
        let answer = http::Response::builder().status(500).body(kube::client::Body::from(b"{}".to_vec()));
        Ok::<_, Infallible>(answer.unwrap())
    });
    let callers = Callers { client: Client::new(service, "organza"), ..server(&Arc::default()) };
    assert!(matches!(callers.judge("ann's", Role::Viewer).await, Err(Refused::Unanswered(_))));
}
