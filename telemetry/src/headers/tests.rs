use super::*;
use crate::{Peer, Reporter};
use model::telemetry::Pattern;
use std::time::UNIX_EPOCH;

fn names(names: &[&str]) -> Names {
    names.iter().map(|name| Arc::from(*name)).collect()
}

#[test]
fn what_is_asked_for_is_found_in_bounds_and_secrets_never_are() {
    let mut headers = HeaderBlock::default();
    headers.push("User-Agent", b"curl");
    headers.push("Authorization", b"Bearer secret");
    headers.push("Cookie", b"id=secret");
    headers.push("X-Key", b"secret");
    headers.push("X-Many", b"a");
    headers.push("x-many", b"b");
    headers.push("x-long", "\u{e9}".repeat(limits::HEADER_VALUE_BYTES).as_bytes());
    let found =
        found(&names(&["authorization", "cookie", "x-many", "x-long", "x-none", "x-key", "user-agent"]), &headers, |name| name == "x-key");
    let all: Vec<_> = found.iter().map(|(name, _)| &**name).collect();
    assert_eq!(all, ["x-many", "x-long", "user-agent"]);
    assert_eq!((&*found[0].1, &*found[2].1), ("a, b", "curl"));
    assert!(found[1].1.len() <= limits::HEADER_VALUE_BYTES && !found[1].1.is_empty());
}

#[test]
fn redactions_make_path_and_fields_unreadable_and_nothing_else() {
    let peer = || Arc::new(Peer::unknown());
    let mut record = Record::begin(UNIX_EPOCH, Reporter::Gateway, peer(), peer());
    record.path = "/cards/4111".into();
    record.headers.request = vec![("x-a".into(), "tenant 17".into())];
    record.headers.response = vec![("x-a".into(), "tenant 17".into())];
    let redaction = |field, pattern: &str| Redaction { field, pattern: Pattern::new(pattern).expect("a pattern"), replacement: "#".into() };
    let told = |redactions: &[Redaction]| {
        redacted(&record, redactions).map(|r| (r.path, r.headers.request[0].1.clone(), r.headers.response[0].1.clone()))
    };
    let want = |path: &str, request: &str, response: &str| Some((path.to_owned(), request.to_owned(), response.to_owned()));
    assert_eq!(told(&[redaction(RedactedField::Path, "[0-9]+")]), want("/cards/#", "tenant 17", "tenant 17"));
    let both = [redaction(RedactedField::RequestHeader("x-a".into()), "[0-9]"), redaction(RedactedField::Path, "cards")];
    assert_eq!(told(&both), want("/#/4111", "tenant ##", "tenant 17"));
    assert_eq!(told(&[redaction(RedactedField::ResponseHeader("x-a".into()), "^tenant")]), want("/cards/4111", "tenant 17", "# 17"));
    assert_eq!(told(&[redaction(RedactedField::ResponseHeader("x-b".into()), ".")]), None);
    assert_eq!(told(&[redaction(RedactedField::Path, "nothing")]), None);
}
