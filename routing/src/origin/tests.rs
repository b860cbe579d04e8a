use super::*;
use model::Cidr;

fn sources(blocks: &[&str], field: OriginField) -> TrustedProxies {
    TrustedProxies { who: Trusted::Sources(blocks.iter().map(|text| Cidr::parse(text).unwrap()).collect()), field }
}

fn hops(hops: u8) -> TrustedProxies {
    TrustedProxies { who: Trusted::Hops(hops), field: OriginField::XForwardedFor }
}

/// `client < between < …`, by whoever connects from 10.0.0.1.
fn ask(trusted: &TrustedProxies, fields: &[(&str, &str)]) -> String {
    let mut headers = HeaderBlock::default();
    fields.iter().for_each(|(name, value)| headers.push(name, value.as_bytes()));
    let origin = read(trusted, "10.0.0.1".parse().unwrap(), &headers);
    let client = match origin.behind {
        Behind::Peer => "peer".to_owned(),
        Behind::Client(client) => client.to_string(),
        Behind::Unknown => "?".to_owned(),
    };
    assert!(origin.believed || origin == Origin::default(), "who is not believed says nothing");
    std::iter::once(client).chain(origin.between.iter().map(ToString::to_string)).collect::<Vec<_>>().join(" < ")
}

#[test]
fn the_rightmost_that_is_no_trusted_proxy_is_the_client() {
    let trusted = sources(&["10.0.0.0/8", "fd00::/8"], OriginField::XForwardedFor);
    let cases: [(&[&str], &str); 16] = [
        (&[], "peer"),
        (&["192.0.2.1"], "192.0.2.1"),
        (&["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        (&["6.6.6.6", "192.0.2.1"], "192.0.2.1"),
        (&["192.0.2.1, 10.0.0.7"], "192.0.2.1 < 10.0.0.7"),
        (&["6.6.6.6, 192.0.2.1, fd00::7", "10.0.0.7"], "192.0.2.1 < fd00::7 < 10.0.0.7"),
        (&["10.0.0.9, 10.0.0.7"], "10.0.0.9 < 10.0.0.7"),
        (&["192.0.2.1:4711"], "192.0.2.1"),
        (&["[2001:db8::1]:4711"], "2001:db8::1"),
        (&["2001:db8::1"], "2001:db8::1"),
        (&["fe80::1%eth0"], "fe80::1"),
        (&["::ffff:192.0.2.1"], "192.0.2.1"),
        (&["192.0.2.1, unknown"], "?"),
        (&["192.0.2.1, "], "?"),
        (&["192.0.2.1, _hidden, 10.0.0.7"], "? < 10.0.0.7"),
        (&["192.0.2.1; 10.0.0.7"], "?"),
    ];
    for (fields, expected) in cases {
        let fields: Vec<_> = fields.iter().map(|value| ("x-forwarded-for", *value)).collect();
        assert_eq!(ask(&trusted, &fields), expected, "{fields:?}");
    }
    assert_eq!(ask(&sources(&["10.0.0.2"], OriginField::XForwardedFor), &[("x-forwarded-for", "192.0.2.1")]), "peer");
    assert_eq!(ask(&TrustedProxies::default(), &[("x-forwarded-for", "192.0.2.1")]), "peer");
    assert_eq!(ask(&trusted, &[("forwarded", "for=192.0.2.1")]), "peer", "a field that nobody is to write is not read");
}

#[test]
fn of_so_many_hops_the_first_says_who_the_client_is() {
    let cases = [
        (1, "6.6.6.6, 192.0.2.1", "192.0.2.1"),
        (2, "6.6.6.6, 192.0.2.1, 203.0.113.1", "192.0.2.1 < 203.0.113.1"),
        (3, "192.0.2.1, 203.0.113.1", "peer"),
        (2, "192.0.2.1", "peer"),
        (1, "192.0.2.1, unknown", "?"),
        (2, "unknown, 10.0.0.7", "? < 10.0.0.7"),
        (2, "unknown", "peer"),
        (3, "x, 10.0.0.7", "peer"),
    ];
    for (count, value, expected) in cases {
        assert_eq!(ask(&hops(count), &[("X-Forwarded-For", value)]), expected, "{count} {value}");
    }
    assert_eq!(ask(&hops(1), &[]), "peer");
}

#[test]
fn forwarded_is_read_to_the_letter_or_not_at_all() {
    let trusted = sources(&["10.0.0.0/8"], OriginField::Forwarded);
    let cases: [(&[&str], &str); 17] = [
        (&["for=192.0.2.1"], "192.0.2.1"),
        (&["For=\"192.0.2.1\" ; proto=https;by=10.0.0.1"], "192.0.2.1"),
        (&["for=6.6.6.6, for=192.0.2.1,for=10.0.0.7"], "192.0.2.1 < 10.0.0.7"),
        (&["for=6.6.6.6", "for=192.0.2.1"], "192.0.2.1"),
        (&["for=\"[2001:db8::1]:80\""], "2001:db8::1"),
        (&["for=\"192.0.2.1:_port\""], "192.0.2.1"),
        (&["for=\"192.0.\\2.1\""], "192.0.2.1"),
        (&["for=unknown"], "?"),
        (&["for=_hidden;proto=https"], "?"),
        (&["proto=https"], "?"),
        (&["for=\"6.6.6.6, for=192.0.2.1"], "?"),
        (&["for=x;by=\", for=\"192.0.2.1\""], "?"),
        (&["for=6.6.6.6;for=192.0.2.1"], "?"),
        (&["for=192.0.2.1,"], "?"),
        (&["for = 192.0.2.1"], "?"),
        (&["for=[2001:db8::1]"], "?"),
        // What a proxy wrote on a line of its own no stranger's line can spoil.
        (&["for=\"", "for=192.0.2.1"], "192.0.2.1"),
    ];
    for (fields, expected) in cases {
        let fields: Vec<_> = fields.iter().map(|value| ("forwarded", *value)).collect();
        assert_eq!(ask(&trusted, &fields), expected, "{fields:?}");
    }
    assert_eq!(ask(&trusted, &[("x-forwarded-for", "192.0.2.1")]), "peer");
}

#[test]
fn scheme_and_host_are_those_that_the_client_called() {
    let said = |trusted: &TrustedProxies, fields: &[(&str, &str)]| {
        let mut headers = HeaderBlock::default();
        fields.iter().for_each(|(name, value)| headers.push(name, value.as_bytes()));
        let origin = read(trusted, "10.0.0.1".parse().unwrap(), &headers);
        (origin.scheme.map(Scheme::as_str), origin.host.as_deref().map(str::to_owned))
    };
    let both = |scheme, host: &str| (Some(scheme), Some(host.to_owned()));
    let forwarded = sources(&["10.0.0.0/8"], OriginField::Forwarded);
    let value = "for=6.6.6.6;host=evil;proto=http, for=192.0.2.1;proto=HTTPS;host=\"shop.example:443\", for=10.0.0.7;proto=http;host=in";
    assert_eq!(said(&forwarded, &[("forwarded", value)]), both("https", "shop.example:443"));
    assert_eq!(said(&forwarded, &[("forwarded", "for=192.0.2.1;proto=ftp;host=\"a b\"")]), (None, None));
    let listed = sources(&["10.0.0.0/8"], OriginField::XForwardedFor);
    let fields = [("x-forwarded-proto", "https"), ("x-forwarded-host", "shop.example")];
    assert_eq!(said(&listed, &fields), both("https", "shop.example"));
    assert_eq!(said(&listed, &[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")]), (None, None), "of two nobody knows which");
    assert_eq!(said(&listed, &[("x-forwarded-proto", "https, http"), ("x-forwarded-host", "a, b")]), (None, None));
    assert_eq!(said(&TrustedProxies::default(), &fields), (None, None));
    // A name, a colon and a port.
    let long = "a".repeat(model::limits::HOSTNAME_BYTES + 6);
    assert_eq!(said(&listed, &[("x-forwarded-host", &long)]).1.as_ref(), Some(&long));
    assert_eq!(said(&listed, &[("x-forwarded-host", &format!("{long}a"))]), (None, None));
}

#[test]
fn however_long_it_is_so_many_are_read() {
    let trusted = sources(&["10.0.0.0/8"], OriginField::XForwardedFor);
    let value = format!("192.0.2.1{}", ", 10.0.0.7".repeat(10_000));
    let mut headers = HeaderBlock::default();
    headers.push("x-forwarded-for", value.as_bytes());
    let origin = read(&trusted, "10.0.0.1".parse().unwrap(), &headers);
    assert_eq!((origin.behind, origin.between.len()), (Behind::Client("10.0.0.7".parse().unwrap()), limits::FORWARDED_HOPS - 1));
}

#[test]
fn what_the_client_called_is_what_it_is_sent_back_to() {
    let told = |scheme, port| Origin { scheme, port, ..Origin::default() }.called(Scheme::Http, 8080);
    assert_eq!(told(None, None), (Scheme::Http, 8080));
    assert_eq!(told(Some(Scheme::Http), None), (Scheme::Http, 8080));
    assert_eq!(told(Some(Scheme::Https), None), (Scheme::Https, 443));
    assert_eq!(told(Some(Scheme::Https), Some(8443)), (Scheme::Https, 8443));
    assert_eq!(told(None, Some(9000)), (Scheme::Http, 9000));
}
