//! Questions to an API server that nobody watches: what an object looks like now, and what one may do there. For commands, not for the control plane.

use super::watch;
use kube::Client;
use serde_json::{Value, json};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The API server answers, but not this to us.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Unreachable(String),
}

pub(super) fn told(error: &kube::Error) -> AskError {
    match error {
        kube::Error::Api(_) => AskError::Refused(watch::told(error)),
        _ => AskError::Unreachable(watch::told(error)),
    }
}

/// What the API server has at a path; `None`: it has nothing there.
///
/// # Errors
/// If it does not answer, or does not tell us.
pub async fn get(client: &Client, path: &str) -> Result<Option<Value>, AskError> {
    let request = http::Request::get(path).body(Vec::new()).map_err(|e| AskError::Refused(e.to_string()))?;
    match client.request(request).await {
        Ok(value) => Ok(Some(value)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(e) => Err(told(&e)),
    }
}

/// Whether we may do it: in one namespace, or everywhere and to what is of no namespace where it is empty.
///
/// # Errors
/// As [`get`].
pub async fn may(client: &Client, verb: &str, (group, resource): (&str, &str), namespace: &str) -> Result<bool, AskError> {
    let attributes = json!({"verb": verb, "group": group, "resource": resource, "namespace": namespace});
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes},
    });
    let request = http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").header("content-type", "application/json");
    let request = request.body(review.to_string().into_bytes()).map_err(|e| AskError::Refused(e.to_string()))?;
    let answer: Value = client.request(request).await.map_err(|e| told(&e))?;
    Ok(answer["status"]["allowed"].as_bool().unwrap_or(false))
}
