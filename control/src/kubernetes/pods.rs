//! Pods that join: each shows a token of its service account that was made for us and is bound to the pod, the API server says whose it is, and that
//! identity alone is signed for it. Only proxies of Gateways join so.

use super::deploy::AUDIENCE;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};

/// Whose a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    pub namespace: String,
    pub service_account: String,
    pub name: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("the API server does not say whose the token is: {0}")]
    Unanswered(String),
    #[error("{0}")]
    Token(String),
}

/// Asks the API server.
///
/// # Errors
/// If it does not answer, or the token is not one of a pod for us.
pub async fn review(client: &Client, token: &str) -> Result<Pod, Refused> {
    let answer = ask(client, token, Some(vec![AUDIENCE.to_owned()])).await.map_err(|e| Refused::Unanswered(super::watch::told(&e)))?;
    whose(&answer).map_err(Refused::Token)
}

/// What the API server says of a token; without audiences, as of one for itself.
pub(super) async fn ask(client: &Client, token: &str, audiences: Option<Vec<String>>) -> Result<TokenReviewStatus, kube::Error> {
    let question = TokenReview { spec: TokenReviewSpec { audiences, token: Some(token.to_owned()) }, ..TokenReview::default() };
    let answer = Api::<TokenReview>::all(client.clone()).create(&PostParams::default(), &question).await?;
    Ok(answer.status.unwrap_or_default())
}

const USER: &str = "system:serviceaccount:";
const POD: &str = "authentication.kubernetes.io/pod-name";

fn whose(status: &TokenReviewStatus) -> Result<Pod, String> {
    if status.authenticated != Some(true) {
        return Err(format!("the token is not valid: {}", status.error.as_deref().unwrap_or("the API server does not know it")));
    }
    // A server that knows no audiences would take a token that was made for somebody else.
    if !status.audiences.iter().flatten().any(|audience| audience == AUDIENCE) {
        return Err(format!("the token is not for {AUDIENCE:?}"));
    }
    let user = status.user.clone().unwrap_or_default();
    let account = user.username.as_deref().and_then(|name| name.strip_prefix(USER)).and_then(|name| name.split_once(':'));
    let (namespace, service_account) = account.ok_or("the token is not of a service account")?;
    let pod = user.extra.as_ref().and_then(|extra| extra.get(POD)).and_then(|names| names.first());
    let name = pod.ok_or("the token is not bound to a pod")?.clone();
    Ok(Pod { namespace: namespace.to_owned(), service_account: service_account.to_owned(), name })
}

#[cfg(test)]
mod tests;
