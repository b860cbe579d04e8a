//! One side of a call as labels name it. Found once per connection and shared; feeds metrics and logs, never policy.

use crate::limits;
use model::{SpiffeId, Workload};
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer {
    pub workload: Arc<str>,
    pub namespace: Arc<str>,
    /// As proven in the handshake; `unknown` where nobody proved anything.
    pub principal: Arc<str>,
    pub app: Arc<str>,
    pub version: Arc<str>,
    pub cluster: Arc<str>,
}

/// Istio's word for a label that nobody filled.
const UNKNOWN: &str = "unknown";

impl Peer {
    pub fn unknown() -> Self {
        let unknown: Arc<str> = UNKNOWN.into();
        Self {
            workload: unknown.clone(),
            namespace: unknown.clone(),
            principal: unknown.clone(),
            app: unknown.clone(),
            version: unknown.clone(),
            cluster: unknown,
        }
    }

    pub fn is_unknown(&self) -> bool {
        &*self.workload == UNKNOWN
    }

    pub fn of_workload(workload: &Workload) -> Self {
        let label = |name: &str| workload.labels.get(name).cloned();
        Self {
            workload: cut(&workload.canonical_name),
            namespace: cut(&workload.key.namespace),
            principal: workload.identity.to_string().into(),
            app: cut(&label("app").or_else(|| label("app.kubernetes.io/name")).unwrap_or_else(|| workload.canonical_name.clone())),
            version: cut(&workload.revision),
            cluster: cut(&workload.cluster),
        }
    }

    /// What a peer says of itself in its preface or baggage, cut to size. The principal comes from the handshake, never from here.
    pub fn claimed(workload: &str, namespace: &str, app: &str, version: &str, cluster: &str, principal: Option<&SpiffeId>) -> Self {
        Self {
            workload: cut(workload),
            namespace: cut(namespace),
            principal: principal.map_or_else(|| UNKNOWN.into(), |id| id.to_string().into()),
            app: cut(app),
            version: cut(version),
            cluster: cut(cluster),
        }
    }
}

fn cut(text: &str) -> Arc<str> {
    if text.is_empty() {
        return UNKNOWN.into();
    }
    let mut end = text.len().min(limits::LABEL_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}
