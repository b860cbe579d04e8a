//! One resource off the wire. What is taken is within the model's bounds: it can be written and read again, put into a table, and asked.

use model::{Change, RequestHead, Resource};
use routing::{Caller, Entry, Table};

pub fn check(bytes: &[u8]) {
    let Ok(resource) = wire::decode(bytes) else { return };
    let written = wire::encode(&resource);
    assert_eq!(wire::decode(&written).as_ref(), Ok(&resource), "written and read again");
    assert_eq!(wire::version(&written), wire::version(&wire::encode(&resource)), "one resource, one version");
    ask(&resource);
}

/// A table of this resource alone answers, and forgets it.
pub fn ask(resource: &Resource) {
    let table = Table::default().apply(&[wire::change(resource.clone(), &wire::encode(resource)[..].into())]);
    let mut head = RequestHead::default();
    head.set_authority("a.example:80");
    head.set_target("/a/b?c=d");
    let entries: Vec<Entry> = match resource {
        Resource::Listener(listener) => vec![Entry::Listener(listener.key.clone())],
        Resource::Service(service) => {
            service.ports.iter().map(|port| Entry::Service { service: service.key.clone(), port: port.number }).collect()
        }
        Resource::Route(route) => route.attachments.iter().map(|attachment| entry(&attachment.target)).collect(),
        _ => Vec::new(),
    };
    for entry in entries {
        for draw in [0, 1, u32::MAX] {
            let _ = table.route(&entry, &head, &Caller::default()).map(|decision| decision.pick(draw).is_ok());
        }
    }
    assert!(table.get(resource.key()).is_none_or(|held| held == *resource), "what is held is what was told");
    let emptied = table.apply(&[Change::Remove(resource.key().clone())]);
    assert!(emptied.get(resource.key()).is_none());
}

fn entry(target: &model::Target) -> Entry {
    match target {
        model::Target::Listener(key) => Entry::Listener(key.clone()),
        model::Target::Service { service, port, .. } => Entry::Service { service: service.clone(), port: port.unwrap_or(80) },
    }
}
