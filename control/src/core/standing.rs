//! What was written of proxies before this control plane led. Its proxies have yet to come to it: until the first of those that an object concerns does, or
//! [`limits::RETURN`] has passed, what stands is believed.

use super::Core;
use crate::limits;
use crate::shell::monotone;
use frontends::Object;
use model::ObjectRef;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

#[derive(Debug)]
pub struct Standing {
    since: Instant,
    /// The generation of which it was written that proxies have it.
    objects: HashMap<ObjectRef, u64>,
}

impl Standing {
    /// Whether it stands that proxies have this object as it is.
    pub fn has(&self, object: &Object) -> bool {
        let generation = object.at("/metadata/generation").as_u64().unwrap_or(0);
        self.objects.get(&object.object) == Some(&generation) && monotone().duration_since(self.since) < limits::RETURN
    }
}

impl Core {
    /// This control plane leads and finds that written; its proxies have [`limits::RETURN`] from now on.
    pub fn stand(&self, objects: HashMap<ObjectRef, u64>) {
        self.lock().standing = Some(Arc::new(Standing { since: monotone(), objects }));
    }
}
