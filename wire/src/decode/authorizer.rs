//! Who is asked whether a request may be, read from bytes. An authorizer of a later release that is asked in a way that this one does not know lets nothing
//! through; a rule with such a filter is refused.

use super::access::{rule, target_or_all};
use super::read::{Later, Read, Result, list, some, text, wrong};
use super::route::backend;
use super::{header_name, key_of, origin, v1};
use model::authorizer::{AskedBy, Asking, ExternalAuthorizer, Fields};
use model::{Backend, InvalidBackend, Kind};
use std::sync::Arc;
use std::time::Duration;
use v1::asking::Protocol;

pub(super) fn authorizer(m: v1::ExternalAuthorizer, later: &mut Later) -> Result<ExternalAuthorizer> {
    let key = key_of(&m.key, Kind::ExternalAuthorizer)?;
    let mut asked = some(m.asked).at("asked")?;
    let is_known = asked.protocol.is_some() && asked.backend.as_ref().is_some_and(|to| to.backend.is_some()) && !later.has_fields;
    if !is_known {
        later.note("is asked in a way that this release does not know: no request is let through");
    }
    asked.protocol.get_or_insert(Protocol::Grpc(v1::asking::Grpc {}));
    let asked = match asking(asked) {
        // Words of a later release.
        Err(_) if !is_known => unknown(),
        read => read.at("asked")?,
    };
    Ok(ExternalAuthorizer {
        targets: list(m.targets, "targets", |m| target_or_all(m, &key, later))?,
        key,
        origin: origin(m.origin)?,
        only: m.only.map(|only| list(only.rules, "rules", rule)).transpose().at("only")?,
        asked: if is_known { asked } else { Asking { backend: nobody(), fail_open: false, ..asked } },
    })
}

/// Of a listener. One that is asked in a way that this release does not know lets nothing through: to refuse the listener would leave the one before it,
/// which nobody guards.
pub(super) fn of_listener(m: v1::Asking, later: &mut Later) -> Result<Asking> {
    if m.protocol.is_some() && m.backend.as_ref().is_some_and(|to| to.backend.is_some()) {
        return asking(m);
    }
    later.note("is guarded in a way that this release does not know: no request is let through");
    Ok(unknown())
}

/// Who cannot be asked, and so lets nothing through.
fn nobody() -> Backend {
    let message = "a later release knows how it is asked".into();
    Backend::Invalid { reason: InvalidBackend::UnsupportedValue, message }
}

fn unknown() -> Asking {
    Asking {
        backend: nobody(),
        protocol: AskedBy::Grpc,
        told: Fields::Only(Vec::new()),
        body: 0,
        timeout: Duration::from_secs(1),
        fail_open: false,
    }
}

pub(super) fn asking(m: v1::Asking) -> Result<Asking> {
    Ok(Asking {
        backend: backend(some(m.backend).at("backend")?).at("backend")?,
        protocol: match some(m.protocol).at("protocol")? {
            Protocol::Grpc(_) => AskedBy::Grpc,
            Protocol::Http(m) => {
                let prefix = text(m.prefix).at("prefix")?;
                let fits = prefix.bytes().all(|b| b.is_ascii_graphic() && !b"?#".contains(&b));
                if !fits || !(prefix.is_empty() || prefix.starts_with('/')) {
                    return Err(wrong("is no path that can stand before others")).at("prefix");
                }
                AskedBy::Http { prefix, taken: fields(some(m.taken).at("taken")?).at("taken")? }
            }
        },
        told: fields(some(m.told).at("told")?).at("told")?,
        body: m.body_bytes,
        timeout: Duration::from_nanos(m.timeout_nanos),
        fail_open: m.fail_open,
    })
}

fn fields(m: v1::Fields) -> Result<Fields> {
    let name = |name| header_name(name).map(|name| Arc::from(name.to_ascii_lowercase()));
    if m.all { Ok(Fields::All) } else { list(m.names, "names", name).map(Fields::Only) }
}
