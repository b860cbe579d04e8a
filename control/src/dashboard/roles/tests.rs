//! What is written down, and what is not.

use super::*;

fn verdict(method: Method, uri: &'static str, status: StatusCode) -> Option<(String, &'static str)> {
    Question { method, uri: Uri::from_static(uri) }.verdict(status)
}

#[test]
fn taps_and_changes_are_written_down_with_what_became_of_them() {
    let said = |what: &str, verdict| Some((what.to_owned(), verdict));
    assert_eq!(verdict(Method::GET, "/v1/tap?from=web", StatusCode::OK), said("GET /v1/tap?from=web", "done"));
    assert_eq!(verdict(Method::GET, "/v1/tap", StatusCode::FORBIDDEN), said("GET /v1/tap", "denied"));
    assert_eq!(verdict(Method::POST, "/v1/dashboard?role=admin", StatusCode::OK), said("POST /v1/dashboard?role=admin", "done"));
    assert_eq!(verdict(Method::POST, "/v1/registrations", StatusCode::METHOD_NOT_ALLOWED), said("POST /v1/registrations", "denied"));
    assert_eq!(verdict(Method::DELETE, "/v1/tokens/a", StatusCode::NOT_FOUND), said("DELETE /v1/tokens/a", "failed"));
    assert_eq!(verdict(Method::POST, "/v1/roots/rotate", StatusCode::CONFLICT), said("POST /v1/roots/rotate", "failed"));
    // A process that was forgotten, and is taken in again.
    assert_eq!(verdict(Method::PUT, "/v1/registrations/web-1", StatusCode::CREATED), said("PUT /v1/registrations/web-1", "done"));
}

#[test]
fn what_only_tells_and_what_comes_each_second_is_not() {
    for (method, uri) in [
        (Method::GET, "/v1/status"),
        (Method::HEAD, "/v1/graph?seconds=60"),
        (Method::PUT, "/v1/registrations/web-1"),
        (Method::POST, "/v1/sign"),
        (Method::GET, "/app.js"),
    ] {
        assert_eq!(verdict(method.clone(), uri, StatusCode::OK), None, "{method} {uri}");
    }
}
