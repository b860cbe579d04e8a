//! What a route's filters do to heads: redirects and cross-origin answers, edits, rewrites, which mirrors get a copy. A fixed order of phases
//! (see [`crate::phases`]). Framing and hop-by-hop fields belong to the connection and are never edited. It never sends anything.

use crate::compiled::SplitBackend;
use crate::decision::{Decision, Reason, Refusal};
use crate::phases::Phases;
use model::route::{HeaderEdits, Mirror, PathEdit, Redirect, Rewrite};
use model::{Fault, HeaderBlock, RequestHead, ResponseHead, Scheme};

mod cors;

/// What a redirect needs to know of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    pub scheme: Scheme,
    /// The port of the listener, as the caller dialled it.
    pub port: u16,
}

#[derive(Debug, PartialEq)]
pub enum RequestOutcome {
    /// Send it on, and give this to [`apply_response`].
    Forward(Pending),
    /// Answer with this head and no body.
    Answer(ResponseHead),
}

/// What the answer's filters need to know of the request.
#[derive(Debug, Default, PartialEq)]
pub struct Pending {
    /// The origin that cross-origin rules allow, as it was sent.
    allowed_origin: Option<Box<str>>,
}

/// Runs a rule's request phases.
pub fn apply_request<'t>(decision: &Decision<'t>, head: &mut RequestHead, context: &Context) -> Result<RequestOutcome, Refusal<'t>> {
    let phases = decision.phases();
    check(decision, phases)?;
    let mut pending = Pending::default();
    if let Some(rules) = &phases.cors {
        if let Some(answer) = cors::preflight(rules, head) {
            return Ok(RequestOutcome::Answer(answer));
        }
        pending.allowed_origin = cors::allowed_origin(rules, &head.headers).map(Into::into);
    }
    let prefix = decision.matched_prefix();
    if let Some(redirect) = &phases.redirect {
        let mut answer = redirect_answer(redirect, head, prefix, context);
        apply_response(decision, None, &pending, &mut answer);
        return Ok(RequestOutcome::Answer(answer));
    }
    edit_request(phases, head, prefix);
    Ok(RequestOutcome::Forward(pending))
}

/// Runs the request phases of the backend that was picked, after those of the rule.
pub fn apply_backend_request<'t>(decision: &Decision<'t>, backend: &'t SplitBackend, head: &mut RequestHead) -> Result<(), Refusal<'t>> {
    check(decision, &backend.phases)?;
    // The rule may have rewritten the path that the prefix was matched in: a backend's prefix edit then has nothing to hold on to.
    let prefix = decision.matched_prefix().filter(|_| decision.phases().rewrites.iter().all(|rewrite| rewrite.path.is_none()));
    edit_request(&backend.phases, head, prefix);
    Ok(())
}

/// Runs the response phases: the backend's first, for it stands nearer to the answer.
pub fn apply_response(decision: &Decision<'_>, backend: Option<&SplitBackend>, pending: &Pending, head: &mut ResponseHead) {
    let inner = backend.map_or(&[][..], |backend| &backend.phases.response_headers);
    for edits in inner.iter().chain(&decision.phases().response_headers) {
        edit_headers(edits, &mut head.headers);
    }
    if let Some(rules) = &decision.phases().cors {
        cors::answer_headers(rules, pending.allowed_origin.as_deref(), &mut head.headers);
    }
}

/// The mirrors that get a copy of this request, by the rule and by the backend; `draw` is asked once for each, uniform over all of `u32`.
pub fn mirrors<'t>(
    decision: &Decision<'t>,
    backend: Option<&'t SplitBackend>,
    mut draw: impl FnMut() -> u32,
) -> impl Iterator<Item = &'t Mirror> {
    let inner = backend.map_or(&[][..], |backend| &backend.phases.mirrors);
    decision.phases().mirrors.iter().chain(inner).filter(move |mirror| {
        let (share, of) = mirror.fraction;
        share >= of || (u64::from(draw()) * u64::from(of)) >> 32 < u64::from(share)
    })
}

fn check<'t>(decision: &Decision<'t>, phases: &'t Phases) -> Result<(), Refusal<'t>> {
    match &phases.invalid {
        Some(message) => Err(decision.refuse(Fault::InvalidFilter, Reason::InvalidFilter(message))),
        None => Ok(()),
    }
}

fn edit_request(phases: &Phases, head: &mut RequestHead, prefix: Option<usize>) {
    for edits in &phases.request_headers {
        edit_headers(edits, &mut head.headers);
    }
    for rewrite in &phases.rewrites {
        rewrite_request(rewrite, head, prefix);
    }
}

fn edit_headers(edits: &HeaderEdits, headers: &mut HeaderBlock) {
    for name in &edits.remove {
        headers.remove(name);
    }
    for (name, value) in &edits.set {
        headers.set(name, value.as_bytes());
    }
    for (name, value) in &edits.add {
        headers.push(name, value.as_bytes());
    }
}

fn rewrite_request(rewrite: &Rewrite, head: &mut RequestHead, prefix: Option<usize>) {
    if let Some(host) = &rewrite.host {
        head.set_authority(host);
        if head.headers.contains("host") {
            head.headers.set("host", host.as_bytes());
        }
    }
    if let Some(edit) = &rewrite.path {
        let path = edited_path(edit, head.path(), prefix);
        head.set_path(&path);
    }
}

/// Gateway API's table of `ReplacePrefixMatch`: exactly one slash between what replaces and what remains; the whole is never empty.
fn edited_path(edit: &PathEdit, path: &str, prefix: Option<usize>) -> String {
    match (edit, prefix.and_then(|length| path.get(length..))) {
        (PathEdit::Full(full), _) => full.to_string(),
        // The front end refuses prefix edits on other matches; what slips through leaves the path alone.
        (PathEdit::Prefix(_), None) => path.to_owned(),
        (PathEdit::Prefix(with), Some(rest)) => {
            let (with, rest) = (with.trim_end_matches('/'), rest.strip_prefix('/').map_or("", |rest| rest));
            let slash = path.len() > prefix.unwrap_or(0);
            match (with.is_empty(), slash) {
                (true, _) => format!("/{rest}"),
                (false, true) => format!("{with}/{rest}"),
                (false, false) => with.to_owned(),
            }
        }
    }
}

/// Where a redirect leads. The port is the filter's; else, where the filter names a scheme, that scheme's own; else the listener's. A port that
/// is the scheme's own is left out (Gateway API, `HTTPRequestRedirectFilter.port`).
fn redirect_answer(redirect: &Redirect, head: &RequestHead, prefix: Option<usize>, context: &Context) -> ResponseHead {
    let scheme = redirect.scheme.unwrap_or(context.scheme);
    let host = redirect.host.as_deref().unwrap_or(head.host());
    let port = redirect.port.unwrap_or(match redirect.scheme {
        Some(scheme) => scheme.default_port(),
        None => context.port,
    });
    let mut location = format!("{}://{host}", scheme.as_str());
    if port != scheme.default_port() {
        location.push_str(&format!(":{port}"));
    }
    match &redirect.path {
        Some(edit) => location.push_str(&edited_path(edit, head.path(), prefix)),
        None => location.push_str(head.path()),
    }
    if let Some(query) = head.query() {
        location.push('?');
        location.push_str(query);
    }
    let mut answer = ResponseHead::with_status(redirect.code);
    answer.headers.push("location", location.as_bytes());
    answer.headers.push("content-length", b"0");
    answer
}

#[cfg(test)]
mod tests;
