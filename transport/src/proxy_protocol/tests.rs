//! Headers as the specification writes them, and each of its rules broken once.

use super::*;
use proptest::prelude::*;

fn caller(source: &str, destination: &str) -> Told {
    Told::Caller { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn whole(bytes: &[u8]) -> (usize, Told) {
    let header = parse(bytes).unwrap().unwrap();
    (header.size, header.told)
}

/// A header of version 2.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    [&SIGNATURE[..], &[command, family], &(rest.len() as u16).to_be_bytes(), rest].concat()
}

const FOUR: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb];

#[test]
fn lines_of_version_1_are_read() {
    let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
    assert_eq!(whole(line), (line.len(), caller("192.0.2.1:56324", "198.51.100.2:443")));
    let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\nGET /";
    assert_eq!(whole(line), (line.len() - 5, caller("[2001:db8::1]:0", "[2001:db8::2]:65535")));
    assert_eq!(whole(b"PROXY UNKNOWN\r\n"), (15, Told::Nothing));
    let longest = b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n";
    assert_eq!(whole(longest), (longest.len(), Told::Nothing));
}

#[test]
fn what_is_told_in_either_version_is_what_is_read() {
    let told = [
        (caller("192.0.2.1:56324", "198.51.100.2:443"), caller("192.0.2.1:56324", "198.51.100.2:443")),
        (caller("[2001:db8::1]:1", "[2001:db8::2]:65535"), caller("[2001:db8::1]:1", "[2001:db8::2]:65535")),
        // A header has one family.
        (caller("192.0.2.1:1", "[2001:db8::2]:2"), caller("[::ffff:192.0.2.1]:1", "[2001:db8::2]:2")),
        (Told::Nothing, Told::Nothing),
    ];
    for (told, read) in told {
        for version in [ProxyHeader::V1, ProxyHeader::V2] {
            let bytes = header(version, told);
            assert_eq!(whole(&bytes), (bytes.len(), read), "{version:?}");
        }
    }
    let line = header(ProxyHeader::V1, caller("192.0.2.1:56324", "198.51.100.2:443"));
    assert_eq!(line, b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
    assert_eq!(header(ProxyHeader::V2, caller("192.0.2.1:56324", "198.51.100.2:443")), v2(0x21, 0x11, &FOUR));
}

#[test]
fn lines_that_break_a_rule_are_refused() {
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 \r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.2 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 056324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +5632 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.2 1 443\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY \r\n",
        "PROXY UNKNOWN \0\r\n",
        "PROXY UNKNOWN \r \r\n",
        "PROXY UNKNOWNX\r\n",
        "proxy TCP4 192.0.2.1 198.51.100.2 1 443\r\n",
        "GET / HTTP/1.1\r\n",
    ] {
        assert!(parse(line.as_bytes()).is_err(), "{line:?} was read");
    }
    // Without an end a line is refused as soon as it is too long, not later.
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(200));
    assert_eq!(parse(&endless.as_bytes()[..106]).unwrap(), None);
    assert!(parse(&endless.as_bytes()[..107]).is_err());
}

#[test]
fn headers_of_version_2_are_read() {
    assert_eq!(whole(&v2(0x21, 0x11, &FOUR)), (28, caller("192.0.2.1:56324", "198.51.100.2:443")));
    let mut six = [0u8; 36];
    (six[0], six[15], six[31], six[33], six[35]) = (0xfd, 1, 2, 7, 8);
    assert_eq!(whole(&v2(0x21, 0x21, &six)), (52, caller("[fd00::1]:7", "[::2]:8")));
    // Health checks, whatever address they tell; and senders that do not know.
    assert_eq!(whole(&v2(0x20, 0x00, b"")), (16, Told::Nothing));
    assert_eq!(whole(&v2(0x20, 0x11, &FOUR)), (28, Told::Nothing));
    assert_eq!(whole(&v2(0x21, 0x00, b"\x04\0\x01x")), (20, Told::Nothing));
    assert_eq!(whole(&v2(0x21, 0x31, &[0; 216])), (232, Told::Nothing));
    // An extension after the addresses, and the caller's own bytes after the header.
    let with = [v2(0x21, 0x11, &[&FOUR[..], b"\x01\0\x02h2"].concat()), b"GET".to_vec()].concat();
    assert_eq!(whole(&with).0, with.len() - 3);
}

