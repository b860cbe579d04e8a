//! Spans of one trace put in their places: below whom, and when. Proxies know the span that called them; what a program called it names by the span
//! that it was called with, or by one of its own, which nobody told us: then the call hangs below the request that its proxy served meanwhile. Clocks
//! of machines differ: an answer that would lie outside of the call that it answers is moved into the middle of it.

use super::Told;
use std::collections::HashMap;
use telemetry::SpanKind;

/// A span in its place.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'t> {
    pub told: &'t Told,
    pub depth: u32,
    /// As it would be by the clock of the root.
    pub start: u64,
}

/// All spans, parents before their children, children by their time. Every span is in it once, however nonsensical its parent is.
pub fn set<'t>(told: &[&'t Told]) -> Vec<Placed<'t>> {
    let by_id: HashMap<[u8; 8], usize> = told.iter().enumerate().rev().map(|(at, told)| (told.span.span_id, at)).collect();
    let parents: Vec<Option<usize>> = told.iter().enumerate().map(|(at, one)| parent(told, &by_id, at, one)).collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); told.len()];
    let mut roots = Vec::new();
    for (at, parent) in parents.iter().enumerate() {
        match parent {
            Some(parent) => children[*parent].push(at),
            None => roots.push(at),
        }
    }
    let start = |at: &usize| told[*at].span.start_micros;
    children.iter_mut().for_each(|children| children.sort_by_key(start));
    roots.sort_by_key(start);
    let mut out = Vec::with_capacity(told.len());
    let mut seen = vec![false; told.len()];
    // What hangs in a ring has no root: its members are roots one after another.
    let ringed = 0..told.len();
    for root in roots.into_iter().chain(ringed) {
        // At, depth, and what its clock is moved by.
        let mut open = vec![(root, 0, 0i64)];
        while let Some((at, depth, moved)) = open.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            let start = told[at].span.start_micros.saturating_add_signed(moved);
            out.push(Placed { told: told[at], depth, start });
            let below = children[at].iter().rev().filter(|child| !seen[**child]);
            open.extend(below.map(|child| (*child, depth + 1, moved + shift(told[at], told[*child]))));
        }
    }
    out
}

fn parent(told: &[&Told], by_id: &HashMap<[u8; 8], usize>, at: usize, one: &Told) -> Option<usize> {
    let named = one.span.parent.and_then(|id| by_id.get(&id).copied());
    let named = named.filter(|parent| *parent != at);
    if named.is_some() || one.span.kind == SpanKind::Server || one.span.parent.is_none() {
        return named;
    }
    let serves = |other: &Told| {
        let (outer, inner) = (&other.span, &one.span);
        let end = |span: &telemetry::Span| span.start_micros.saturating_add(span.duration_micros);
        outer.kind == SpanKind::Server
            && other.proxy() == one.proxy()
            && outer.start_micros <= inner.start_micros
            && end(inner) <= end(outer)
    };
    told.iter()
        .enumerate()
        .filter(|(other, told)| *other != at && serves(told))
        .min_by_key(|(_, told)| told.span.duration_micros)
        .map(|(at, _)| at)
}

/// By how much the clock of a child is set right against its parent's.
fn shift(parent: &Told, child: &Told) -> i64 {
    let (outer, inner) = (&parent.span, &child.span);
    let end = |span: &telemetry::Span| span.start_micros.saturating_add(span.duration_micros);
    let within = outer.start_micros <= inner.start_micros && end(inner) <= end(outer);
    if parent.proxy() == child.proxy() || within || inner.duration_micros > outer.duration_micros {
        return 0;
    }
    let middle = outer.start_micros + (outer.duration_micros - inner.duration_micros) / 2;
    i64::try_from(i128::from(middle) - i128::from(inner.start_micros)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
