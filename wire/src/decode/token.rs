//! Whose tokens are believed, read from bytes. What this release does not know makes nothing wider: tokens of an algorithm that it does not know are not
//! believed, and with fields that it does not know none is, for they may ask for more. An issuer that were left out would ask for no token at all.

use super::access::target_or_all;
use super::read::{Later, Read, Result, list, port, some, text, texts, wrong};
use super::{address, header_name, hostname, key_of, origin, tls, v1};
use crate::enums::Word;
use crate::limits;
use model::Kind;
use model::backend::ExternalName;
use model::token::{Algorithm, ClaimHeader, KeySource, KeysUrl, TokenIssuer};
use std::sync::Arc;
use std::time::Duration;
use v1::token_issuer::{Keys, Url, url::Host};

pub(super) fn issuer(m: v1::TokenIssuer, later: &mut Later) -> Result<TokenIssuer> {
    let key = key_of(&m.key, Kind::TokenIssuer)?;
    let named = m.algorithms.len();
    let algorithms: Vec<_> = list(m.algorithms, "algorithms", |number| Ok(Algorithm::from_number(number)))?.into_iter().flatten().collect();
    if algorithms.len() < named {
        later.note("has algorithms that this release does not know: their tokens are not believed");
    }
    if later.has_fields {
        later.note("has fields that this release does not know: no token is believed");
    }
    let is_narrower = later.has_fields || (named > 0 && algorithms.is_empty());
    Ok(TokenIssuer {
        targets: list(m.targets, "targets", |m| target_or_all(m, &key, later))?,
        key,
        origin: origin(m.origin)?,
        issuer: text(m.issuer).at("issuer")?,
        audiences: texts(m.audiences, "audiences")?,
        algorithms,
        keys: match m.keys {
            _ if is_narrower => KeySource::None,
            None => KeySource::None,
            Some(Keys::Inline(set)) if set.len() > limits::BLOB_BYTES => {
                return Err(wrong(format!("is longer than {} bytes", limits::BLOB_BYTES))).at("inline");
            }
            Some(Keys::Inline(set)) => KeySource::Inline(set.into()),
            Some(Keys::Url(m)) => KeySource::Url(url(m).at("url")?),
        },
        leeway: Duration::from_nanos(m.leeway_nanos),
        required: !m.optional,
        headers: list(m.headers, "headers", |m| {
            let name = header_name(m.name).at("name")?;
            Ok(ClaimHeader { claim: texts(m.claim, "claim")?, name: name.to_ascii_lowercase().into() })
        })?,
    })
}

fn url(m: Url) -> Result<KeysUrl> {
    let host = match some(m.host).at("host")? {
        Host::Dns(name) => ExternalName::Dns(hostname(&name).at("dns")?),
        Host::Address(text) => ExternalName::Address(address(&text).at("address")?),
    };
    let path = text(m.path).at("path")?;
    if !path.starts_with('/') || !path.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(wrong("is no path")).at("path");
    }
    Ok(KeysUrl { host, port: port(m.port).at("port")?, path, tls: m.tls.map(tls::upstream).transpose().at("tls")?.map(Arc::new) })
}
