//! How often each rule allowed something. A worker finds the counter of a rule by where the rule lies in memory, so that a request costs one look-up by two
//! numbers and no text; what it found is forgotten when policies change. It never judges.

use super::Access;
use crate::map::Map;
use crate::worker::Worker;
use policy::Because;
use std::sync::Arc;
use telemetry::{Gauge, Verdict};

#[derive(Default)]
pub struct Allowed {
    /// Of whose rules these are: it keeps them where they lie.
    access: Option<Arc<Access>>,
    by_rule: Map<(usize, u32), Gauge>,
}

impl Allowed {
    /// Counts one verdict of these policies.
    pub fn count(&mut self, worker: &Worker, access: &Arc<Access>, because: &Because<'_>) {
        if !self.access.as_ref().is_some_and(|known| Arc::ptr_eq(known, access)) {
            (self.access, self.by_rule) = (Some(access.clone()), Map::default());
        }
        self.by_rule.entry(place(because)).or_insert_with(|| counter(worker, because)).add(1.0);
    }
}

/// Where in memory lies what decided; zero where nobody wrote it.
fn place(because: &Because<'_>) -> (usize, u32) {
    match because {
        Because::Rule { policy, rule, .. } => (Arc::as_ptr(policy).addr(), *rule),
        Because::NoneAllows { policy } => (Arc::as_ptr(policy).addr(), u32::MAX),
        Because::Strict { settings } | Because::Default { settings, .. } => {
            (settings.map_or(0, |settings| Arc::as_ptr(settings).addr()), u32::MAX)
        }
    }
}

fn counter(worker: &Worker, because: &Because<'_>) -> Gauge {
    super::counter(worker, Verdict::Allowed, because.by().as_deref(), because.rule().map(|rule| &*rule.name))
}
