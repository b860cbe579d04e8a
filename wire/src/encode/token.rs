//! Whose tokens are believed, as bytes.

use super::access::target;
use super::route::nanos;
use super::{origin, text, texts, tls};
use crate::enums::Word;
use crate::v1;
use model::backend::ExternalName;
use model::token::{ClaimHeader, KeySource, KeysUrl, TokenIssuer};
use v1::token_issuer::{ClaimHeader as Header, Keys, Url, url::Host};

pub(super) fn issuer(r: &TokenIssuer) -> v1::TokenIssuer {
    v1::TokenIssuer {
        key: text(&r.key),
        origin: Some(origin(&r.origin)),
        targets: r.targets.iter().map(target).collect(),
        issuer: text(&r.issuer),
        audiences: texts(&r.audiences),
        algorithms: r.algorithms.iter().map(|one| one.number()).collect(),
        keys: match &r.keys {
            KeySource::None => None,
            KeySource::Inline(set) => Some(Keys::Inline(text(set))),
            KeySource::Url(from) => Some(Keys::Url(url(from))),
        },
        leeway_nanos: nanos(r.leeway),
        optional: !r.required,
        headers: r.headers.iter().map(header).collect(),
    }
}

fn url(from: &KeysUrl) -> Url {
    let host = match &from.host {
        ExternalName::Dns(name) => Host::Dns(text(name)),
        ExternalName::Address(address) => Host::Address(text(address)),
    };
    Url { host: Some(host), port: u32::from(from.port), path: text(&from.path), tls: from.tls.as_deref().map(tls::upstream) }
}

fn header(header: &ClaimHeader) -> Header {
    Header { claim: texts(&header.claim), name: text(&header.name) }
}
