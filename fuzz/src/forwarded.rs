//! What proxies in front of a gateway say of where a request comes from. Whatever strangers wrote to the left of what a trusted proxy adds, in its line
//! or in lines of their own, the client is whom the proxy names, or unknown; and of `X-Forwarded-For` what a slow reference says.

use model::{Cidr, HeaderBlock, OriginField, Trusted, TrustedProxies};
use routing::origin::{Behind, node, read};
use std::net::IpAddr;

pub fn check(bytes: &[u8]) {
    // What cannot stand in a field never comes here.
    let strange: Vec<u8> = bytes.iter().copied().filter(|b| model::http::is_value_byte(*b)).collect();
    let peer = IpAddr::from([10, 0, 0, 1]);
    let client = IpAddr::from([192, 0, 2, 1]);
    let sources = || Trusted::Sources(vec![Cidr::parse("10.0.0.0/8").expect("a block")]);
    for (field, name, own) in
        [(OriginField::XForwardedFor, "x-forwarded-for", &b"192.0.2.1"[..]), (OriginField::Forwarded, "forwarded", b"for=192.0.2.1")]
    {
        for who in [sources(), Trusted::Hops(1)] {
            let trusted = TrustedProxies { who, field };
            let said = |lines: &[&[u8]]| {
                let mut headers = HeaderBlock::default();
                lines.iter().for_each(|line| headers.push(name, line));
                read(&trusted, peer, &headers).behind
            };
            assert_eq!(said(&[&strange, own]), Behind::Client(client), "a line of its own");
            let joined = [&strange[..], b", ", own].concat();
            let behind = said(&[&joined]);
            let spoilt = field == OriginField::Forwarded && behind == Behind::Unknown;
            assert!(spoilt || behind == Behind::Client(client), "{behind:?} of {joined:?}");
            if field == OriginField::XForwardedFor && trusted.who != Trusted::Hops(1) {
                assert_eq!(said(&[&strange]), reference(&strange, &|address| address.to_string().starts_with("10.")));
            }
        }
    }
}

/// From the left, as one would explain it.
fn reference(line: &[u8], trusted: &dyn Fn(IpAddr) -> bool) -> Behind {
    let items: Vec<Option<IpAddr>> =
        line.split(|b| *b == b',').map(|item| std::str::from_utf8(item).ok().and_then(|item| node(item.trim()))).collect();
    let nearest = &items[items.len().saturating_sub(routing::limits::FORWARDED_HOPS)..];
    let strangers = nearest.iter().rposition(|item| item.is_none_or(|address| !trusted(address)));
    match nearest[strangers.unwrap_or(0)] {
        Some(address) => Behind::Client(address),
        None => Behind::Unknown,
    }
}
