//! Who consumes an API, read from bytes. With fields or places that this release does not know no key is believed: they may ask for more. A consumer that
//! were left out would ask for no key at all.

use super::access::target_or_all;
use super::read::{Later, Read, Result, list, some, text, texts};
use super::{header_name, key_of, origin, v1};
use model::Kind;
use model::consumer::{Consumer, KeyHash, KeyPlace};
use v1::consumer::{Place, place::Place as P};

pub(super) fn consumer(m: v1::Consumer, later: &mut Later) -> Result<Consumer> {
    let key = key_of(&m.key, Kind::Consumer)?;
    let (known, unknown): (Vec<_>, Vec<_>) = m.from.into_iter().partition(|m| m.place.is_some());
    let is_later = later.has_fields || !unknown.is_empty();
    if is_later {
        later.note("has fields or places of keys that this release does not know: no key is believed");
    }
    // A hash of another length may be one of a later release.
    let keys = list(m.hashes, "hashes", |bytes| Ok(KeyHash::try_from(&bytes[..]).ok()))?;
    let odd = keys.iter().position(Option::is_none);
    if let Some(i) = odd {
        later.note(format!("hashes[{i}] is not 32 bytes long: no key is believed"));
    }
    let is_narrower = is_later || odd.is_some();
    Ok(Consumer {
        targets: list(m.targets, "targets", |m| target_or_all(m, &key, later))?,
        key,
        origin: origin(m.origin)?,
        keys: if is_narrower { Vec::new() } else { keys.into_iter().flatten().collect() },
        groups: texts(m.groups, "groups")?,
        from: list(known, "from", place)?,
        required: !m.optional,
        passed_on: m.passed_on,
    })
}

fn place(m: Place) -> Result<KeyPlace> {
    Ok(match some(m.place)? {
        P::Header(name) => KeyPlace::Header(header_name(name).at("header")?.to_ascii_lowercase().into()),
        P::Query(name) => KeyPlace::Query(text(name).at("query")?),
        P::Cookie(name) => KeyPlace::Cookie(header_name(name).at("cookie")?),
    })
}
