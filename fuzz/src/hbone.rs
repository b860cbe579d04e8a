//! What a request for a tunnel asks for, and the baggage that comes with it: two lines, authority and `baggage`.

use model::http::is_value_byte;
use model::{Method, RequestHead};
use transport::hbone::{Target, read_baggage, target, write_baggage};

pub fn check(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if let Ok(authority) = std::str::from_utf8(first) {
        ask(authority);
    }
    carry(second);
}

fn ask(authority: &str) {
    let mut head = RequestHead::default();
    head.method = Method::Connect;
    head.set_authority(authority);
    let Ok(asked) = target(&head) else { return };
    let written = match &asked {
        Target::Address(address) => {
            assert_ne!(address.port(), 0);
            address.to_string()
        }
        Target::Name(name, port) => {
            assert!(!name.is_empty() && *port != 0 && !name.bytes().any(|b| b.is_ascii_uppercase()));
            assert!(name.parse::<std::net::IpAddr>().is_err(), "an address is no name: {name:?}");
            format!("{name}:{port}")
        }
    };
    head.set_authority(&written);
    assert_eq!(target(&head).ok(), Some(asked), "{authority:?} written as {written:?}");
}

fn carry(baggage: &[u8]) {
    if !baggage.iter().all(|byte| is_value_byte(*byte)) {
        return;
    }
    let mut head = RequestHead::default();
    head.headers.push("baggage", baggage);
    let said = read_baggage(&head.headers);
    let parts = [&said.workload, &said.namespace, &said.app, &said.version, &said.cluster];
    assert!(parts.iter().all(|part| !part.chars().any(char::is_control)), "{said:?}");
    let written = write_baggage(&said);
    assert!(written.bytes().all(is_value_byte), "{written:?} is no field value");
    head.headers.set("baggage", written.as_bytes());
    // Encoding may make it longer than what is read at all.
    if written.len() <= transport::limits::BAGGAGE_BYTES {
        assert_eq!(read_baggage(&head.headers), said, "{written:?}");
    }
}
