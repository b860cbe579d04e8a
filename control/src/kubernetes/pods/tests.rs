use super::*;
use serde_json::{Value, json};

fn judged(status: Value) -> Result<Pod, String> {
    whose(&serde_json::from_value(status).unwrap())
}

fn good() -> Value {
    json!({
        "authenticated": true, "audiences": [AUDIENCE],
        "user": {"username": "system:serviceaccount:shop:gateway-web", "extra": {POD: ["web-1"], "authentication.kubernetes.io/pod-uid": ["u"]}},
    })
}

#[test]
fn a_bound_token_for_us_says_whose_it_is() {
    let pod = Pod { namespace: "shop".into(), service_account: "gateway-web".into(), name: "web-1".into() };
    assert_eq!(judged(good()), Ok(pod));
}

#[test]
fn other_tokens_let_nobody_in() {
    let without = |change: fn(&mut Value)| {
        let mut status = good();
        change(&mut status);
        judged(status).unwrap_err()
    };
    assert!(without(|s| s["authenticated"] = false.into()).contains("not valid"));
    assert!(without(|s| s["audiences"] = json!(["https://kubernetes.default.svc"])).contains("not for"));
    assert!(without(|s| drop(s.as_object_mut().unwrap().remove("audiences"))).contains("not for"));
    assert!(without(|s| s["user"]["username"] = "admin".into()).contains("service account"));
    assert!(without(|s| s["user"]["extra"] = json!({})).contains("bound"));
}
