//! Where a call of a new path is counted, so that one caller's paths stay few: what is too many folds into `/prefix/{**}`. Paths that were only denied never
//! make those coarser that were let through. Pure.

use super::{Call, Of, Seen};
use crate::limits;
use std::collections::{BTreeMap, BTreeSet};

const REST: &str = "/{**}";

/// The call as it is to be counted, after those that are there were folded if they had to be.
pub fn placed(of: &mut Of, call: Call, allowed: bool) -> Call {
    let is = |seen: &Seen| (seen.counts().allowed > 0) == allowed;
    let is_known = of.get(&call).is_some_and(|seen| is(seen) || !allowed);
    if call.path.is_empty() || is_known {
        return call;
    }
    let known: BTreeSet<&str> = of.iter().filter(|(_, seen)| is(seen)).map(|(call, _)| call.path.as_str()).collect();
    if known.contains(call.path.as_str()) {
        return call;
    }
    if !allowed {
        let path = if known.len() < limits::CALL_PATHS { call.path } else { REST.to_owned() };
        return Call { path, ..call };
    }
    if let Some(wide) = known.iter().find(|known| covers(known, &call.path)) {
        return Call { path: (*wide).to_owned(), ..call };
    }
    if known.len() < limits::CALL_PATHS {
        return call;
    }
    let mut all = known;
    all.insert(&call.path);
    let prefix = busiest(&all).to_owned();
    let wide = format!("{prefix}{REST}");
    let narrow: Vec<Call> = of.iter().filter(|(call, seen)| is(seen) && covers(&wide, &call.path)).map(|(call, _)| call.clone()).collect();
    for one in narrow {
        if let Some(seen) = of.remove(&one) {
            of.entry(Call { path: wide.clone(), ..one }).or_default().merge(&seen);
        }
    }
    if covers(&wide, &call.path) { Call { path: wide, ..call } } else { call }
}

/// Whether all that this path stands for is below a `{**}`.
fn covers(wide: &str, path: &str) -> bool {
    let Some(prefix) = wide.strip_suffix(REST) else { return false };
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The prefix below which most paths differ in one segment alone, the longer of two; where there is none, the longest below which there are two.
fn busiest<'p>(paths: &BTreeSet<&'p str>) -> &'p str {
    let (mut direct, mut below) = (BTreeMap::<&str, usize>::new(), BTreeMap::<&str, usize>::new());
    for path in paths {
        let own = path.trim_end_matches('/');
        let own = own.strip_suffix(REST).unwrap_or(own);
        let mut prefix = own.rsplit_once('/').map_or("", |(before, _)| before);
        *direct.entry(prefix).or_default() += 1;
        loop {
            *below.entry(prefix).or_default() += 1;
            let Some((before, _)) = prefix.rsplit_once('/') else { break };
            prefix = before;
        }
    }
    let most = direct.into_iter().max_by_key(|(prefix, n)| (*n, prefix.len())).filter(|(_, n)| *n > 1);
    let deepest = || below.into_iter().filter(|(_, n)| *n > 1).max_by_key(|(prefix, _)| prefix.len());
    most.or_else(deepest).map_or("", |(prefix, _)| prefix)
}
