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
    (1..=limits::HEADER_VALUES).for_each(|_| headers.push("x-many", b"b"));
    headers.push("x-long", "\u{e9}".repeat(limits::HEADER_VALUE_BYTES).as_bytes());
    headers.push("Referer", b"https://a.example/b?token=secret");
    let asked = names(&["authorization", "cookie", "x-many", "x-long", "x-none", "x-key", "user-agent", "referer"]);
    let found = found(&asked, &headers, (Head::Request, &[]), |name| name == "x-key");
    let all: Vec<_> = found.iter().map(|(name, _)| &**name).collect();
    assert_eq!(all, ["x-many", "x-long", "user-agent", "referer"]);
    let many = format!("a{}", ", b".repeat(limits::HEADER_VALUES - 1));
    assert_eq!((&*found[0].1, &*found[2].1, &*found[3].1), (&*many, "curl", "https://a.example/b"));
    assert!(found[1].1.len() <= limits::HEADER_VALUE_BYTES && !found[1].1.is_empty());
}

fn redaction(field: RedactedField, pattern: &str) -> Redaction {
    Redaction { field, pattern: Pattern::new(pattern).expect("a pattern"), replacement: "#".into() }
}

#[test]
fn redactions_make_path_and_fields_unreadable_and_nothing_else() {
    let peer = || Arc::new(Peer::unknown());
    let mut record = Record::begin(UNIX_EPOCH, Reporter::Gateway, peer(), peer());
    record.path = "/cards/4111".into();
    let told = |redactions: &[Redaction]| redacted(&record, redactions).map(|record| record.path);
    let both = [redaction(RedactedField::Path, "[0-9]+"), redaction(RedactedField::Path, "cards")];
    assert_eq!((told(&both[..1]).as_deref(), told(&both).as_deref()), (Some("/cards/#"), Some("/#/#")));
    assert_eq!((told(&[redaction(RedactedField::Path, "nothing")]), told(&[])), (None, None));
    let mut headers = HeaderBlock::default();
    headers.push("x-a", b"tenant 17");
    let fields =
        [redaction(RedactedField::RequestHeader("x-a".into()), "[0-9]"), redaction(RedactedField::ResponseHeader("x-a".into()), "^t")];
    assert_eq!(told(&fields), None);
    let value = |head| found(&names(&["x-a"]), &headers, (head, &fields), |_| false).remove(0).1;
    assert_eq!((&*value(Head::Request), &*value(Head::Response)), ("tenant ##", "#enant 17"));
}

#[test]
fn what_is_redacted_is_looked_for_before_a_value_is_cut() {
    let mut headers = HeaderBlock::default();
    // The end by which it is known lies beyond what is kept.
    let long = format!("card 4111{};", "1".repeat(limits::HEADER_VALUE_BYTES));
    headers.push("x-a", long.as_bytes());
    headers.push("x-b", "b".repeat(limits::HEADER_READ_BYTES * 2).as_bytes());
    let redactions =
        [redaction(RedactedField::RequestHeader("x-a".into()), "[0-9]+;"), redaction(RedactedField::RequestHeader("x-b".into()), "b+")];
    let found = found(&names(&["x-a", "x-b"]), &headers, (Head::Request, &redactions), |_| false);
    assert_eq!((&*found[0].1, &*found[1].1), ("card #", "#"));
    assert_eq!(joined("x-b", &headers).len(), limits::HEADER_READ_BYTES);
}

#[test]
fn names_and_values_of_a_head_are_bounded_together_as_json_has_them() {
    let many: Vec<String> = (0..16).map(|i| format!("x-{i:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    // What is no UTF-8 becomes longer as text, quotes and controls do in JSON.
    for letter in [b"a".as_slice(), b"\"", "\u{85}".as_bytes(), b"\xff"] {
        let mut headers = HeaderBlock::default();
        many.iter().for_each(|name| headers.push(name, &letter.repeat(300)));
        let found = found(&names(&many), &headers, (Head::Request, &[]), |_| false);
        let mut record = Record::begin(UNIX_EPOCH, Reporter::Gateway, Arc::new(Peer::unknown()), Arc::new(Peer::unknown()));
        let line = |record: &Record| {
            let mut line = String::new();
            crate::access_log::write_line(crate::access_log::Format::Json, record, &mut line);
            line.len()
        };
        let without = line(&record);
        record.headers.request = found;
        let more = line(&record) - without;
        // And what stands around the fields.
        assert!(more > limits::HEADERS_BYTES / 2 && more <= limits::HEADERS_BYTES + r#","request_headers":{}"#.len(), "{letter:?}: {more}");
    }
}
