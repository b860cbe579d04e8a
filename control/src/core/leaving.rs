//! How members leave: by themselves, taken back, forgotten, or as nobody who is to be trusted any more; and what is remembered of them for as long as
//! their certificates have not ended.

use super::{Core, Inner, now, seconds};
use crate::registry::Refusal;
use crate::store::Txn;

impl Core {
    pub fn deregister(&self, proxy: &str) -> bool {
        self.taken_out(&mut self.lock(), proxy)
    }

    /// Takes a process out that came from elsewhere, if it did not leave before, and has nobody believe any more what it was given.
    ///
    /// # Errors
    /// As [`crate::registry::Registry::revoke`].
    pub fn revoke(&self, proxy: &str) -> Result<(), Refusal> {
        let mut inner = self.lock();
        if self.cluster().is_some() {
            let fix = Some("kubectl delete pod: what it was given ends with it".into());
            return Err(Refusal { what: "processes of a cluster are its pods".into(), fix });
        }
        let given = inner.registry.revoke(proxy, seconds(now()))?;
        let put = given.iter().map(|one| (format!("revoked/{}", one.sha256), serde_json::to_vec(one).unwrap_or_default()));
        self.keep(Txn { put: put.collect(), delete: vec![format!("left/{proxy}")] });
        tracing::warn!("{proxy} is taken out, and nobody believes its certificates any more");
        // It may have left, and a process of this machine have its name since.
        if inner.registry.get(proxy).is_some_and(|entry| entry.registrant.is_none()) {
            self.taken_out(&mut inner, proxy);
        } else {
            self.rebuild(&mut inner);
        }
        Ok(())
    }

    fn taken_out(&self, inner: &mut Inner, proxy: &str) -> bool {
        let services = inner.registry.get(proxy).map(|entry| self.world().backed(&entry.workload_key()).to_vec());
        let known = inner.registry.remove(proxy, services.unwrap_or_default()).is_some();
        inner.sessions.remove(proxy);
        inner.leaving.retain(|(other, _), _| other != proxy);
        inner.issued.remove(proxy);
        inner.processes.forget(proxy);
        inner.contexts.forget(proxy);
        inner.checks.forget(proxy);
        let mut txn = Txn { put: Vec::new(), delete: vec![format!("registration/{proxy}")] };
        txn.delete.extend(inner.registry.forget_left(seconds(now())).iter().map(|name| format!("left/{name}")));
        if let Some(left) = inner.registry.left(proxy) {
            txn.put.push((format!("left/{proxy}"), serde_json::to_vec(left).unwrap_or_default()));
        }
        self.keep(txn);
        if known {
            self.rebuild(inner);
            self.count(inner);
        }
        known
    }

    /// What nobody believes any more by itself need not be known.
    pub(super) fn forget_certificates(&self, inner: &mut Inner, now: u64) {
        let revoked = inner.registry.forget_revoked(now);
        let left = inner.registry.forget_left(now);
        let delete = revoked.iter().map(|sha256| format!("revoked/{sha256}")).chain(left.iter().map(|proxy| format!("left/{proxy}")));
        let delete: Vec<_> = delete.collect();
        if !delete.is_empty() {
            self.keep(Txn { put: Vec::new(), delete });
        }
        if !revoked.is_empty() {
            self.rebuild(inner);
        }
    }
}
