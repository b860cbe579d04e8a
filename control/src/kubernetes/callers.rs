//! Who asks by a token, and whether he may: the API server is asked both (TokenReview, SubjectAccessReview). What each role of the control API takes is a verb on
//! `meshes` of `organza.dev`, in the control plane's own namespace: of a kind that nobody keeps objects of, as there are others in Kubernetes. Nothing is remembered:
//! a right that was taken back is gone.

use super::deploy::AUDIENCE;
use super::{pods, watch};
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use wire::api::DashboardRole as Role;

/// What is asked of the API server.
#[derive(Clone)]
pub struct Callers {
    pub client: Client,
    /// The control plane's own.
    pub namespace: String,
    pub mesh: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the API server does not say who may: {0}")]
    Unanswered(String),
    #[error("{0}")]
    Unknown(String),
    #[error("{user} may not {verb} meshes of organza.dev in namespace {namespace}")]
    MayNot { user: String, verb: &'static str, namespace: String },
}

impl Callers {
    /// The name of whoever has this token, if what takes this role is allowed to him.
    ///
    /// # Errors
    /// If the API server does not answer, does not know the token, or does not allow it.
    pub async fn judge(&self, token: &str, least: Role) -> Result<String, Refused> {
        let user = self.who(token).await?;
        let name = user.username.clone().unwrap_or_default();
        // Each role may what those before it may.
        for role in Role::ALL.into_iter().filter(|role| *role >= least) {
            if self.may(&user, verb(role)).await? {
                return Ok(name);
            }
        }
        Err(Refused::MayNot { user: name, verb: verb(least), namespace: self.namespace.clone() })
    }

    /// By a token that was made for us, or by one for the API server itself.
    async fn who(&self, token: &str) -> Result<UserInfo, Refused> {
        let mut why = String::new();
        for audiences in [Some(vec![AUDIENCE.to_owned()]), None] {
            let asked_for_us = audiences.is_some();
            let status = pods::ask(&self.client, token, audiences).await.map_err(|e| Refused::Unanswered(watch::told(&e)))?;
            // A server that knows no audiences would take a token that was made for somebody else.
            let is_for_us = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
            match status.user {
                Some(user) if status.authenticated == Some(true) && (is_for_us || !asked_for_us) => return Ok(user),
                _ => why = status.error.unwrap_or_else(|| "the API server does not know the token".into()),
            }
        }
        Err(Refused::Unknown(why))
    }

    async fn may(&self, user: &UserInfo, verb: &str) -> Result<bool, Refused> {
        let attributes = ResourceAttributes {
            group: Some(frontends::organza::GROUP.into()),
            resource: Some("meshes".into()),
            name: Some(self.mesh.clone()),
            namespace: Some(self.namespace.clone()),
            verb: Some(verb.into()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: user.username.clone(),
            groups: user.groups.clone(),
            uid: user.uid.clone(),
            extra: user.extra.clone(),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let answer = Api::<SubjectAccessReview>::all(self.client.clone()).create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|e| Refused::Unanswered(watch::told(&e)))?;
        Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }
}

/// As rules of RBAC have it.
pub fn verb(role: Role) -> &'static str {
    match role {
        Role::Viewer => "view",
        Role::Tapper => "tap",
        Role::Operator => "operate",
        Role::Admin => "administer",
    }
}

#[cfg(test)]
pub(crate) mod tests;
