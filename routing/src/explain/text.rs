//! An explanation as lines for people: a word of what each line is about, then the line. Knows nothing that the explanation does not say.

use super::{Chain, Explanation, NearMiss, Outcome, Ran, Refused, Share};
use crate::matching::Mismatch;
use model::{PathMatch, RequestHead, Retry, RouteMatch, ValueMatch};

pub(super) fn in_brackets(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(" ({place})") }
}

pub(super) fn retry(retry: &Retry) -> String {
    let codes: Vec<String> = retry.codes.iter().map(ToString::to_string).collect();
    let on = if codes.is_empty() { String::new() } else { format!(" on {} and", codes.join(", ")) };
    format!("up to {} more{on} where nothing was sent, {:?} apart at first", retry.attempts, retry.backoff)
}

fn value(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Exact(text) => format!("= {text}"),
        ValueMatch::Regex(regex) => format!("~ {}", regex.pattern()),
    }
}

fn path(path: &PathMatch) -> String {
    match path {
        PathMatch::Exact(text) => format!("path = {text}"),
        PathMatch::Prefix(text) => format!("path under {text}"),
        PathMatch::Regex(regex) => format!("path ~ {}", regex.pattern()),
    }
}

/// Gateway API writes "any path" as the prefix `/`, which nobody wrote and nobody needs to read.
pub(super) fn matched(condition: &RouteMatch) -> String {
    let everything = |path: &&PathMatch| !matches!(path, PathMatch::Prefix(prefix) if **prefix == *"/");
    let mut parts: Vec<String> = condition.path.iter().filter(everything).map(path).collect();
    parts.extend(condition.method.iter().map(|method| format!("method {}", method.as_str())));
    parts.extend(condition.headers.iter().map(|h| format!("header {} {}", h.name, value(&h.value))));
    parts.extend(condition.query.iter().map(|q| format!("query {} {}", q.name, value(&q.value))));
    if parts.is_empty() { "takes every request".to_owned() } else { format!("takes {}", parts.join(", ")) }
}

pub(super) fn why_not(mismatch: Mismatch<'_>, head: &RequestHead) -> String {
    match mismatch {
        Mismatch::Path(want) => format!("wants {}, got {}", path(want), head.path()),
        Mismatch::Method(method) => format!("wants method {}, got {}", method.as_str(), head.method.as_str()),
        // Values of headers may be secrets.
        Mismatch::Header(h) if head.headers.contains(&h.name) => format!("wants header {} {}, got another value", h.name, value(&h.value)),
        Mismatch::Header(h) => format!("wants header {} {}, got none", h.name, value(&h.value)),
        Mismatch::Query(q) => format!("wants query {} {}", q.name, value(&q.value)),
    }
}

impl Explanation {
    /// As lines for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Lines::default();
        lines.add(if self.enters { "enters" } else { "calls" }, &self.entry);
        if let Some(chain) = &self.chain {
            chain.write(&mut lines);
        }
        match &self.outcome {
            Outcome::Forward => {}
            Outcome::Answer { status, location } => {
                let to = location.as_ref().map(|location| format!(", Location: {location}")).unwrap_or_default();
                lines.add("answer", &format!("{status}{to}"));
            }
            Outcome::Refused(refused) => refused.write(&mut lines),
            Outcome::Outside { host, port, alike } => {
                lines.add("outside", &format!("leaves the mesh as it is, for {host}:{port}; the mesh neither encrypts nor routes it"));
                if !alike.is_empty() {
                    lines.add("alike", &format!("did you mean {}?", alike.join(" or ")));
                }
            }
            Outcome::NoConnection { reason } => lines.add("fails", &format!("no request is heard: {reason}")),
        }
        for miss in &self.near_misses {
            lines.add("not taken", &miss.text(self.chain.as_ref()));
        }
        lines.0
    }
}

#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, about: &str, text: &str) {
        let last = self.0.iter().rev().find(|line| !line.starts_with(' ')).and_then(|line| line.get(..11)).map(str::trim_end);
        // A word stands once above all the lines that it is for.
        let about = if last == Some(about) { "" } else { about };
        self.0.push(format!("{about:<11}{text}"));
    }
}

impl Refused {
    fn status(&self) -> String {
        format!("{} {}: {}", self.fault.http_status(), self.fault.label(), self.reason)
    }

    fn write(&self, lines: &mut Lines) {
        lines.add("refused", &self.status());
        if let Some(object) = &self.object {
            lines.add("because of", &format!("{object}{}", in_brackets(&self.place)));
        }
    }
}

impl NearMiss {
    fn text(&self, winner: Option<&Chain>) -> String {
        match winner {
            Some(chain) if chain.route == self.route => format!("rule {}: {}", self.rule, self.why),
            _ => format!("{}{} rule {}: {}", self.route, in_brackets(&self.place), self.rule, self.why),
        }
    }
}

fn names(filters: &[Ran]) -> String {
    let name = |ran: &Ran| match ran.share {
        Some((share, of)) => format!("{} ({share} of {of} requests)", ran.name),
        None => ran.name.clone(),
    };
    filters.iter().map(name).collect::<Vec<_>>().join(", ")
}

impl Chain {
    fn write(&self, lines: &mut Lines) {
        if self.is_default {
            lines.add("route", "none: the service gets its calls itself");
        } else {
            let host = match &self.host {
                model::HostPattern::Any => String::new(),
                pattern => format!(" for host {pattern}"),
            };
            lines.add("route", &format!("{}{}{host}", self.route, in_brackets(&self.place)));
            lines.add("rule", &format!("{}: {}", self.rule, self.matched));
        }
        if !self.filters.is_empty() {
            lines.add("filters", &names(&self.filters));
        }
        self.sent.iter().for_each(|sent| lines.add("sent as", sent));
        for share in &self.split {
            share.write(self.filters.len(), lines);
        }
        if !self.split.is_empty() {
            let each = |limit: &Option<std::time::Duration>, what| limit.map(|limit| format!("{limit:?} for {what}"));
            let limits = [each(&self.request_timeout, "the request"), each(&self.backend_timeout, "each try")];
            let limits: Vec<String> = limits.into_iter().flatten().collect();
            if !limits.is_empty() {
                lines.add("timeouts", &limits.join(", "));
            }
            self.retry.iter().for_each(|retry| lines.add("retries", retry));
        }
    }
}

impl Share {
    /// `shared` of the filters are the rule's, and told already.
    fn write(&self, shared: usize, lines: &mut Lines) {
        let percent = format!("{:.1}", self.percent);
        let mut text = format!("{:>4} % {}", percent.strip_suffix(".0").unwrap_or(&percent), self.backend);
        if let Some(refused) = &self.refused {
            text.push_str(&format!(", refused: {}", refused.status()));
        }
        if let Some(sent) = &self.sent {
            text.push_str(&format!(" as {sent}"));
        }
        if let Some(own @ [_, ..]) = self.filters.get(shared..)
            && self.refused.is_none()
        {
            text.push_str(&format!(", then {}", names(own)));
        }
        lines.add("goes to", &text);
    }
}
