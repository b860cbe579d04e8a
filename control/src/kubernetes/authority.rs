//! The authority's files in one Secret that all replicas share, so that each signs under the same roots: read before a control plane starts and again when
//! it begins to lead, written by the leader when signing or a rotation changed them.

use super::{Cluster, watch};
use crate::ca::{self, CaError};
use crate::core::{Core, now};
use crate::limits;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use model::TrustDomain;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Name of the Secret, in the control plane's own namespace.
pub const SECRET: &str = "organza-ca";

#[derive(Debug, thiserror::Error)]
pub enum SharedCaError {
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error("secret {SECRET}: {0}")]
    Api(String),
}

fn told(error: &kube::Error) -> SharedCaError {
    SharedCaError::Api(watch::told(error))
}

/// Puts what the Secret holds into the folder. Where there is no Secret yet, an authority is made and put there; of several that do so at once one wins.
///
/// # Errors
/// If the API server does not give or take it, or the folder cannot be written.
pub async fn fetch(cluster: &Cluster, folder: &Path, domain: &TrustDomain) -> Result<(), SharedCaError> {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    loop {
        if let Some(secret) = api.get_opt(SECRET).await.map_err(|e| told(&e))? {
            let data = secret.data.unwrap_or_default();
            let files: Vec<(&str, &[u8])> = data.iter().map(|(name, bytes)| (name.as_str(), bytes.0.as_slice())).collect();
            return Ok(ca::replace(folder, &files)?);
        }
        ca::open(folder, domain, None, now())?;
        let metadata = ObjectMeta { name: Some(SECRET.into()), ..ObjectMeta::default() };
        let made = Secret { metadata, data: Some(data(folder)?), type_: Some("organza.dev/ca".into()), ..Secret::default() };
        match api.create(&PostParams::default(), &made).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(e) => return Err(told(&e)),
        }
    }
}

fn data(folder: &Path) -> Result<BTreeMap<String, ByteString>, CaError> {
    Ok(ca::files(folder)?.into_iter().map(|(name, bytes)| (name, ByteString(bytes.to_vec()))).collect())
}

/// What another replica made of the authority while it led is ours from now on.
///
/// # Errors
/// As [`fetch`].
pub async fn take_over(cluster: &Cluster, core: &Core, svid_life: Duration) -> Result<(), SharedCaError> {
    let Some(folder) = core.ca_folder() else { return Ok(()) };
    fetch(cluster, folder, &core.trust_domain).await?;
    let authority = ca::open(folder, &core.trust_domain, None, now())?.with_svid_life(svid_life);
    let next = ca::load_next(folder, &authority)?;
    let mut inner = core.lock();
    inner.authority = authority;
    inner.next_root = next;
    core.rebuild(&mut inner);
    Ok(())
}

/// Writes the Secret when the files are others than it holds; until dropped.
pub async fn keep(cluster: &Cluster, core: &Core) {
    let Some(folder) = core.ca_folder() else { return std::future::pending().await };
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let mut stored = data(folder).unwrap_or_default();
    loop {
        tokio::time::sleep(limits::WRITE_RETRY).await;
        let Ok(files) = data(folder) else { continue };
        if files == stored {
            continue;
        }
        let written = async {
            let mut secret = api.get(SECRET).await?;
            secret.data = Some(files.clone());
            // Carries the version that was read.
            api.replace(SECRET, &PostParams::default(), &secret).await
        };
        match written.await {
            Ok(_) => stored = files,
            Err(e) => tracing::warn!("secret {SECRET}: {}", watch::told(&e)),
        }
    }
}
