//! What its asker has already is not sent again: an answer in JSON has a name that is made of what it says (`ETag`), and whoever asks with that name
//! (`If-None-Match`, RFC 9110) is told 304 and nothing else. It knows no question; what is told line by line has no name.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::hash::{DefaultHasher, Hasher};
use std::io;

/// What is written is hashed and not kept.
#[derive(Default)]
struct Hashed(DefaultHasher);

impl io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The name of an answer that says this; a weak one, for what changes from one to the next without a meaning may be left out of it.
pub fn name(said: &impl Serialize) -> Option<HeaderValue> {
    let mut hashed = Hashed::default();
    serde_json::to_writer(&mut hashed, said).ok()?;
    written(&hashed.0)
}

/// An answer whose name leaves out its time: that it passes is no news.
pub fn timeless<T: Serialize>(mut told: T, time: impl Fn(&mut T) -> &mut u64) -> Response {
    let at = std::mem::take(time(&mut told));
    let name = name(&told);
    *time(&mut told) = at;
    let mut answer = Json(told).into_response();
    name.and_then(|name| answer.headers_mut().insert(ETAG, name));
    answer
}

fn written(hashed: &DefaultHasher) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("W/\"{:016x}\"", hashed.finish())).ok()
}

/// Whether one of the names that the asker has is this one.
fn has(asked: &HeaderMap, name: &HeaderValue) -> bool {
    let names = asked.get_all(IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    let strong = |name: &str| name.trim().trim_start_matches("W/").to_owned();
    let wanted = name.to_str().map(strong).unwrap_or_default();
    names.flat_map(|all| all.split(',')).any(|one| one.trim() == "*" || strong(one) == wanted)
}

/// Gives each answer its name, unless it has one, and leaves out what is known.
pub async fn unless_known(request: Request, next: Next) -> Response {
    let (method, asked) = (request.method().clone(), request.headers().clone());
    let answer = next.run(request).await;
    let is_json = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if method != Method::GET || answer.status() != StatusCode::OK || !is_json {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    // It lies in memory whole; nothing is waited for.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else { return Response::from_parts(parts, Body::empty()) };
    let own = parts.headers.get(ETAG).cloned().or_else(|| {
        let mut hashed = DefaultHasher::new();
        hashed.write(&bytes);
        written(&hashed)
    });
    let Some(name) = own else { return Response::from_parts(parts, bytes.into()) };
    let is_known = has(&asked, &name);
    parts.headers.insert(ETAG, name);
    if !is_known {
        return Response::from_parts(parts, bytes.into());
    }
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::empty())
}
