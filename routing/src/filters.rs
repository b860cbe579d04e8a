//! What a route's filters do to heads: redirects and cross-origin answers, edits, rewrites, which mirrors get a copy. A fixed order of phases
//! (see [`crate::phases`]). Framing and hop-by-hop fields belong to the connection and are never edited. It never sends anything.

use crate::compiled::SplitBackend;
use crate::decision::{Decision, Reason, Refusal};
use crate::phases::{Phases, Written};
use model::authorizer::Asking;
use model::route::{HeaderEdits, Mirror, PathEdit, Redirect, Rewrite};
use model::{Applied, Fault, HeaderBlock, RequestHead, ResponseHead, Scheme};
use std::sync::Arc;

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

/// Who is asked about this request before its phases run; nobody where it is answered 500, or is a cross-origin question, which carries nothing to
/// judge it by.
pub fn authorizers<'t>(decision: &Decision<'t>, head: &RequestHead) -> &'t [Written<Arc<Asking>>] {
    let phases = decision.phases();
    let is_answered = || phases.cors.as_ref().is_some_and(|cors| cors::preflight(&cors.filter, head).is_some());
    if phases.authorizers.is_empty() || phases.invalid.is_some() || is_answered() { &[] } else { &phases.authorizers }
}

/// Runs a rule's request phases, once its authorizers have allowed the request. What ran is added to `applied`, here and below.
pub fn apply_request<'t>(
    decision: &Decision<'t>,
    head: &mut RequestHead,
    context: &Context,
    applied: &mut Applied,
) -> Result<RequestOutcome, Refusal<'t>> {
    let phases = decision.phases();
    if let Some(message) = &phases.invalid {
        return Err(decision.refuse(Fault::InvalidFilter, Reason::InvalidFilter(message)));
    }
    let mut pending = Pending::default();
    if let Some(Written { at, filter: rules }) = &phases.cors {
        applied.rule(*at);
        if let Some(answer) = cors::preflight(rules, head) {
            return Ok(RequestOutcome::Answer(answer));
        }
        pending.allowed_origin = cors::allowed_origin(rules, &head.headers).map(Into::into);
    }
    phases.authorizers.iter().for_each(|asked| applied.rule(asked.at));
    let prefix = || decision.matched_prefix();
    if let Some(Written { at, filter: redirect }) = &phases.redirect {
        applied.rule(*at);
        let mut answer = redirect_answer(redirect, head, prefix(), context);
        apply_response(decision, None, &pending, &mut answer, applied);
        return Ok(RequestOutcome::Answer(answer));
    }
    edit_request(phases, head, prefix, |at| applied.rule(at));
    Ok(RequestOutcome::Forward(pending))
}

/// Runs the request phases of the backend that was picked, after those of the rule and its mirrors.
pub fn apply_backend_request(decision: &Decision<'_>, backend: &SplitBackend, head: &mut RequestHead, applied: &mut Applied) {
    // The rule may have rewritten the path that the prefix was matched in: a backend's prefix edit then has nothing to hold on to.
    let rewritten = || decision.phases().rewrites.iter().any(|rewrite| rewrite.filter.path.is_some());
    let prefix = || decision.matched_prefix().filter(|_| !rewritten());
    edit_request(&backend.phases, head, prefix, |at| applied.backend(at));
}

/// Runs the response phases: the backend's first, for it stands nearer to the answer.
pub fn apply_response(
    decision: &Decision<'_>,
    backend: Option<&SplitBackend>,
    pending: &Pending,
    head: &mut ResponseHead,
    applied: &mut Applied,
) {
    for Written { at, filter: edits } in backend.iter().flat_map(|backend| &backend.phases.response_headers) {
        applied.backend(*at);
        edit_headers(edits, &mut head.headers);
    }
    for Written { at, filter: edits } in &decision.phases().response_headers {
        applied.rule(*at);
        edit_headers(edits, &mut head.headers);
    }
    if let Some(rules) = &decision.phases().cors {
        cors::answer_headers(&rules.filter, pending.allowed_origin.as_deref(), &mut head.headers);
    }
}

/// The mirrors of a rule or a backend that get a copy of this request; `draw` is asked once for each, uniform over all of `u32`.
pub fn mirrors(phases: &Phases, mut draw: impl FnMut() -> u32) -> impl Iterator<Item = &Written<Mirror>> {
    phases.mirrors.iter().filter(move |mirror| {
        let (share, of) = mirror.filter.fraction;
        share >= of || (u64::from(draw()) * u64::from(of)) >> 32 < u64::from(share)
    })
}

fn edit_request(phases: &Phases, head: &mut RequestHead, prefix: impl Fn() -> Option<usize>, mut ran: impl FnMut(usize)) {
    for Written { at, filter: edits } in &phases.request_headers {
        ran(*at);
        edit_headers(edits, &mut head.headers);
    }
    for Written { at, filter: rewrite } in &phases.rewrites {
        ran(*at);
        rewrite_request(rewrite, head, prefix());
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
