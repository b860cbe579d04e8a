//! An authorizer that speaks HTTP: it gets a request like the one that it is asked about, and allows it by 200. Every other answer below 500 is the
//! caller's; one of a server that failed says nothing.

use super::{Edits, Question, Said, Word, is_framing, tell_depth};
use crate::called;
use crate::limits;
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use bytes::Bytes;
use model::authorizer::{Asking, Fields};
use model::{HeaderBlock, RequestHead, ResponseHead, Scheme, Version};
use std::rc::Rc;
use std::sync::Arc;
use transport::Error;
use transport::body::Incoming;
use wire::authorization::Manner;

/// Sent whatever else is (Gateway API, `HTTPExternalAuthFilter`).
const ALWAYS: &str = "authorization";

pub async fn ask(
    worker: &Rc<Worker>,
    snapshot: &Snapshot,
    asking: &Asking,
    (prefix, taken): (&Arc<str>, &Fields),
    question: &Question<'_>,
) -> Result<Word, Error> {
    let body = || Incoming::Held(Some(question.body.cloned().unwrap_or_default()));
    let bounds = (limits::AUTHORIZER_BYTES, false);
    let asked = called::asked(worker, snapshot, &asking.backend, bounds, || head(asking, prefix, question), body).await?;
    Ok(match asked.status {
        200 => match edits(asking, taken, &asked.headers) {
            Some(edits) => Word::Allowed(edits),
            None => Word::Nothing("it answered with a field that is none".into()),
        },
        status @ 500.. => Word::Nothing(format!("it answered {status}")),
        status => {
            let said = Said::Status(status.into());
            let body = if asked.cut { Bytes::new() } else { asked.body.into() };
            Word::Denied { answer: denied(said.shown(|status| status >= 300), asked.headers.iter()), body, said }
        }
    })
}

fn head(asking: &Asking, prefix: &str, question: &Question<'_>) -> RequestHead {
    let of = question.head;
    let mut head = RequestHead::default();
    (head.method, head.scheme, head.version) = (of.method.clone(), Scheme::Http, Version::Http11);
    head.set_target(&format!("{prefix}{}", of.target()));
    head.set_authority(of.authority());
    for (name, value) in of.headers.iter() {
        let told = asking.told.has(name) || name.eq_ignore_ascii_case(ALWAYS);
        if told && !is_framing(name) {
            head.headers.push(name, value);
        }
    }
    tell_depth(&mut head, question);
    head
}

/// The fields of the answer that the request goes on with. Those that are named are the authorizer's alone to write, unless it was told them.
fn edits(asking: &Asking, taken: &Fields, headers: &HeaderBlock) -> Option<Edits> {
    let mut edits = taken_off(asking, taken);
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in headers.iter().filter(|(name, _)| taken.has(name) && !is_of_answer(name)) {
        let again = seen.iter().any(|known| known.eq_ignore_ascii_case(name));
        seen.push(name);
        if !edits.write(name, value, if again { Manner::Append } else { Manner::Replace }) {
            return None;
        }
    }
    Some(edits)
}

/// Fields that are taken off every request, whatever is answered.
pub(super) fn taken_off(asking: &Asking, taken: &Fields) -> Edits {
    let mut edits = Edits::default();
    if let Fields::Only(names) = taken {
        names.iter().filter(|name| !asking.told.has(name) && !name.eq_ignore_ascii_case(ALWAYS)).for_each(|name| edits.remove(name));
    }
    edits
}

/// What an answer says of itself, and no request could.
fn is_of_answer(name: &str) -> bool {
    let names = ["content-type", "content-encoding", "content-language", "content-range", "date", "server", "proxy-status"];
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

pub(super) fn denied<'h>(status: u16, headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> ResponseHead {
    let mut head = ResponseHead::with_status(status);
    for (name, value) in headers.filter(|(name, _)| !is_framing(name) && !name.eq_ignore_ascii_case("proxy-status")) {
        head.headers.push(name, value);
    }
    head
}