#[test]
fn headers_of_version_2_that_break_a_rule_are_refused() {
    for (what, bytes) in [
        ("version 1", v2(0x11, 0x11, &FOUR)),
        ("an unknown command", v2(0x22, 0x11, &FOUR)),
        ("datagrams", v2(0x21, 0x12, &FOUR)),
        ("an unknown family", v2(0x21, 0x41, &FOUR)),
        ("addresses that are cut short", v2(0x21, 0x11, &FOUR[..11])),
        ("IPv6 in the room of IPv4", v2(0x21, 0x21, &FOUR)),
        ("an extension longer than the header", v2(0x21, 0x11, &[&FOUR[..], b"\x01\0\x09h2"].concat())),
        ("half an extension", v2(0x21, 0x11, &[&FOUR[..], b"\x01\0"].concat())),
    ] {
        assert!(parse(&bytes).is_err(), "{what} was read");
    }
}

#[test]
fn a_header_is_never_longer_than_its_limit() {
    let mut bytes = v2(0x21, 0x00, &[]);
    let room = limits::PROXY_HEADER_BYTES - FIXED_BYTES;
    bytes[14..].copy_from_slice(&(room as u16).to_be_bytes());
    assert_eq!(parse(&bytes).unwrap(), None);
    bytes[14..].copy_from_slice(&(room as u16 + 1).to_be_bytes());
    assert!(parse(&bytes).is_err(), "more than the limit is not waited for");
}

#[test]
fn a_checksum_holds_or_the_header_is_refused() {
    // The check value of CRC-32C in every catalogue of such sums.
    assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
    let mut bytes = v2(0x21, 0x11, &[&FOUR[..], &[CRC32C, 0, 4, 0, 0, 0, 0], b"\x01\0\x02h2"].concat());
    let sum = !crc32c(!0, &bytes);
    bytes[31..35].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(whole(&bytes).0, bytes.len());
    for changed in [16, 31, bytes.len() - 1] {
        let mut bytes = bytes.clone();
        bytes[changed] ^= 1;
        assert!(parse(&bytes).is_err(), "byte {changed} was changed");
    }
}

proptest! {
    #[test]
    fn a_beginning_says_what_the_whole_says(
        kind in 0usize..4,
        command in 0x1fu8..0x23,
        family in prop::sample::select(vec![0u8, 0x11, 0x12, 0x21, 0x31]),
        body in prop::collection::vec(any::<u8>(), 0..300),
        text in "(TCP4|TCP6|UNKNOWN) [0-9a-f:. ]{0,110}\r?\n",
    ) {
        let bytes = match kind {
            0 => v2(command, family, &body),
            1 => [v2(command, family, &body), body.clone()].concat(),
            2 => format!("PROXY {text}").into_bytes(),
            _ => body,
        };
        let all = parse(&bytes);
        for cut in 0..bytes.len() {
            match (parse(&bytes[..cut]), &all) {
                (Ok(None), _) => prop_assert!(cut < limits::PROXY_HEADER_BYTES),
                (Ok(Some(header)), all) => prop_assert_eq!(Some(&header), all.as_ref().ok().and_then(Option::as_ref)),
                (Err(_), all) => prop_assert!(all.is_err()),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn not_a_byte_of_the_callers_own_is_taken() {
    use tokio::io::AsyncWriteExt;
    for header in [b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n".to_vec(), v2(0x21, 0x11, &[&FOUR[..], b"\x01\0\x02h2"].concat())] {
        let (mut sender, mut stream) = Stream::pair(1024);
        sender.write_all(&[&header[..], b"GET /"].concat()).await.unwrap();
        assert_eq!(read(&mut stream).await.unwrap(), caller("192.0.2.1:56324", "198.51.100.2:443"));
        let mut rest = [0; 5];
        stream.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"GET /");
    }
    let (mut sender, mut stream) = Stream::pair(1024);
    sender.write_all(b"PROXY TCP4").await.unwrap();
    assert_eq!(read(&mut stream).await.unwrap_err().cause, Some("proxy_protocol_timeout"));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_say_its_header_is_given_so_long_and_no_longer() {
    let (mut here, _there) = Stream::pair(64);
    let begun = tokio::time::Instant::now();
    let error = read(&mut here).await.unwrap_err();
    assert_eq!((error.fault, begun.elapsed()), (Fault::SlowRequest, limits::PREFACE_TIME));
}
