//! HTTP/1 as hyper reads it, and messages in a form in which two readings can be compared: names in lower case, values in order.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::{HeaderBlock, RequestHead};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;
use tokio::io::AsyncWriteExt;
use transport::Stream;

/// So many fields at most are written beside those that were read.
const OURS: usize = 8;

pub type Fields = BTreeMap<String, Vec<Vec<u8>>>;

/// A request, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub authority: String,
    pub target: String,
    pub fields: Fields,
    pub body: Vec<u8>,
}

impl Request {
    pub fn ours(head: &RequestHead, body: Vec<u8>) -> Self {
        Self {
            method: head.method.as_str().to_owned(),
            authority: head.authority().to_owned(),
            target: head.target().to_owned(),
            fields: fields(&head.headers),
            body,
        }
    }

    fn theirs(parts: &hyper::http::request::Parts, body: Vec<u8>) -> Self {
        let host = || parts.headers.get("host").map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).unwrap_or_default();
        let target = parts.uri.path_and_query().map_or("", |p| p.as_str());
        // An empty path is `/` (RFC 9112, section 3.2.1), which hyper leaves to its reader.
        let slash = if target.starts_with('?') { "/" } else { "" };
        let target = if parts.method == "CONNECT" { String::new() } else { format!("{slash}{target}") };
        Self {
            method: parts.method.to_string(),
            authority: parts.uri.authority().map_or_else(host, ToString::to_string),
            target,
            fields: header_map(&parts.headers),
            body,
        }
    }

    /// Without the fields of that name.
    pub fn without(mut self, names: &[&str]) -> Self {
        names.iter().for_each(|name| drop(self.fields.remove(*name)));
        self
    }
}

pub fn fields(block: &HeaderBlock) -> Fields {
    let mut all = Fields::new();
    for (name, value) in block.iter() {
        all.entry(name.to_ascii_lowercase()).or_default().push(value.to_vec());
    }
    all
}

pub fn header_map(map: &hyper::HeaderMap) -> Fields {
    let mut all = Fields::new();
    for (name, value) in map {
        all.entry(name.as_str().to_owned()).or_default().push(value.as_bytes().to_vec());
    }
    all
}

/// The requests that a server on hyper reads whole from `bytes`, and whether it then found fault with what came next.
pub async fn requests(bytes: &[u8]) -> (Vec<Request>, bool) {
    let (mut client, server) = Stream::pair(1 << 20);
    client.write_all(bytes).await.expect("the pipe holds it");
    client.shutdown().await.expect("open");
    let read = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let read = read.clone();
        async move {
            let (parts, body) = request.into_parts();
            // Cut short or badly framed: the connection ends, and there was no such request.
            if let Ok(body) = body.collect().await {
                read.borrow_mut().push(Request::theirs(&parts, body.to_bytes().to_vec()));
            }
            Ok::<_, Infallible>(hyper::Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.half_close(true).header_read_timeout(None).max_headers(transport::limits::HEADERS + OURS).auto_date_header(false);
    let served = builder.serve_connection(TokioIo::new(server), service).await;
    drop(client);
    let read = read.take();
    (read, served.is_err())
}
