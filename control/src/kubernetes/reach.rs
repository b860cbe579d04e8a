//! The ways to a control plane in a cluster, for commands: through the API server to the pod that leads, to a port of its loopback (`decisions/0026`), or to the
//! socket of its owner (`decisions/0039`). The API server says who one is and whether one may (`pods/portforward`, `pods/exec`); nothing listens where the pods'
//! network reaches.

use super::{lease, watch};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{AttachParams, AttachedProcess};
use kube::{Api, Client};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, ReadHalf, SimplexStream, WriteHalf};

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
    /// Who holds the lease may have ended without a word: another leads when it is over.
    #[error("{0}")]
    Away(String),
    #[error("{0}")]
    Api(String),
}

impl ReachError {
    /// Whether there may be a way before long.
    pub fn passes(&self) -> bool {
        matches!(self, Self::NobodyLeads | Self::Away(_))
    }
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

    /// Who leads by now.
    ///
    /// # Errors
    /// As [`Leader::find`].
    pub async fn again(&self) -> Result<Self, ReachError> {
        Self::find(self.client.clone(), &self.namespace).await
    }

    /// A connection of one's own to a port of its loopback, and what the API server says of it should it break off.
    ///
    /// # Errors
    /// If the API server does not let us through.
    pub async fn open(&self, port: u16) -> Result<(DuplexStream, impl Future<Output = Option<String>> + use<>), ReachError> {
        let mut forward = self.pods().portforward(&self.pod, &[port]).await.map_err(|e| unreached(&e))?;
        // It goes on by itself until either side ends.
        let taken = forward.take_stream(port).zip(forward.take_error(port));
        taken.ok_or_else(|| ReachError::Api("the API server forwards nothing".into()))
    }

    /// A connection of one's own to the socket that only its owner can open: through a process in the pod, which carries bytes; and how that ended, should it
    /// have failed.
    ///
    /// # Errors
    /// If the API server does not let us start it.
    pub async fn inside(&self) -> Result<(Inside, impl Future<Output = Option<String>> + use<>), ReachError> {
        let attached = AttachParams { stdin: true, stdout: true, stderr: false, tty: false, ..AttachParams::default() };
        let mut process = self.pods().exec(&self.pod, PIPE, &attached).await.map_err(|e| unreached(&e))?;
        let taken = process.stdout().zip(process.stdin()).zip(process.take_status());
        let ((from, to), status) = taken.ok_or_else(|| ReachError::Api("the API server attaches nothing".into()))?;
        Ok((Inside { from, to, _process: process }, async move { failed(&status.await?) }))
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

/// Its pod is there no more, or the machine of its pod does not answer the API server; or something else is wrong, that does not pass.
fn unreached(error: &kube::Error) -> ReachError {
    match error {
        kube::Error::Api(status) if status.code == 404 || status.code >= 500 => ReachError::Away(watch::told(error)),
        _ => ReachError::Api(watch::told(error)),
    }
}

/// What carries bytes to the socket, as `deploy/organza.yaml` places it.
const PIPE: [&str; 4] = ["organza", "pipe", "--socket", "/state/control.sock"];

/// Why the process in the pod failed, if it did. It knows nothing of the command where its command line makes no sense to it.
fn failed(status: &Status) -> Option<String> {
    if status.status.as_deref() != Some("Failure") {
        return None;
    }
    let causes = status.details.iter().filter_map(|details| details.causes.as_ref()).flatten();
    let code = causes.filter(|cause| cause.reason.as_deref() == Some("ExitCode")).find_map(|cause| cause.message.as_deref());
    Some(match code {
        Some("2") => "that control plane is of an older release, whose organza knows no pipe".to_owned(),
        _ => status.message.clone().unwrap_or_else(|| "the process in the pod failed".to_owned()),
    })
}

/// What is said to a process in a pod, and what it says; it ends with this.
pub struct Inside {
    from: ReadHalf<SimplexStream>,
    to: WriteHalf<SimplexStream>,
    _process: AttachedProcess,
}

impl AsyncRead for Inside {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.from).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Inside {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.to).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.to).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.to).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
