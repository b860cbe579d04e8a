//! The page itself: the files that `dashboard/` is built to, carried in the binary, and the headers that hold a browser to them.

use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};

pub struct File {
    pub path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

pub const FILES: &[File] = &[
    File { path: "/app.js", kind: "text/javascript; charset=utf-8", bytes: include_bytes!("../../../dashboard/dist/app.js") },
    File { path: "/app.css", kind: "text/css; charset=utf-8", bytes: include_bytes!("../../../dashboard/dist/app.css") },
    File { path: "/icon.svg", kind: "image/svg+xml", bytes: include_bytes!("../../../dashboard/dist/icon.svg") },
];

const INDEX: &File = &File { path: "/", kind: "text/html; charset=utf-8", bytes: include_bytes!("../../../dashboard/dist/index.html") };

/// Nothing comes from elsewhere, nothing is sent elsewhere, nobody frames it.
pub const HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// For who was not let in.
pub const STRANGER: &str = include_str!("stranger.html");

pub fn index() -> Response {
    answer(INDEX)
}

pub fn answer(file: &'static File) -> Response {
    let kind: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, file.kind)];
    (kind, file.bytes).into_response()
}
