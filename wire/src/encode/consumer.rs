//! Who consumes an API, as bytes.

use super::access::target;
use super::{origin, text, texts};
use crate::v1;
use model::consumer::{Consumer, KeyPlace};
use v1::consumer::{Place, place::Place as P};

pub(super) fn consumer(r: &Consumer) -> v1::Consumer {
    v1::Consumer {
        key: text(&r.key),
        origin: Some(origin(&r.origin)),
        targets: r.targets.iter().map(target).collect(),
        hashes: r.keys.iter().map(|hash| hash.to_vec().into()).collect(),
        groups: texts(&r.groups),
        from: r.from.iter().map(place).collect(),
        optional: !r.required,
        passed_on: r.passed_on,
    }
}

fn place(place: &KeyPlace) -> Place {
    let place = match place {
        KeyPlace::Header(name) => P::Header(text(name)),
        KeyPlace::Query(name) => P::Query(text(name)),
        KeyPlace::Cookie(name) => P::Cookie(text(name)),
    };
    Place { place: Some(place) }
}
