//! Who is asked whether a request may be, as bytes.

use super::access::{rule, target};
use super::route::{backend, nanos};
use super::{origin, text, texts};
use crate::v1;
use model::authorizer::{AskedBy, Asking, ExternalAuthorizer, Fields};
use v1::asking::{Grpc, Http, Protocol};

pub(super) fn authorizer(r: &ExternalAuthorizer) -> v1::ExternalAuthorizer {
    v1::ExternalAuthorizer {
        key: text(&r.key),
        origin: Some(origin(&r.origin)),
        targets: r.targets.iter().map(target).collect(),
        asked: Some(asking(&r.asked)),
        only: r.only.as_ref().map(|rules| v1::external_authorizer::Only { rules: rules.iter().map(rule).collect() }),
    }
}

pub(super) fn asking(asking: &Asking) -> v1::Asking {
    v1::Asking {
        backend: Some(backend(&asking.backend)),
        protocol: Some(match &asking.protocol {
            AskedBy::Http { prefix, taken } => Protocol::Http(Http { prefix: text(prefix), taken: Some(fields(taken)) }),
            AskedBy::Grpc => Protocol::Grpc(Grpc {}),
        }),
        told: Some(fields(&asking.told)),
        body_bytes: asking.body,
        timeout_nanos: nanos(asking.timeout),
        fail_open: asking.fail_open,
    }
}

fn fields(fields: &Fields) -> v1::Fields {
    match fields {
        Fields::All => v1::Fields { all: true, names: Vec::new() },
        Fields::Only(names) => v1::Fields { all: false, names: texts(names) },
    }
}
