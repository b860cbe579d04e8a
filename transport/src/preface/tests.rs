//! What goes over comes back; strangers' bytes are refused, never a panic.

use super::*;
use model::Source;
use proptest::prelude::*;

fn metadata() -> PeerMetadata {
    PeerMetadata { workload: "web-1".into(), namespace: "shop".into(), app: "web".into(), version: "v1".into(), cluster: String::new() }
}

fn hello(framing: Framing, name: &str, service_port: u16) -> Hello {
    let service = Key::new(Source::files(), Kind::Service, "shop", name);
    Hello { framing, service, service_port, source: metadata() }
}

#[test]
fn a_frame_is_found_only_when_it_is_whole_and_what_follows_is_left() {
    let hello = hello(Framing::Http2, "catalog", 80);
    let mut bytes = hello.encode().unwrap();
    let whole = bytes.len();
    bytes.extend_from_slice(b"GET /");
    for some in 0..whole {
        assert!(split(&bytes[..some]).unwrap().is_none(), "{some} bytes");
    }
    let (size, message) = split(&bytes).unwrap().unwrap();
    assert_eq!((size, Hello::decode(message).unwrap()), (whole, hello));
}

#[test]
fn both_answers_come_back() {
    for welcome in [Welcome::Accepted(metadata()), Welcome::Accepted(PeerMetadata::default()), Welcome::Refused(Fault::NoSuchService)] {
        let bytes = welcome.encode().unwrap();
        assert_eq!(Welcome::decode(split(&bytes).unwrap().unwrap().1).unwrap(), welcome);
    }
}

#[test]
fn a_refusal_for_an_unknown_reason_is_a_refusal() {
    let bytes = framed(&RawWelcome { answer: Some(Answer::Refused("of_a_later_version".into())) }).unwrap();
    assert_eq!(Welcome::decode(split(&bytes).unwrap().unwrap().1).unwrap(), Welcome::Refused(Fault::AccessDenied));
}

#[test]
fn what_is_no_preface_is_refused_at_its_first_byte() {
    for bytes in [&b"G"[..], b"OGZ2", b"\x16\x03\x01", b"OGZ1\x00\x00\x10\x01", b"OGZ1\xff\xff\xff\xff"] {
        assert_eq!(split(bytes).unwrap_err().fault, Fault::UnrecognisedProtocol, "{bytes:?}");
    }
    let lacking = [
        RawHello { framing: 0, service: "files/service/shop/web".into(), service_port: 80, source: None },
        RawHello { framing: 4, service: "files/service/shop/web".into(), service_port: 80, source: None },
        RawHello { framing: 1, service: "files/workload/shop/web".into(), service_port: 80, source: None },
        RawHello { framing: 1, service: "web".into(), service_port: 80, source: None },
        RawHello { framing: 1, service: "files/service/shop/web".into(), service_port: 0, source: None },
        RawHello { framing: 1, service: "files/service/shop/web".into(), service_port: 65_536, source: None },
    ];
    for raw in lacking {
        assert!(Hello::decode(&raw.encode_to_vec()).is_err(), "{raw:?}");
    }
    assert!(Welcome::decode(b"").is_err());
}

#[test]
fn what_a_later_release_adds_is_skipped_and_a_framing_that_is_not_known_is_named() {
    // A number and a text in fields that no release knows yet.
    let later: &[u8] = &[0x80, 0x7d, 0x07, 0x8a, 0x7d, 0x05, b'l', b'a', b't', b'e', b'r'];
    let sent = hello(Framing::Http2, "catalog", 80);
    let message = |bytes: Vec<u8>| [&bytes[HEADER_BYTES..], later].concat();
    assert_eq!(Hello::decode(&message(sent.encode().unwrap())).unwrap(), sent);
    let welcome = Welcome::Accepted(metadata());
    assert_eq!(Welcome::decode(&message(welcome.encode().unwrap())).unwrap(), welcome);
    // Framing is the first field.
    let mut unknown = message(sent.encode().unwrap());
    unknown[1] = 9;
    let refused = Hello::decode(&unknown).unwrap_err();
    assert!(refused.why.contains("unknown framing 9"), "{refused}");
}

#[test]
fn what_would_be_too_long_is_not_sent() {
    assert!(hello(Framing::Tcp, &"x".repeat(limits::PREFACE_BYTES), 1).encode().is_err());
}

#[tokio::test]
async fn is_read_in_pieces_and_leaves_the_rest() {
    use tokio::io::AsyncWriteExt;
    let (mut client, mut server) = Stream::pair(3);
    let mut bytes = hello(Framing::Tcp, "catalog", 5432).encode().unwrap();
    bytes.extend_from_slice(b"rest");
    let sending = async { client.write_all(&bytes).await.unwrap() };
    let mut buffer = BytesMut::new();
    let receiving = async {
        let hello: Hello = read(&mut server, &mut buffer).await.unwrap();
        while buffer.len() < 4 {
            assert_ne!(server.read_buf(&mut buffer).await.unwrap(), 0);
        }
        hello
    };
    let ((), got) = tokio::join!(sending, receiving);
    assert_eq!((got, &buffer[..]), (hello(Framing::Tcp, "catalog", 5432), &b"rest"[..]));
}

proptest! {
    #[test]
    fn strangers_bytes_never_panic(bytes: Vec<u8>) {
        let _ = Hello::decode(&bytes);
        let _ = Welcome::decode(&bytes);
        let _ = split(&bytes);
        if let Ok(Some((size, message))) = split(&[&b"OGZ1\0\0"[..], &bytes].concat()) {
            prop_assert_eq!(size, message.len() + HEADER_BYTES);
        }
    }

    #[test]
    fn every_hello_comes_back(name in "[a-z/.-]{1,40}", port in 1u16.., workload: String, app: String) {
        let mut sent = hello(Framing::Http1, &name, port);
        sent.source.workload = workload;
        sent.source.app = app;
        if let Ok(bytes) = sent.encode() {
            let message = split(&bytes).unwrap().unwrap().1.to_vec();
            prop_assert_eq!(Hello::decode(&message).unwrap(), sent);
        }
    }
}
