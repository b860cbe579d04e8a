//! Why a request goes where it goes: the chain of objects and rules behind a decision, in words. Made from what [`Table::route`] gave,
//! by the same conditions, so that it cannot tell another story than traffic does.

use crate::compiled::SplitBackend;
use crate::decision::{Caller, Decision, Entry, Refusal};
use crate::limits;
use crate::matching::{Mismatch, first_mismatch};
use crate::table::{Layer, Table};
use model::{HostPattern, PathMatch, RequestHead, RouteMatch, ValueMatch};

#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// `Gateway shop/edge (gateway.yaml:1)`, `Service shop/catalog (…)`.
    pub entry: String,
    pub outcome: Outcome,
    /// Matches that rank before the winner (or all, where none won), each with the first condition that failed. The best ranked first.
    pub near_misses: Vec<NearMiss>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Forward(Chain),
    Refused { fault: model::Fault, reason: String, object: Option<String> },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    pub host: String,
    /// The route object with its place.
    pub route: String,
    pub rule: String,
    /// The match that won, by its number and in words.
    pub matched: (u32, String),
    pub filters: Vec<String>,
    pub split: Vec<Share>,
    pub request_timeout: Option<std::time::Duration>,
    pub backend_timeout: Option<std::time::Duration>,
    pub retry: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    pub backend: String,
    pub weight: u32,
    pub percent: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NearMiss {
    pub route: String,
    pub rule: String,
    pub why: String,
}

impl Table {
    /// [`Table::route`] with its reasons.
    pub fn explain(&self, entry: &Entry, head: &RequestHead, caller: &Caller<'_>) -> Explanation {
        let decided = self.route(entry, head, caller);
        let near_misses = self.near_misses(entry, head, caller, decided.as_ref().ok());
        Explanation { entry: self.entry_text(entry), outcome: decided.map_or_else(refused, |d| Outcome::Forward(chain(&d))), near_misses }
    }

    fn entry_text(&self, entry: &Entry) -> String {
        let (key, port) = match entry {
            Entry::Listener(key) => (key, String::new()),
            Entry::Service { service, port } => (service, format!(":{port}")),
        };
        match self.get(key) {
            Some(model::Resource::Listener(l)) => format!("{} listener {}", placed(&l.origin), l.section),
            Some(model::Resource::Service(s)) => format!("{}{port}", placed(&s.origin)),
            _ => format!("{key}{port}"),
        }
    }

    fn near_misses(&self, entry: &Entry, head: &RequestHead, caller: &Caller<'_>, won: Option<&Decision<'_>>) -> Vec<NearMiss> {
        let mut found = Vec::new();
        for table in self.tables_for(entry, Layer::Http, head.host(), caller) {
            for candidate in &table.matches {
                let ours = won.is_some_and(|d| std::ptr::eq(d.compiled, &*candidate.route));
                if won.is_some_and(|d| ours && d.rule.index == candidate.rule && d.position == candidate.position) {
                    return found;
                }
                let Some(mismatch) = first_mismatch(candidate.condition(), head) else { continue };
                if found.len() < limits::EXPLAINED_NEAR_MISSES {
                    let rule = candidate.route.route.rules[candidate.rule as usize].name.to_string();
                    found.push(NearMiss { route: placed(&candidate.route.route.origin), rule, why: why_not(mismatch, head) });
                }
            }
        }
        found
    }
}

fn placed(origin: &model::Origin) -> String {
    match origin.place.is_empty() {
        true => origin.object.to_string(),
        false => format!("{} ({})", origin.object, origin.place),
    }
}

fn refused(refusal: Refusal<'_>) -> Outcome {
    Outcome::Refused { fault: refusal.fault, reason: refusal.reason.to_string(), object: refusal.origin.map(placed) }
}

fn chain(decision: &Decision<'_>) -> Chain {
    let timeouts = decision.timeouts();
    let total = decision.total_weight().max(1) as f64;
    let share = |b: &SplitBackend| Share { backend: b.label(), weight: b.weight, percent: f64::from(b.weight) * 100.0 / total };
    let retry = decision.retry().map(|r| format!("{} more on {:?}, backoff {:?}", r.attempts, r.codes, r.backoff));
    Chain {
        host: match decision.host_pattern() {
            HostPattern::Any => "any host".to_owned(),
            pattern => format!("host {pattern}"),
        },
        route: placed(decision.origin()),
        rule: decision.rule_name().to_string(),
        matched: (decision.match_index(), match_text(decision.matched())),
        filters: filter_texts(decision),
        split: decision.split().iter().map(share).collect(),
        request_timeout: timeouts.request,
        backend_timeout: timeouts.backend_request,
        retry,
    }
}

