use super::*;
use proptest::prelude::*;
use rustls::pki_types::ServerName;
use std::sync::Arc;

/// What rustls itself says first, to this name.
fn rustls_hello(name: &str, sni: bool) -> Vec<u8> {
    let builder = rustls::ClientConfig::builder_with_provider(identity::provider().clone());
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    config.enable_sni = sni;
    let mut client = rustls::ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

fn with16(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn extension(kind: u16, value: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &with16(value)].concat()
}

fn named(names: &[(u8, &str)]) -> Vec<u8> {
    let list: Vec<u8> = names.iter().flat_map(|(kind, name)| [&[*kind][..], &with16(name.as_bytes())].concat()).collect();
    extension(SERVER_NAME, &with16(&list))
}

/// A ClientHello in one record, its extensions as given; `None` for one that ends before them.
fn hello(extensions: Option<&[u8]>) -> Vec<u8> {
    let mut body = [&[3, 3][..], &[7; 32], &[0], &with16(&[0x13, 1]), &[1, 0]].concat();
    body.extend(extensions.map(with16).unwrap_or_default());
    let message = [&[CLIENT_HELLO, 0][..], &with16(&body)].concat();
    records(&message, usize::MAX)
}

/// A message in records of at most `most` bytes each.
fn records(message: &[u8], most: usize) -> Vec<u8> {
    message.chunks(most.min(RECORD_BYTES)).flat_map(|piece| [&[HANDSHAKE, 3, 1][..], &with16(piece)].concat()).collect()
}

fn is(name: &str) -> Sni {
    Sni::Name(Hostname::parse(name).unwrap())
}

#[test]
fn a_real_client_is_understood() {
    assert_eq!(sni(&rustls_hello("Shop.Example", true)), is("shop.example"));
    assert_eq!(sni(&rustls_hello("shop.example", false)), Sni::None);
    assert_eq!(sni(&rustls_hello("127.0.0.1", true)), Sni::None);
}

#[test]
fn who_names_nobody_is_still_tls() {
    assert_eq!(sni(&hello(None)), Sni::None);
    assert_eq!(sni(&hello(Some(&[]))), Sni::None);
    assert_eq!(sni(&hello(Some(&extension(16, b"x")))), Sni::None);
    assert_eq!(sni(&hello(Some(&named(&[(0, "10.0.0.1")])))), Sni::None);
}

#[test]
fn what_two_readers_could_understand_differently_is_refused() {
    let one = named(&[(0, "a.example")]);
    for bad in [
        [one.clone(), one.clone()].concat(),
        named(&[(0, "a.example"), (0, "b.example")]),
        named(&[(1, "a.example")]),
        named(&[(0, "")]),
        named(&[(0, "a..example")]),
        named(&[(0, "*.example")]),
        named(&[(0, "a.example\0.evil")]),
        extension(SERVER_NAME, &[]),
        extension(SERVER_NAME, &[0, 0]),
        one[..one.len() - 1].to_vec(),
        [one.clone(), vec![0]].concat(),
    ] {
        assert_eq!(sni(&hello(Some(&bad))), Sni::NotTls, "{bad:?}");
    }
    assert_eq!(sni(&hello(Some(&[extension(10, b""), one].concat()))), is("a.example"));
}

#[test]
fn what_is_no_client_hello_is_told_from_its_first_bytes() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x16\x02",
        b"\x16\x03\x05",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x40\x01",
        b"\x16\x03\x01\x00\x05\x02",
        b"\0",
        // SSL 2.0.
        b"\x80\x2e\x01\x03\x01",
    ] {
        assert_eq!(sni(bytes), Sni::NotTls, "{bytes:?}");
    }
    assert_eq!(sni(b""), Sni::Need);
    assert_eq!(sni(b"\x16\x03\x01\x00\x05\x01"), Sni::Need);
}

#[test]
fn a_hello_may_be_spread_over_records_of_any_size() {
    let whole = rustls_hello("shop.example", true);
    for most in [1, 2, 3, 4, 5, 17, 100] {
        assert_eq!(sni(&records(&whole[RECORD_HEADER..], most)), is("shop.example"), "{most}");
    }
    // A record of another kind within the message is an error.
    let mut mixed = records(&whole[RECORD_HEADER..], 50);
    mixed[RECORD_HEADER + 50] = 23;
    assert_eq!(sni(&mixed), Sni::NotTls);
}

/// What strangers may send: real hellos with a few bytes changed, in records of any size, or anything at all.
fn strange() -> impl Strategy<Value = Vec<u8>> {
    let real = ("[a-z]{1,20}\\.[a-z]{1,20}", 1usize..600, proptest::collection::vec((any::<usize>(), any::<u8>()), 0..3));
    let real = real.prop_map(|(name, most, edits)| {
        let mut bytes = records(&rustls_hello(&name, true)[RECORD_HEADER..], most);
        for (at, to) in edits {
            let at = at % bytes.len();
            bytes[at] = to;
        }
        bytes
    });
    prop_oneof![
        real,
        proptest::collection::vec(any::<u8>(), 0..200),
        any::<Vec<u8>>().prop_map(|tail| [b"\x16\x03\x01".to_vec(), tail].concat())
    ]
}

proptest! {
    /// A verdict once given is never changed by what comes after it: hence no split can change it.
    #[test]
    fn splitting_changes_nothing(bytes in strange(), tail in any::<Vec<u8>>()) {
        let verdict = sni(&bytes);
        let mut given = Sni::Need;
        for end in 0..=bytes.len() {
            let now = sni(&bytes[..end]);
            prop_assert!(given == Sni::Need || now == given, "{given:?} became {now:?} at byte {end}");
            given = now;
        }
        prop_assert_eq!(&given, &verdict);
        if verdict != Sni::Need {
            prop_assert_eq!(sni(&[bytes, tail].concat()), verdict);
        }
    }
}
