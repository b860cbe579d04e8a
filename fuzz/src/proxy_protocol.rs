//! The PROXY protocol's header. What a beginning says, every longer reading says too; nobody is waited for beyond the limit; and what was told can be
//! written in either version and read again.

use std::net::{IpAddr, SocketAddr};
use transport::limits::PROXY_HEADER_BYTES;
use transport::proxy_protocol::{Header, SIGNATURE, Told, parse};

pub fn check(bytes: &[u8]) {
    let whole = parse(bytes);
    for cut in (0..bytes.len()).step_by((bytes.len() / 128).max(1)) {
        match parse(&bytes[..cut]) {
            Ok(None) => {}
            Ok(Some(header)) => assert_eq!(whole.as_ref().ok(), Some(&Some(header)), "{cut} bytes say more than all"),
            Err(_) => assert!(whole.is_err(), "{cut} bytes are refused, all are taken"),
        }
    }
    let Ok(header) = whole else { return };
    let Some(header) = header else {
        assert!(bytes.len() < PROXY_HEADER_BYTES, "asks for more than the limit");
        return;
    };
    assert!(header.size <= bytes.len() && header.size <= PROXY_HEADER_BYTES);
    assert_eq!(parse(&bytes[..header.size]).ok(), Some(Some(header)), "what follows the header counts for it");
    if let Told::Caller { source, destination } = header.told {
        assert_eq!(source.is_ipv4(), destination.is_ipv4(), "two families");
        for written in [line(source, destination), binary(source, destination)] {
            let again = Header { size: written.len(), told: header.told };
            assert_eq!(parse(&written).ok(), Some(Some(again)), "{written:?}");
        }
    }
}

fn line(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    format!("PROXY {family} {} {} {} {}\r\n", source.ip(), destination.ip(), source.port(), destination.port()).into_bytes()
}

fn binary(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut rest = Vec::new();
    for address in [source, destination] {
        match address.ip() {
            IpAddr::V4(ip) => rest.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => rest.extend_from_slice(&ip.octets()),
        }
    }
    rest.extend_from_slice(&source.port().to_be_bytes());
    rest.extend_from_slice(&destination.port().to_be_bytes());
    let family = if source.is_ipv4() { 0x11 } else { 0x21 };
    let length = [0, rest.len() as u8];
    [SIGNATURE, &[0x21, family][..], &length, &rest].concat()
}
