//! Routes as bytes. Knows the shape of a route, nothing of what it decides.

use super::{labels, origin, text, texts};
use crate::enums::Word;
use crate::v1;
use model::backend::ExternalName;
use model::route::{HeaderEdits, PathEdit, RankedMatch};
use model::{Attachment, Backend, Filter, PathMatch, RouteMatch, Rule, Target, ValueMatch};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn route(r: &model::Route) -> v1::Route {
    v1::Route {
        key: text(&r.key),
        origin: Some(origin(&r.origin)),
        protocol: r.protocol.number(),
        attachments: r.attachments.iter().map(attachment).collect(),
        rules: r.rules.iter().map(rule).collect(),
    }
}

fn attachment(a: &Attachment) -> v1::Attachment {
    use v1::attachment::{ServiceTarget, Target as T};
    let target = match &a.target {
        Target::Listener(key) => T::Listener(text(key)),
        Target::Service { service, port, callers } => {
            T::Service(ServiceTarget { service: text(service), port: port.map(u32::from), callers: callers.as_ref().map(text) })
        }
    };
    v1::Attachment { target: Some(target), hosts: texts(&a.hosts) }
}

fn rule(r: &Rule) -> v1::Rule {
    v1::Rule {
        name: text(&r.name),
        matches: r.matches.iter().map(ranked).collect(),
        filters: r.filters.iter().map(filter).collect(),
        backends: r.backends.iter().map(weighted).collect(),
        timeouts: Some(v1::Timeouts {
            request_nanos: r.timeouts.request.map(nanos),
            backend_request_nanos: r.timeouts.backend_request.map(nanos),
        }),
        retry: r.retry.as_ref().map(|retry| v1::Retry {
            codes: retry.codes.iter().map(|c| u32::from(*c)).collect(),
            attempts: retry.attempts,
            backoff_nanos: nanos(retry.backoff),
        }),
        session: r.session.as_deref().map(super::traffic::session),
    }
}

fn ranked(m: &RankedMatch) -> v1::RankedMatch {
    let rank = &m.rank;
    let rank =
        v1::Rank { order: rank.order.to_vec(), created: rank.created, name: text(&rank.name), rule: rank.rule, position: rank.position };
    v1::RankedMatch { rank: Some(rank), ..matches(&m.matches) }
}

/// Without a rank, where there is no order among them.
pub(super) fn matches(matches: &RouteMatch) -> v1::RankedMatch {
    use v1::path_match::Path as P;
    let path = |path: &PathMatch| match path {
        PathMatch::Exact(p) => P::Exact(text(p)),
        PathMatch::Prefix(p) => P::Prefix(text(p)),
        PathMatch::Regex(p) => P::Regex(p.pattern().to_owned()),
    };
    v1::RankedMatch {
        rank: None,
        path: matches.path.as_ref().map(|p| v1::PathMatch { path: Some(path(p)) }),
        method: matches.method.as_ref().map(|m| m.as_str().to_owned()),
        headers: matches.headers.iter().map(|h| named(&h.name, &h.value)).collect(),
        query: matches.query.iter().map(|q| named(&q.name, &q.value)).collect(),
    }
}

pub(super) fn named(name: &Arc<str>, value: &ValueMatch) -> v1::NamedMatch {
    use v1::value_match::Value as V;
    let value = match value {
        ValueMatch::Exact(value) => V::Exact(text(value)),
        ValueMatch::Regex(regex) => V::Regex(regex.pattern().to_owned()),
    };
    v1::NamedMatch { name: text(name), value: Some(v1::ValueMatch { value: Some(value) }) }
}

fn filter(f: &Filter) -> v1::Filter {
    use v1::filter::Filter as F;
    let filter = match f {
        Filter::RequestHeaders(edits) => F::RequestHeaders(header_edits(edits)),
        Filter::ResponseHeaders(edits) => F::ResponseHeaders(header_edits(edits)),
        Filter::Redirect(r) => F::Redirect(v1::Redirect {
            scheme: r.scheme.map(Word::number),
            host: r.host.as_ref().map(text),
            path: r.path.as_ref().map(path_edit),
            port: r.port.map(u32::from),
            code: u32::from(r.code),
        }),
        Filter::Rewrite(r) => F::Rewrite(v1::Rewrite { host: r.host.as_ref().map(text), path: r.path.as_ref().map(path_edit) }),
        Filter::Mirror(m) => {
            F::Mirror(v1::Mirror { backend: Some(backend(&m.backend)), numerator: m.fraction.0, denominator: m.fraction.1 })
        }
        Filter::Cors(c) => F::Cors(v1::Cors {
            allow_origins: texts(&c.allow_origins),
            allow_methods: texts(&c.allow_methods),
            allow_headers: texts(&c.allow_headers),
            expose_headers: texts(&c.expose_headers),
            allow_credentials: c.allow_credentials,
            max_age_nanos: nanos(c.max_age),
        }),
        Filter::ExternalAuth(asking) => F::ExternalAuth(super::authorizer::asking(asking)),
        Filter::Invalid { message } => F::Invalid(text(message)),
    };
    v1::Filter { filter: Some(filter) }
}

fn header_edits(edits: &HeaderEdits) -> v1::HeaderEdits {
    let pairs =
        |list: &[(Arc<str>, Arc<str>)]| list.iter().map(|(name, value)| v1::NameValue { name: text(name), value: text(value) }).collect();
    v1::HeaderEdits { set: pairs(&edits.set), add: pairs(&edits.add), remove: texts(&edits.remove) }
}

fn path_edit(edit: &PathEdit) -> v1::PathEdit {
    use v1::path_edit::Path as P;
    let path = match edit {
        PathEdit::Full(path) => P::Full(text(path)),
        PathEdit::Prefix(path) => P::Prefix(text(path)),
    };
    v1::PathEdit { path: Some(path) }
}

fn weighted(b: &model::WeightedBackend) -> v1::WeightedBackend {
    v1::WeightedBackend { weight: b.weight, backend: Some(backend(&b.backend)), filters: b.filters.iter().map(filter).collect() }
}

pub(super) fn backend(b: &Backend) -> v1::Backend {
    use v1::backend::Backend as B;
    use v1::external_host::Host;
    let backend = match b {
        Backend::Service(s) => B::Service(v1::ServiceBackend {
            service: text(&s.service),
            port: u32::from(s.port),
            subset: s.subset.as_ref().map(|subset| v1::service_backend::Subset { labels: labels(subset) }),
        }),
        Backend::External(e) => B::External(v1::ExternalHost {
            key: text(&e.key),
            host: Some(match &e.host {
                ExternalName::Dns(name) => Host::Dns(text(name)),
                ExternalName::Address(address) => Host::Address(text(address)),
            }),
            port: u32::from(e.port),
            protocol: e.protocol.number(),
            tls: e.tls.as_deref().map(super::tls::upstream),
        }),
        Backend::Invalid { reason, message } => B::Invalid(v1::InvalidBackend { reason: reason.number(), message: text(message) }),
    };
    v1::Backend { backend: Some(backend) }
}

/// Five centuries and more are cut to that, which is a patience like any other.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
