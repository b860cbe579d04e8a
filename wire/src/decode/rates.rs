//! How much may be asked of whom, read from bytes.

use super::access::target_or_all;
use super::read::{Later, Read, Result, list, some, text, texts, wrong};
use super::{header_name, key_of, origin, v1};
use model::Kind;
use model::rate::{CountBy, RateLimit, RatePolicy};
use std::time::Duration;

/// Who is counted apart by something that is not known is counted with all others: a limit is never larger for it.
pub(super) fn policy(m: v1::RatePolicy, later: &mut Later) -> Result<RatePolicy> {
    let key = key_of(&m.key, Kind::RateLimit)?;
    Ok(RatePolicy {
        targets: list(m.targets, "targets", |m| target_or_all(m, &key, later))?,
        key,
        origin: origin(m.origin)?,
        limits: list(m.limits, "limits", |m| limit(m, later))?,
    })
}

fn limit(m: v1::RateLimit, later: &mut Later) -> Result<RateLimit> {
    let name = text(m.name).at("name")?;
    // It stands in fields of answers.
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(wrong(format!("{name:?} is no name of a limit"))).at("name");
    }
    let (known, unknown): (Vec<_>, Vec<_>) = m.by.into_iter().partition(|m| m.by.is_some());
    if !unknown.is_empty() {
        later.note(format!("limit {name} counts by what this release does not know: all are counted together"));
    }
    let some_of = |number: u32| if number == 0 { Err(wrong("is 0")) } else { Ok(number) };
    Ok(RateLimit {
        name,
        requests: some_of(m.requests).at("requests")?,
        window: Duration::from_nanos(m.window_nanos),
        burst: some_of(m.burst).at("burst")?,
        by: list(known, "by", by)?,
    })
}

fn by(m: v1::CountBy) -> Result<CountBy> {
    use v1::count_by::By;
    Ok(match some(m.by)? {
        By::Identity(_) => CountBy::Identity,
        By::ClientAddress(_) => CountBy::ClientAddress,
        By::Header(name) => CountBy::Header(header_name(name).at("header")?),
        By::Route(_) => CountBy::Route,
        By::Consumer(_) => CountBy::Consumer,
        By::Claim(m) => CountBy::Claim(texts(m.path, "path").at("claim")?),
    })
}
