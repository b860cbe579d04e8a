use super::super::hpack::Decoder;
use super::*;

/// What the other end reads of these fields.
fn told(fields: &[(&str, &str)], own_length: bool) -> Vec<(String, String)> {
    let mut block = HeaderBlock::default();
    fields.iter().for_each(|(name, value)| block.push(name, value.as_bytes()));
    let mut out = Vec::new();
    put_fields(&block, own_length, &mut Encoder::new(4096), &mut out);
    let mut read = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Decoder::new(4096).decode(&out, |name, value| read.push((text(name), text(value)))).unwrap();
    read
}

#[test]
fn what_belongs_to_one_hop_of_http1_is_left_out_and_nothing_else() {
    let pass = [("x-upgrade", "a"), ("via", "1.1 a"), ("set-cookie-two", "b"), ("upgrades", "c"), ("hosts", "d"), ("tea", "e")];
    let mut fields: Vec<_> = pass.to_vec();
    fields.extend(OF_ONE_HOP.map(|name| (name, "h2c")));
    fields.extend([
        ("te", "gzip"),
        ("host", "elsewhere"),
        ("HTTP2-Settings", "AAMAAABk"),
        ("Keep-Alive", "timeout=5"),
        ("content-length", "7"),
    ]);
    let passed = |length: &[(&str, &str)]| -> Vec<(String, String)> {
        pass.iter().chain(length).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(told(&fields, true), passed(&[]));
    assert_eq!(told(&fields, false), passed(&[("content-length", "7")]));
}

#[test]
fn names_go_out_in_lower_case_wherever_the_capital_stands() {
    let bytes: String = (0x21..0x7f).map(char::from).filter(|b| is_token_byte(*b as u8)).collect();
    for length in 1..=24 {
        for at in 0..length {
            for byte in bytes.bytes() {
                let mut name = vec![b'x'; length];
                name[at] = byte;
                assert_eq!(has_capital(&name), byte.is_ascii_uppercase(), "{}", String::from_utf8_lossy(&name));
            }
        }
    }
    assert_eq!(told(&[("X-ABC-xyz", " v ")], true), [("x-abc-xyz".to_owned(), "v".to_owned())]);
}

#[test]
fn a_head_has_so_many_fields_and_no_more() {
    let flaw = |count: usize| {
        let mut into = HeaderBlock::default();
        let mut fields = Fields::new(&mut into, limits::HEAD_BYTES);
        (0..count).for_each(|_| fields.field(b"x", b"y"));
        fields.flaw
    };
    assert!(flaw(limits::HEADERS).is_none());
    assert!(matches!(flaw(limits::HEADERS + 1), Some(Flaw::Refused(Fault::HeadTooLarge, _))));
}
