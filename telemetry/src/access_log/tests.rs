use super::*;
use crate::{Outcome, Peer, Reporter};
use model::Fault;
use std::sync::Arc;

#[test]
fn a_line_is_one_line_whatever_a_stranger_sent() {
    let peer = Arc::new(Peer::unknown());
    let mut record = Record::begin(UNIX_EPOCH, Reporter::Source, peer.clone(), peer);
    record.path = "/a\"\n\u{7}".repeat(1000);
    record.outcome = Outcome::Failed(Fault::NoRoute);
    record.reason = Some("no rule of HTTPRoute shop/catalog matches".into());
    let mut out = String::new();
    write_line(Format::Json, &record, &mut out);
    assert_eq!(out.matches('\n').count(), 1);
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((value["response_flags"].as_str(), value["fault"].as_str()), (Some("NR"), Some("no_route")));
    assert!(value["path"].as_str().unwrap().len() <= limits::LOG_PATH_BYTES);
}
