//! What the mesh says while it runs, in lines for people: an edit and how far it has come, a located error and what is still served. Pure:
//! events in, lines out.

use std::collections::BTreeMap;
use wire::api::{Change, ChangeKind, Event, Located, Severity};

/// Remembers what a generation changed until its proxies have it.
#[derive(Debug, Default)]
pub struct Narrator {
    pending: BTreeMap<u64, Vec<Change>>,
    pub generation: u64,
    /// Of the last generation: proxies that have it, proxies that it concerns.
    pub applied: (u32, u32),
}

/// Changes and problems listed one by one; what is beyond is counted.
pub const LISTED: usize = 8;

impl Narrator {
    pub fn hear(&mut self, event: Event) -> Vec<String> {
        match event {
            Event::Hello { generation, .. } => {
                self.generation = generation;
                Vec::new()
            }
            Event::Generation { generation, changes, .. } => {
                self.generation = generation;
                // An older generation that some proxy never took is told now: it will not come through any more.
                let late: Vec<String> = std::mem::take(&mut self.pending).into_values().flat_map(|changes| told(&changes, "")).collect();
                if !changes.is_empty() {
                    self.pending.insert(generation, changes);
                }
                late
            }
            Event::Applied { generation, applied, concerned, millis } => {
                // One that changed nothing visible is told by this alone.
                if generation >= self.generation {
                    self.generation = generation;
                    self.applied = (applied, concerned);
                }
                if applied < concerned {
                    return Vec::new();
                }
                let proxies = if concerned == 0 {
                    " · concerns no proxy".into()
                } else {
                    format!(" · {applied}/{concerned} proxies · {millis} ms")
                };
                // Who has a generation has what was before it: one that nothing visible changed may have overtaken it.
                let later = self.pending.split_off(&(generation + 1));
                let had = std::mem::replace(&mut self.pending, later);
                had.into_values().flat_map(|changes| told(&changes, &proxies)).collect()
            }
            Event::Refused { problems, serving, .. } => {
                let mut lines: Vec<String> = problems.iter().map(located).collect();
                lines.push(format!("still serving generation {serving}"));
                lines
            }
            Event::Mended { serving, .. } => vec![format!("all files are good again; serving generation {serving}")],
            Event::Nack { proxy, key, reason, .. } => vec![format!("proxy {proxy} refused {key}: {reason}")],
            Event::ProxyConnected { .. } => Vec::new(),
            Event::ProxyDisconnected { reason, .. } if reason.is_empty() => Vec::new(),
            Event::ProxyDisconnected { proxy, reason, .. } => vec![format!("proxy {proxy} left: {reason}")],
        }
    }
}

fn told(changes: &[Change], proxies: &str) -> Vec<String> {
    let line = |change: &Change| {
        let file = if change.file.is_empty() { String::new() } else { format!("{}: ", change.file) };
        let what = match (&*change.summary, change.change) {
            ("", ChangeKind::Added) => format!("{} {} added", change.kind, change.name),
            ("", ChangeKind::Changed) => format!("{} {} changed", change.kind, change.name),
            ("", ChangeKind::Removed) => format!("{} {} removed", change.kind, change.name),
            (summary, _) => summary.to_owned(),
        };
        format!("{file}{what}{proxies}")
    };
    let mut lines: Vec<String> = changes.iter().take(LISTED).map(line).collect();
    if changes.len() > LISTED {
        lines.push(format!("and {} more{proxies}", changes.len() - LISTED));
    }
    lines
}

/// `routes.yaml:12:5: error: HTTPRoute shop/catalog spec.rules[0]: message (do this)`.
pub fn located(problem: &Located) -> String {
    let severity = match problem.severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    // A file that is not there has no lines.
    let place = if problem.line == 0 { problem.file.clone() } else { format!("{}:{}:{}", problem.file, problem.line, problem.column) };
    let mut text = if place.is_empty() { format!("{severity}: ") } else { format!("{place}: {severity}: ") };
    for part in [&problem.object, &problem.path] {
        if !part.is_empty() {
            text.push_str(part);
            text.push(' ');
        }
    }
    text.push_str(&problem.message);
    if let Some(fix) = &problem.fix {
        text.push_str(&format!(" ({fix})"));
    }
    text
}

#[cfg(test)]
mod tests;
