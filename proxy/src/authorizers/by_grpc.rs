//! An authorizer that speaks Envoy's gRPC API (`envoy.service.auth.v3`). It allows by the status OK and no other; an answer without a word denies.

use super::by_http::denied;
use super::{Edits, Question, Said, Word, is_framing, tell_depth};
use crate::called::{self, authority};
use crate::limits;
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use bytes::Bytes;
use model::authorizer::Asking;
use model::{Method, RequestHead, Scheme, Version};
use std::collections::BTreeMap;
use std::rc::Rc;
use transport::Error;
use transport::body::Incoming;
use wire::authorization::{
    self, Address, AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, HttpRequest, HttpResponse, Peer, Request,
    SocketAddress,
};

pub async fn ask(worker: &Rc<Worker>, snapshot: &Snapshot, asking: &Asking, question: &Question<'_>) -> Result<Word, Error> {
    let message = authorization::question(&request(asking, question));
    let (bounds, body) = ((limits::AUTHORIZER_BYTES, true), || Incoming::Held(Some(message.clone())));
    let asked = called::asked(worker, snapshot, &asking.backend, bounds, || head(asking, question), body).await?;
    Ok(match (asked.status, asked.grpc_status, authorization::answer(&asked.body)) {
        (200, Some(0), Some(said)) => word(&said),
        (200, Some(0), None) => Word::Nothing("it answered what is no CheckResponse".into()),
        (200, Some(status), _) => Word::Nothing(format!("it answered gRPC status {status}")),
        (200, None, _) => Word::Nothing("it answered without a gRPC status".into()),
        (status, ..) => Word::Nothing(format!("it answered {status}")),
    })
}

/// What an answer says.
pub(super) fn word(said: &CheckResponse) -> Word {
    let code = said.status.as_ref().map(|status| status.code);
    match (code, &said.http_response) {
        (Some(0), None) => Word::Allowed(Edits::default()),
        (None | Some(0), Some(HttpResponse::Ok(ok))) => {
            let mut edits = Edits::default();
            ok.headers_to_remove.iter().for_each(|name| edits.remove(name));
            match ok.headers.iter().all(|option| edits.option(option)) {
                true => Word::Allowed(edits),
                false => Word::Nothing("it answered with a field that is none".into()),
            }
        }
        (_, Some(HttpResponse::Denied(said))) => refusal(said),
        (Some(_), _) => refusal(&DeniedHttpResponse::default()),
        (None, None) => Word::Nothing("it answered without a status".into()),
    }
}

fn refusal(said: &DeniedHttpResponse) -> Word {
    let code = said.status.as_ref().and_then(|status| u32::try_from(status.code).ok()).filter(|code| *code > 0);
    let word = code.map_or(Said::No, Said::Status);
    let status = word.shown(|status| (300..=599).contains(&status));
    let fields = said.headers.iter().filter_map(|option| option.header.as_ref());
    let fits = |name: &str, value: &[u8]| {
        let name_fits = !name.is_empty() && name.bytes().all(model::http::is_token_byte);
        name_fits && value.iter().all(|b| model::http::is_value_byte(*b))
    };
    let fields = fields.map(|header| (header.key.as_str(), header.bytes())).filter(|(name, value)| fits(name, value));
    Word::Denied { answer: denied(status, fields), body: Bytes::from(said.body.clone()), said: word }
}

fn head(asking: &Asking, question: &Question<'_>) -> RequestHead {
    let mut head = RequestHead::default();
    (head.method, head.scheme, head.version) = (Method::Post, Scheme::Http, Version::Http2);
    head.set_target(authorization::CHECK);
    head.set_authority(&authority(&asking.backend));
    head.headers.push("content-type", b"application/grpc");
    head.headers.push("te", b"trailers");
    head.headers.push("grpc-timeout", format!("{}m", asking.timeout.as_millis().clamp(1, 99_999_999)).as_bytes());
    head.headers.push("user-agent", concat!("organza/", env!("CARGO_PKG_VERSION")).as_bytes());
    if !question.request_id.is_empty() {
        head.headers.push("x-request-id", question.request_id.as_bytes());
    }
    tell_depth(&mut head, question);
    head
}

fn request(asking: &Asking, question: &Question<'_>) -> CheckRequest {
    let head = question.head;
    let scheme = if question.secure { Scheme::Https } else { Scheme::Http };
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in head.headers.iter().filter(|(name, _)| asking.told.has(name) && !is_framing(name)) {
        let value = String::from_utf8_lossy(value);
        let known = headers.entry(name.to_ascii_lowercase()).or_default();
        if !known.is_empty() {
            known.push(',');
        }
        known.push_str(&value);
    }
    for (name, value) in
        [(":method", head.method.as_str()), (":path", head.target()), (":authority", head.authority()), (":scheme", scheme.as_str())]
    {
        if asking.told.has(name) {
            headers.insert(name.to_owned(), value.to_owned());
        }
    }
    let body = question.body.cloned().unwrap_or_default();
    let (body, raw_body) = match String::from_utf8(body.to_vec()) {
        Ok(text) => (text, Vec::new()),
        Err(odd) => (String::new(), odd.into_bytes()),
    };
    let http = HttpRequest {
        id: question.request_id.to_owned(),
        method: head.method.as_str().to_owned(),
        headers,
        path: head.target().to_owned(),
        host: head.authority().to_owned(),
        scheme: scheme.as_str().to_owned(),
        size: question.length.map_or(-1, |length| i64::try_from(length).unwrap_or(i64::MAX)),
        protocol: protocol(head.version).to_owned(),
        body,
        raw_body,
    };
    let socket = question
        .address
        .map(|address| SocketAddress { address: address.ip().to_canonical().to_string(), port_value: u32::from(address.port()) });
    let source = Peer {
        address: socket.map(|socket| Address { socket_address: Some(socket) }),
        principal: question.identity.map(ToString::to_string).unwrap_or_default(),
    };
    CheckRequest { attributes: Some(AttributeContext { source: Some(source), request: Some(Request { http: Some(http) }) }) }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2",
    }
}
