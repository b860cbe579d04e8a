//! Whose tokens are believed, read from bytes. An algorithm that this release does not know is refused with its issuer: fewer would be a surprise, more a
//! danger.

use super::access::target;
use super::read::{Read, Result, list, port, some, text, texts, word, wrong};
use super::{address, header_name, hostname, key_of, origin, tls, v1};
use crate::limits;
use model::Kind;
use model::backend::ExternalName;
use model::token::{ClaimHeader, KeySource, KeysUrl, TokenIssuer};
use std::sync::Arc;
use std::time::Duration;
use v1::token_issuer::{Keys, Url, url::Host};

pub(super) fn issuer(m: v1::TokenIssuer) -> Result<TokenIssuer> {
    Ok(TokenIssuer {
        key: key_of(&m.key, Kind::TokenIssuer)?,
        origin: origin(m.origin)?,
        targets: list(m.targets, "targets", target)?,
        issuer: text(m.issuer).at("issuer")?,
        audiences: texts(m.audiences, "audiences")?,
        algorithms: list(m.algorithms, "algorithms", word)?,
        keys: match m.keys {
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
