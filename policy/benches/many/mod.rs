//! Many policies, as the bench and the count of allocations take them.

use model::access::*;
use model::*;
use std::sync::Arc;

/// Whom the policies are for.
#[derive(Clone, Copy)]
pub enum For {
    /// The service that is called, all of them.
    Called,
    Others,
}

pub fn service(name: &str) -> Key {
    Key::new(Source::files(), Kind::Service, "shop", name)
}

/// Ten rules each: an account, and a path that it may call; denies of some accounts. One rule allows what is asked.
pub fn policies(count: usize, whom: For) -> Vec<Arc<AccessPolicy>> {
    let rule = |policy: usize, at: usize| {
        let account = AccessMatch::ServiceAccount { namespace: "shop".into(), name: format!("caller-{policy}-{at}").into() };
        let path = AccessMatch::Path(AccessPath::segments(&format!("/api/{policy}/{at}")));
        let clause = |one| Clause(vec![Group(vec![Term::is(vec![one])])]);
        // Half say who and what, half who alone.
        let clauses = if at.is_multiple_of(2) { vec![clause(account), clause(path)] } else { vec![clause(account)] };
        AccessRule { name: format!("rule-{at}").into(), clauses }
    };
    let policy = |policy: usize| {
        let name = format!("accesspolicy.p{policy:04}");
        let target = match whom {
            For::Called => service("orders"),
            For::Others => service(&format!("other-{policy}")),
        };
        Arc::new(AccessPolicy {
            key: Key::new(Source::files(), Kind::Access, "shop", &name),
            origin: Origin::new(ObjectRef::new("organza.dev", "AccessPolicy", "shop", &name), ""),
            tier: Tier::Namespace,
            action: if policy.is_multiple_of(5) { Action::Deny } else { Action::Allow },
            enforcement: Enforcement::Enforce,
            targets: vec![AccessTarget::Service { service: target, port: None }],
            rules: (0..10).map(|at| rule(policy, at)).collect(),
        })
    };
    (0..count).map(policy).collect()
}
