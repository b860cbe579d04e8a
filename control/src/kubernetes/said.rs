//! What pods of the mesh have said, for who asks: the kubelets keep it, and the API server says who may read it (`pods/log`). Nothing of it is judged here.

use super::{AskError, SERVICE, ask};
use futures_util::{AsyncBufRead, AsyncBufReadExt, Stream, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::{Api, Client};
use std::io;

/// What the control plane makes bears this.
const OURS: &str = "app.kubernetes.io/managed-by=organza";

/// A pod of the mesh.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Speaker {
    pub namespace: String,
    pub pod: String,
}

/// The replicas of the control plane and the proxies of Gateways, of one namespace or of all.
///
/// # Errors
/// As [`ask::get`].
pub async fn speakers(client: &Client, system: &str, namespace: Option<&str>) -> Result<Vec<Speaker>, AskError> {
    let mut found = list(&Api::namespaced(client.clone(), system), &format!("app={SERVICE}")).await?;
    found.extend(match namespace {
        Some(namespace) => list(&Api::namespaced(client.clone(), namespace), OURS).await?,
        None => list(&Api::all(client.clone()), OURS).await?,
    });
    found.sort();
    found.dedup();
    Ok(found)
}

async fn list(pods: &Api<Pod>, labels: &str) -> Result<Vec<Speaker>, AskError> {
    let found = pods.list(&ListParams::default().labels(labels)).await.map_err(|e| ask::told(&e))?;
    let of = |pod: Pod| Some(Speaker { namespace: pod.metadata.namespace?, pod: pod.metadata.name? });
    Ok(found.items.into_iter().filter_map(of).collect())
}

/// The last lines of one, and those that come, where it is asked to follow: by a client of [`super::connect_to_follow`]. It ends with the pod, or with why it
/// broke off.
///
/// # Errors
/// As [`ask::get`].
pub async fn lines(
    client: &Client,
    of: &Speaker,
    tail: usize,
    follow: bool,
) -> Result<impl Stream<Item = io::Result<String>> + Send + use<>, AskError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &of.namespace);
    let wanted = LogParams { follow, tail_lines: i64::try_from(tail).ok(), ..LogParams::default() };
    let said = pods.log_stream(&of.pod, &wanted).await.map_err(|e| ask::told(&e))?;
    Ok(each(said))
}

/// Pods say what they like, also what is not UTF-8.
fn each<R: AsyncBufRead + Send>(said: R) -> impl Stream<Item = io::Result<String>> + Send {
    stream::try_unfold(Box::pin(said), |mut said| async move {
        let mut line = Vec::new();
        if said.read_until(b'\n', &mut line).await? == 0 {
            return Ok::<_, io::Error>(None);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        Ok(Some((String::from_utf8_lossy(text).into_owned(), said)))
    })
}

#[cfg(test)]
mod tests;
