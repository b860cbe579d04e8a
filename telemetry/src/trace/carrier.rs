//! How a trace travels in the head of a request: W3C Trace Context, and B3 (one header or several) from callers that speak it. What came goes on
//! the same way, and as W3C besides. Knows headers; decides nothing.

use super::{TraceContext, hex, write_hex};
use crate::limits;
use model::HeaderBlock;

/// How the caller told its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Form {
    #[default]
    W3c,
    B3Single,
    B3Multi,
}

/// What the caller told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// The trace and the caller's span.
    pub ids: Option<([u8; 16], [u8; 8])>,
    /// Whether it is recorded, where somebody decided that already.
    pub sampled: Option<bool>,
    pub form: Form,
}

/// Reads what came. Malformed is as if nothing had come; of two forms W3C's holds.
pub fn read(headers: &HeaderBlock) -> Told {
    if let Some(context) = headers.get("traceparent").and_then(TraceContext::parse) {
        return Told { ids: Some((context.trace_id, context.span_id)), sampled: Some(context.sampled), form: Form::W3c };
    }
    if let Some(value) = headers.get("b3") {
        return single(value).unwrap_or_default();
    }
    match headers.contains("x-b3-traceid") || headers.contains("x-b3-sampled") {
        true => several(headers),
        false => Told::default(),
    }
}

/// `TRACE-SPAN`, `TRACE-SPAN-SAMPLED`, `TRACE-SPAN-SAMPLED-PARENT`, or the decision alone.
fn single(value: &[u8]) -> Option<Told> {
    let mut parts = value.split(|b| *b == b'-');
    let first = parts.next()?;
    let form = Form::B3Single;
    if let ([_], None) = (first, parts.clone().next()) {
        return Some(Told { ids: None, sampled: Some(decision(first)?), form });
    }
    let ids = valid(trace_id(first)?, hex::<8>(parts.next()?)?)?;
    let sampled = match parts.next() {
        Some(state) => Some(decision(state)?),
        None => None,
    };
    let ends = parts.next().is_none_or(|parent| hex::<8>(parent).is_some()) && parts.next().is_none();
    ends.then_some(Told { ids: Some(ids), sampled, form })
}

fn several(headers: &HeaderBlock) -> Told {
    let ids = || valid(trace_id(headers.get("x-b3-traceid")?)?, hex::<8>(headers.get("x-b3-spanid")?)?);
    let debug = headers.get("x-b3-flags") == Some(b"1");
    let sampled = headers.get("x-b3-sampled").and_then(|value| match value {
        b"true" => Some(true),
        b"false" => Some(false),
        other => decision(other),
    });
    Told { ids: ids(), sampled: if debug { Some(true) } else { sampled }, form: Form::B3Multi }
}

/// `d` (debug) is recorded like `1`.
fn decision(state: &[u8]) -> Option<bool> {
    match state {
        b"1" | b"d" => Some(true),
        b"0" => Some(false),
        _ => None,
    }
}

/// 128 bits, or the 64 of older tracers.
fn trace_id(text: &[u8]) -> Option<[u8; 16]> {
    let Some(low) = hex::<8>(text) else { return hex::<16>(text) };
    Some(u128::from(u64::from_be_bytes(low)).to_be_bytes())
}

fn valid(trace: [u8; 16], span: [u8; 8]) -> Option<([u8; 16], [u8; 8])> {
    (trace != [0; 16] && span != [0; 8]).then_some((trace, span))
}

/// Tells the next hop. A `tracestate` belongs to the `traceparent` that came with it: without one it ends here, and so does one that is too long.
pub fn write(headers: &mut HeaderBlock, context: &TraceContext, told: &Told) {
    let state = headers.get("tracestate").map(<[u8]>::len);
    if state.is_some_and(|bytes| bytes > limits::TRACESTATE_BYTES || told.form != Form::W3c || told.ids.is_none()) {
        headers.remove("tracestate");
    }
    headers.set("traceparent", &context.traceparent());
    match told.form {
        Form::W3c => {}
        Form::B3Single => {
            let mut text = *b"................................-................-0";
            write_hex(&context.trace_id, &mut text[..32]);
            write_hex(&context.span_id, &mut text[33..49]);
            text[50] = b'0' + u8::from(context.sampled);
            headers.set("b3", short(&text, context));
        }
        Form::B3Multi => {
            let (mut trace, mut span) = ([0; 32], [0; 16]);
            write_hex(&context.trace_id, &mut trace);
            write_hex(&context.span_id, &mut span);
            headers.set("X-B3-TraceId", short(&trace, context));
            headers.set("X-B3-SpanId", &span);
            headers.set("X-B3-Sampled", if context.sampled { b"1" } else { b"0" });
            match told.ids {
                Some((_, parent)) => {
                    write_hex(&parent, &mut span);
                    headers.set("X-B3-ParentSpanId", &span);
                }
                None => _ = headers.remove("x-b3-parentspanid"),
            }
        }
    }
}

/// A trace of 64 bits goes on as it came.
fn short<'t>(text: &'t [u8], context: &TraceContext) -> &'t [u8] {
    if context.trace_id[..8] == [0; 8] { &text[16..] } else { text }
}

#[cfg(test)]
mod tests;
