//! The standard's own examples (RFC 7541, appendix C), what must be refused, and both ends against each other and against the `h2` crate's.

use super::table::{STATIC, static_name};
use super::*;
use proptest::prelude::*;

type Fields = Vec<(String, String)>;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, Error> {
    let mut fields = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    decoder.decode(block, |name, value| fields.push((text(name), text(value))))?;
    Ok(fields)
}

fn fields(of: &[(&str, &str)]) -> Fields {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn single_fields_of_appendix_c_2() {
    for (hex, field) in [
        ("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", ("custom-key", "custom-header")),
        ("040c 2f73 616d 706c 652f 7061 7468", (":path", "/sample/path")),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", ("password", "secret")),
        ("82", (":method", "GET")),
    ] {
        assert_eq!(decoded(&mut Decoder::new(4096), &bytes(hex)), Ok(fields(&[field])));
    }
}

const REQUESTS: [&[(&str, &str)]; 3] = [
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")],
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com"), ("cache-control", "no-cache")],
    &[
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ],
];

#[test]
fn requests_of_appendix_c_3_and_4() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let packed = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for blocks in [plain, packed] {
        let mut decoder = Decoder::new(4096);
        for (block, expected) in blocks.into_iter().zip(REQUESTS) {
            assert_eq!(decoded(&mut decoder, &bytes(block)), Ok(fields(expected)));
        }
    }
}

#[test]
fn answers_of_appendix_c_5_and_6_push_each_other_out() {
    let date = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
    let place = ("location", "https://www.example.com");
    let expected: [&[(&str, &str)]; 3] = [
        &[(":status", "302"), ("cache-control", "private"), date, place],
        &[(":status", "307"), ("cache-control", "private"), date, place],
        &[
            (":status", "200"),
            ("cache-control", "private"),
            ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
            place,
            ("content-encoding", "gzip"),
            ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
        ],
    ];
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073
         3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48
         514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let packed = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae
         43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af
         2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    for blocks in [plain, packed] {
        let mut decoder = Decoder::new(256);
        for (block, expected) in blocks.into_iter().zip(expected) {
            assert_eq!(decoded(&mut decoder, &bytes(block)), Ok(fields(expected)));
        }
    }
}

#[test]
fn what_the_standard_calls_an_error_is_one() {
    let cases = [
        ("the index 0", "80", Error::Index),
        ("an index beyond the tables", "be", Error::Index),
        ("a name beyond the tables", "7f00 0161", Error::Index),
        ("a number that does not end", "ffff ffff ff0f", Error::Overflow),
        ("a length that does not end", "00ff", Error::Truncated),
        ("a name that is cut short", "0005 6161", Error::Truncated),
        ("no value", "0001 61", Error::Truncated),
        ("a table beyond what was allowed", "3fe2 1f", Error::TableSize),
        ("a change of size behind a field", "8220", Error::TableSize),
        ("eight bits of filling", "0081 ff00", Error::Huffman),
        ("filling of zeros", "0081 1800", Error::Huffman),
        ("the end's own code", "0084 ffff ffff 00", Error::Huffman),
        ("a code that is cut short", "0082 fffe 00", Error::Huffman),
    ];
    for (what, hex, error) in cases {
        assert_eq!(decoded(&mut Decoder::new(4096), &bytes(hex)), Err(error), "{what}");
    }
    // The largest that was allowed, and smaller ones, any number of times at the beginning.
    assert_eq!(decoded(&mut Decoder::new(4096), &bytes("203f e11f 82")), Ok(fields(&[(":method", "GET")])));
}

#[test]
fn a_field_larger_than_the_table_empties_it_and_goes_through() {
    let mut decoder = Decoder::new(64);
    let small = [&[0x40, 1, b'a', 1], &b"b"[..]].concat();
    let large = [&[0x40, 1, b'a', 40], &[b'x'; 40][..]].concat();
    assert_eq!(decoded(&mut decoder, &[&small[..], &[0xbe]].concat()).unwrap().len(), 2);
    assert_eq!(decoded(&mut decoder, &large).unwrap(), [("a".to_owned(), "x".repeat(40))]);
    assert_eq!(decoded(&mut decoder, &[0xbe]), Err(Error::Index));
}

