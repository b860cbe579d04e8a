//! Rules of routes. A rule of which something cannot be read or is not supported is broken: where it matches, it
//! answers 500 with its reason, so that requests meant for it never fall to a wider rule. The other rules are served.

use super::{backend, duration, filter, matches, session};
use crate::kubernetes::text;
use crate::wrong::{Within, Wrong};
use crate::{Object, limits};
use model::route::{PathEdit, RankedMatch};
use model::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The rules of one route, and what is wrong with them.
#[derive(Default)]
pub struct Rules {
    pub rules: Vec<Rule>,
    /// Rules by name that cannot do what they say, with the first reason of each.
    pub broken: Vec<(Arc<str>, Wrong)>,
    /// How many rules there are, the ones that nothing can match included.
    pub count: usize,
    /// References of backends and mirrors that lead nowhere, in order.
    pub unresolved: Vec<Wrong>,
}

/// What rules of one route share.
pub struct Reader<'a> {
    pub object: &'a Object,
    pub protocol: RouteProtocol,
    pub world: &'a backend::World<'a>,
    /// Seconds since the epoch.
    pub created: u64,
    pub reports: Vec<Report>,
}

impl Reader<'_> {
    pub fn read(&mut self) -> Rules {
        let written = self.object.at("/spec/rules");
        // The default of the HTTPRoute's schema; a GRPCRoute without rules has none.
        let default = json!([{}]);
        let listed = match (written, self.protocol) {
            (Value::Null, RouteProtocol::Http) => &default,
            _ => written,
        };
        let mut out = Rules::default();
        for (i, value) in listed.as_array().into_iter().flatten().enumerate() {
            out.count += 1;
            self.rule(i, value, &mut out);
        }
        out
    }

    fn rule(&mut self, i: usize, value: &Value, out: &mut Rules) {
        let name: Arc<str> = text(value, "name").map_or_else(|| format!("rule-{i}"), str::to_owned).into();
        let mut faults = Vec::new();
        let mut unresolved = Vec::new();
        let matches = self.matches(i, value, &mut faults);
        let mut filters = self.filters(value, false, &mut faults, &mut unresolved);
        let backends = self.backends(value, &mut faults, &mut unresolved);
        let timeouts = keep(timeouts(value), &mut faults).unwrap_or_default();
        let retry = keep(retry(value), &mut faults).flatten().map(Box::new);
        let session = value.get("sessionPersistence").filter(|value| !value.is_null()).map(|value| {
            let place = format!("{} {name}", self.object.object);
            session::read(value, &place).at("sessionPersistence")
        });
        let session = session.and_then(|read| keep(read, &mut faults)).map(Box::new);
        if !backends.is_empty() && filters.iter().any(|filter| matches!(filter, Filter::Redirect(_))) {
            let wrong = Wrong::new("IncompatibleFilters", "A rule that redirects sends nothing to its backends.");
            faults.push(wrong.fix("Remove the filter or the backends.").at("backendRefs"));
        }
        let edits = filters.iter().chain(backends.iter().flat_map(|b| &b.filters));
        if edits.into_iter().any(replaces_prefix) && !matches.iter().all(|m| matches!(m.matches.path, Some(PathMatch::Prefix(_)))) {
            let wrong = Wrong::value("ReplacePrefixMatch needs a match of type PathPrefix to replace.");
            faults.push(wrong.fix("Match the rule by PathPrefix, or use ReplaceFullPath.").at("filters"));
        }
        let placed = |wrong: Wrong| wrong.item(i).at("rules").at("spec");
        let faults: Vec<Wrong> = faults.into_iter().map(placed).collect();
        let unresolved: Vec<Wrong> = unresolved.into_iter().map(placed).collect();
        self.reports.extend(faults.iter().chain(&unresolved).map(|wrong| wrong.report(&self.object.object)));
        out.unresolved.extend(unresolved);
        if let Some(first) = faults.into_iter().next() {
            filters.insert(0, Filter::Invalid { message: first.message.as_str().into() });
            out.broken.push((name.clone(), first));
        }
        if !matches.is_empty() {
            out.rules.push(Rule { name, matches, filters, backends, timeouts, retry, session });
        }
    }

    fn matches(&self, i: usize, value: &Value, faults: &mut Vec<Wrong>) -> Vec<RankedMatch> {
        let name: Arc<str> = format!("{}/{}", self.object.object.namespace, self.object.object.name).into();
        let any = [Value::Null];
        let listed = value.get("matches").and_then(Value::as_array).filter(|m| !m.is_empty()).map_or(&any[..], Vec::as_slice);
        let mut all = Vec::new();
        for (position, value) in listed.iter().enumerate() {
            let read = match self.protocol {
                RouteProtocol::Http => matches::http(value),
                RouteProtocol::Grpc => matches::grpc(value),
                // Bytes are matched by listener and server name alone.
                RouteProtocol::Tcp | RouteProtocol::Tls | RouteProtocol::Udp => Ok((RouteMatch::default(), [0; 5])),
            };
            let Some((matches, order)) = keep(read.item(position).at("matches"), faults) else { continue };
            let rank = Rank { order, created: self.created, name: name.clone(), rule: i as u32, position: position as u32 };
            all.push(RankedMatch { rank, matches });
        }
        all
    }

    fn filters(&self, value: &Value, of_backend: bool, faults: &mut Vec<Wrong>, unresolved: &mut Vec<Wrong>) -> Vec<Filter> {
        let listed = value.get("filters").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let Self { object, protocol, world, .. } = *self;
        let reader = filter::Reader { from: &object.object, protocol, world, of_backend };
        let mut filters = Vec::new();
        for (i, value) in listed.iter().enumerate() {
            match filter::read(value, &reader).item(i).at("filters") {
                Ok((filter, reference)) => {
                    filters.push(filter);
                    unresolved.extend(reference.map(|wrong| wrong.item(i).at("filters")));
                }
                Err(wrong) => {
                    filters.push(Filter::Invalid { message: wrong.message.as_str().into() });
                    faults.push(wrong);
                }
            }
        }
        keep(filter::check_together(listed), faults);
        filters
    }

    fn backends(&self, value: &Value, faults: &mut Vec<Wrong>, unresolved: &mut Vec<Wrong>) -> Vec<WeightedBackend> {
        let mut backends = Vec::new();
        for (i, value) in value.get("backendRefs").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let within = |wrong: Wrong| wrong.item(i).at("backendRefs");
            let mut inner = (Vec::new(), Vec::new());
            let filters = self.filters(value, true, &mut inner.0, &mut inner.1);
            faults.extend(inner.0.into_iter().map(within));
            let weight = keep(weight(value).map_err(within), faults).unwrap_or(1);
            let backend = backend::resolve(value, &self.object.object, self.protocol, self.world).unwrap_or_else(|wrong| {
                let backend = backend::invalid(&wrong);
                unresolved.push(within(wrong));
                backend
            });
            unresolved.extend(inner.1.into_iter().map(within));
            backends.push(WeightedBackend { weight, backend, filters });
        }
        backends
    }
}

