//! The way to a control plane in a cluster, for commands: through the API server to the pod that leads, to a port of its loopback (`decisions/0026`). The
//! API server says who one is and whether one may (`pods/portforward`); nothing listens where the pods' network reaches.

use super::{lease, watch};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use std::fmt;
use tokio::io::DuplexStream;

/// Where the control plane answers questions, on the loopback of its pod.
pub const QUESTIONS: u16 = 15011;

/// The replica that leads; another one knows no proxies.
#[derive(Clone)]
pub struct Leader {
    client: Client,
    namespace: String,
    pub pod: String,
}

impl fmt::Debug for Leader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leader").field("namespace", &self.namespace).field("pod", &self.pod).finish_non_exhaustive()
    }
}

/// Why there is no way, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReachError {
    #[error("namespace {0} has no lease of a control plane")]
    NotInstalled(String),
    #[error("no replica of the control plane leads")]
    NobodyLeads,
    #[error("{0}")]
    Api(String),
}

impl Leader {
    /// # Errors
    /// If the API server does not tell who leads, or nobody does.
    pub async fn find(client: Client, namespace: &str) -> Result<Self, ReachError> {
        let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
        let found = api.get_opt(lease::NAME).await.map_err(|e| ReachError::Api(watch::told(&e)))?;
        let found = found.ok_or_else(|| ReachError::NotInstalled(namespace.to_owned()))?;
        let pod = found.spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty()).ok_or(ReachError::NobodyLeads)?;
        Ok(Self { client, namespace: namespace.to_owned(), pod })
    }

    /// A connection of one's own to where it answers, and what the API server says of it should it break off.
    ///
    /// # Errors
    /// If the API server does not let us through.
    pub async fn open(&self) -> Result<(DuplexStream, impl Future<Output = Option<String>> + use<>), ReachError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut forward = api.portforward(&self.pod, &[QUESTIONS]).await.map_err(|e| ReachError::Api(watch::told(&e)))?;
        // It goes on by itself until either side ends.
        let taken = forward.take_stream(QUESTIONS).zip(forward.take_error(QUESTIONS));
        taken.ok_or_else(|| ReachError::Api("the API server forwards nothing".into()))
    }
}