/// The names of filters in the order of phases.
fn filter_texts(decision: &Decision<'_>) -> Vec<String> {
    let phases = decision.phases();
    let mut texts: Vec<String> = phases.invalid.iter().map(|message| format!("invalid filter: {message}")).collect();
    texts.extend(phases.cors.iter().map(|_| "cross-origin rules".to_owned()));
    texts.extend(phases.redirect.iter().map(|redirect| format!("redirect {}", redirect.filter.code)));
    texts.extend(phases.request_headers.iter().map(|_| "edit request headers".to_owned()));
    texts.extend(phases.rewrites.iter().map(|_| "rewrite".to_owned()));
    texts.extend(phases.mirrors.iter().map(|mirror| {
        let mirror = &mirror.filter;
        format!("mirror {}/{} to {}", mirror.fraction.0, mirror.fraction.1, mirror.backend)
    }));
    texts.extend(phases.response_headers.iter().map(|_| "edit response headers".to_owned()));
    texts
}

fn value_text(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Exact(text) => format!("= {text}"),
        ValueMatch::Regex(regex) => format!("~ {}", regex.pattern()),
    }
}

fn path_text(path: &PathMatch) -> String {
    match path {
        PathMatch::Exact(text) => format!("path = {text}"),
        PathMatch::Prefix(text) => format!("path under {text}"),
        PathMatch::Regex(regex) => format!("path ~ {}", regex.pattern()),
    }
}

fn match_text(condition: &RouteMatch) -> String {
    let mut parts: Vec<String> = condition.path.iter().map(path_text).collect();
    parts.extend(condition.method.iter().map(|method| format!("method {}", method.as_str())));
    parts.extend(condition.headers.iter().map(|h| format!("header {} {}", h.name, value_text(&h.value))));
    parts.extend(condition.query.iter().map(|q| format!("query {} {}", q.name, value_text(&q.value))));
    if parts.is_empty() { "every request".to_owned() } else { parts.join(", ") }
}

fn why_not(mismatch: Mismatch<'_>, head: &RequestHead) -> String {
    match mismatch {
        Mismatch::Path(path) => format!("wants {}, got {}", path_text(path), head.path()),
        Mismatch::Method(method) => format!("wants method {}, got {}", method.as_str(), head.method.as_str()),
        Mismatch::Header(h) if head.headers.contains(&h.name) => {
            format!("wants header {} {}, got another value", h.name, value_text(&h.value))
        }
        Mismatch::Header(h) => format!("wants header {} {}, got none", h.name, value_text(&h.value)),
        Mismatch::Query(q) => format!("wants query {} {}", q.name, value_text(&q.value)),
    }
}

impl Explanation {
    /// As lines for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.entry.clone()];
        match &self.outcome {
            Outcome::Refused { fault, reason, object } => {
                let by = object.as_ref().map(|object| format!(" — {object}")).unwrap_or_default();
                lines.push(format!("refused: {} {} — {reason}{by}", fault.http_status(), fault.label()));
            }
            Outcome::Forward(chain) => chain.write(&mut lines),
        }
        lines.extend(self.near_misses.iter().map(|miss| format!("  not {} rule {}: {}", miss.route, miss.rule, miss.why)));
        lines
    }
}

impl Chain {
    fn write(&self, lines: &mut Vec<String>) {
        lines.push(format!("  {}", self.host));
        lines.push(format!("  {} rule {}, match {}: {}", self.route, self.rule, self.matched.0, self.matched.1));
        lines.extend(self.filters.iter().map(|filter| format!("    {filter}")));
        lines.extend(self.split.iter().map(|share| format!("  → {:>5.1} % {}", share.percent, share.backend)));
        lines.extend(self.request_timeout.map(|limit| format!("  request timeout {limit:?}")));
        lines.extend(self.backend_timeout.map(|limit| format!("  backend timeout {limit:?}")));
        lines.extend(self.retry.iter().map(|retry| format!("  retry {retry}")));
    }
}