fn keep<T>(read: Result<T, Wrong>, faults: &mut Vec<Wrong>) -> Option<T> {
    read.map_err(|wrong| faults.push(wrong)).ok()
}

pub fn weight(value: &Value) -> Result<u32, Wrong> {
    let Some(weight) = value.get("weight") else { return Ok(1) };
    match weight.as_u64().and_then(|weight| u32::try_from(weight).ok()).filter(|weight| *weight <= model::limits::WEIGHT) {
        Some(weight) => Ok(weight),
        None => Err(Wrong::value(format!("The weight {weight} is not from 0 to {}.", model::limits::WEIGHT)).at("weight")),
    }
}

fn replaces_prefix(filter: &Filter) -> bool {
    let path = match filter {
        Filter::Redirect(redirect) => &redirect.path,
        Filter::Rewrite(rewrite) => &rewrite.path,
        _ => return false,
    };
    matches!(path, Some(PathEdit::Prefix(_)))
}

fn duration_at(value: &Value, field: &str) -> Result<Option<Duration>, Wrong> {
    match value.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(found) => duration::read(found.as_str().unwrap_or("")).map(Some).at(field),
    }
}

/// A zero duration is no bound, as the specification wants it.
fn timeouts(value: &Value) -> Result<Timeouts, Wrong> {
    let Some(value) = value.get("timeouts") else { return Ok(Timeouts::default()) };
    let bound = |field| Ok(duration_at(value, field).at("timeouts")?.filter(|bound| !bound.is_zero()));
    let (request, backend_request) = (bound("request")?, bound("backendRequest")?);
    if let (Some(whole), Some(part)) = (request, backend_request)
        && part > whole
    {
        let wrong = Wrong::value("The timeout of one attempt is longer than the timeout of the whole request.");
        return Err(wrong.fix("Make backendRequest no longer than request.").at("backendRequest").at("timeouts"));
    }
    Ok(Timeouts { request, backend_request })
}

fn retry(value: &Value) -> Result<Option<Retry>, Wrong> {
    let Some(value) = value.get("retry") else { return Ok(None) };
    let mut codes = Vec::new();
    for (i, code) in value.get("codes").and_then(Value::as_array).into_iter().flatten().enumerate() {
        match code.as_u64() {
            Some(code @ 400..=599) => codes.push(code as u16),
            _ => return Err(Wrong::value(format!("The status {code} is not from 400 to 599.")).item(i).at("codes").at("retry")),
        }
    }
    let attempts = match value.get("attempts").map(Value::as_u64) {
        None => limits::DEFAULT_RETRY_ATTEMPTS,
        // None at all, also of what was never sent (v1.7).
        Some(Some(attempts @ 0..=limits::RETRY_ATTEMPTS)) => attempts as u32,
        Some(_) => return Err(Wrong::value(format!("Attempts are not from 0 to {}.", limits::RETRY_ATTEMPTS)).at("attempts").at("retry")),
    };
    let backoff = duration_at(value, "backoff").at("retry")?.unwrap_or(limits::DEFAULT_RETRY_BACKOFF);
    Ok(Some(Retry { codes, attempts, backoff }))
}