#[test]
fn a_name_of_an_entry_that_its_own_field_pushes_out() {
    let mut decoder = Decoder::new(40);
    let first = [&[0x40, 2, b'a', b'b', 1], &b"c"[..]].concat();
    assert_eq!(decoded(&mut decoder, &first), Ok(fields(&[("ab", "c")])));
    assert_eq!(decoded(&mut decoder, &[0x7e, 1, b'd', 0xbe]), Ok(fields(&[("ab", "d"), ("ab", "d")])));
}

#[test]
fn every_static_name_is_found() {
    for (name, _) in STATIC {
        let first = STATIC.iter().position(|(other, _)| other == &name).unwrap() + 1;
        assert_eq!(static_name(name), Some(first), "{}", String::from_utf8_lossy(name));
    }
    assert_eq!((static_name(b"x-request-id"), static_name(b"")), (None, None));
}

fn encoded(encoder: &mut Encoder, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.begin(&mut out);
    fields.iter().for_each(|(name, value)| encoder.field(name.as_bytes(), value.as_bytes(), &mut out));
    out
}

#[test]
fn what_is_repeated_shrinks_and_what_is_not_pushes_nothing_out() {
    let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new(4096));
    for round in 0..2000 {
        let id = format!("{:032x}", round * 7919);
        let sent = [(":authority", "catalog.shop"), ("user-agent", "curl/8"), ("x-request-id", &id)];
        let block = encoded(&mut encoder, &sent);
        assert_eq!(decoded(&mut decoder, &block), Ok(fields(&sent)));
        // One byte for each of the first two, and the third as it is.
        assert!(round < 2 || block.len() <= 2 + 1 + 13 + 33 || round % 128 < 2, "{round}: {} bytes", block.len());
    }
}

#[test]
fn secrets_are_never_indexed() {
    let mut encoder = Encoder::new(4096);
    for name in ["authorization", "cookie", "proxy-authorization", "set-cookie"] {
        let first = encoded(&mut encoder, &[(name, "secret")]);
        assert_eq!(first[0] & 0xf0, 0x10, "{name}");
        assert_eq!(encoded(&mut encoder, &[(name, "secret")]), first, "{name}");
    }
}

#[test]
fn a_table_that_the_other_end_made_smaller_is_told_of() {
    let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new(4096));
    let sent = [("x-a", "1"), ("x-b", "2")];
    for _ in 0..3 {
        let block = encoded(&mut encoder, &sent);
        assert_eq!(decoded(&mut decoder, &block), Ok(fields(&sent)));
    }
    encoder.allow(0);
    encoder.allow(64);
    let block = encoded(&mut encoder, &sent);
    assert_eq!(&block[..3], &[0x20, 0x3f, 0x21]);
    assert_eq!(decoded(&mut decoder, &block), Ok(fields(&sent)));
    // More than what we use of our own is not taken.
    encoder.allow(1 << 20);
    assert_eq!(&encoded(&mut encoder, &sent)[..3], &[0x3f, 0xe1, 0x1f]);
}

/// Names and values of a few lengths, of which some repeat.
fn some_fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let name =
        prop_oneof![(0..STATIC.len()).prop_map(|at| String::from_utf8_lossy(STATIC[at].0).into_owned()), "[a-c]{1,2}", "[a-z0-9-]{1,30}"];
    let value = prop_oneof!["[0-3]", "[ -~]{0,60}", "[a-z]{100,300}"];
    prop::collection::vec((name, value), 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_packed_is_read_again(blocks in prop::collection::vec((some_fields(), 0usize..5000), 1..12)) {
        let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new(4096));
        for (fields, size) in blocks {
            encoder.allow(size);
            let sent: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let block = encoded(&mut encoder, &sent);
            prop_assert_eq!(decoded(&mut decoder, &block), Ok(fields.clone()));
        }
    }

    #[test]
    fn huffman_text_is_read_as_it_was_written(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut out = Vec::new();
        huffman::decode(&huffman::tests::encode(&text), &mut out).unwrap();
        prop_assert_eq!(out, text);
    }

    #[test]
    fn no_bytes_make_it_panic(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..5)) {
        let mut decoder = Decoder::new(200);
        for block in blocks {
            let _ = decoded(&mut decoder, &block);
        }
    }
}
