//! A line of the access log, from what strangers choose of it: authority, path, method, server name, reason and what a peer says of itself,
//! parted by byte 1. However they are written, one record is one line, and JSON is JSON.

use model::Method;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use telemetry::access_log::{Format, write_line};
use telemetry::{Outcome, Peer, Record, Reporter};

pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(6, '\x01');
    let mut next = || parts.next().unwrap_or_default();
    let unknown = Arc::new(Peer::unknown());
    let mut record = Record::begin(SystemTime::UNIX_EPOCH + Duration::from_secs(1), Reporter::Gateway, unknown.clone(), unknown);
    record.authority.push_str(next());
    record.path.push_str(next());
    record.method = Method::parse(next()).unwrap_or_default();
    record.sni = Some(next().into());
    record.reason = Some(next().into());
    let claims = next();
    record.source = Arc::new(Peer::claimed(claims, claims, claims, claims, claims, None));
    record.outcome = Outcome::Failed(model::Fault::MalformedRequest);
    for format in [Format::Json, Format::Text] {
        let mut line = String::new();
        write_line(format, &record, &mut line);
        let inner = line.strip_suffix('\n').expect("a line has an end");
        assert!(!inner.contains(['\n', '\r']), "{format:?}: {line:?}");
        assert!(!inner.chars().any(char::is_control), "{format:?}: {line:?}");
        if format == Format::Json {
            let read: serde_json::Value = serde_json::from_str(inner).expect("JSON");
            assert!(record.path.starts_with(read["path"].as_str().expect("a path")), "{line:?}");
        }
    }
}
