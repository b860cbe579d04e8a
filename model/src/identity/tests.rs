use super::*;

#[test]
fn identities_are_parsed_or_refused() {
    let id = SpiffeId::parse("spiffe://organza.local/ns/shop/sa/web").unwrap();
    assert_eq!((id.namespace(), id.service_account(), id.trust_domain().as_str()), ("shop", "web", "organza.local"));
    assert_eq!(id.to_string(), "spiffe://organza.local/ns/shop/sa/web");
    for bad in [
        "https://organza.local/ns/a/sa/b",
        "spiffe://Organza.local/ns/a/sa/b",
        "spiffe:///ns/a/sa/b",
        "spiffe://td/ns/a/sa/b/c",
        "spiffe://td/ns/a/sa/",
        "spiffe://td/ns/../sa/b",
        "spiffe://td:80/ns/a/sa/b",
        "spiffe://td/ns/a%2f/sa/b",
    ] {
        assert!(SpiffeId::parse(bad).is_err(), "{bad} must be refused");
    }
}

#[test]
fn parts_of_its_text_are_found_without_writing_it() {
    let text = "spiffe://organza.local/ns/shop/sa/web";
    let id = SpiffeId::parse(text).unwrap();
    for at in 0..=text.len() {
        assert!(id.begins_with(&text[..at]) && id.ends_with(&text[at..]), "{at}");
    }
    assert!(!id.begins_with("spiffe://organza.local/ns/shop/sa/webb") && !id.begins_with("spiffe://organza.local/ns/shops"));
    assert!(!id.ends_with("xspiffe://organza.local/ns/shop/sa/web") && !id.ends_with("/sa/eb") && !id.ends_with("xweb"));
}

#[test]
fn identities_and_domains_are_of_so_many_bytes_and_no_more() {
    let domain = |bytes: usize| TrustDomain::parse(&"d".repeat(bytes));
    assert!(domain(limits::TRUST_DOMAIN_BYTES).is_ok());
    assert_eq!(domain(limits::TRUST_DOMAIN_BYTES + 1), Err(IdentityError::TooLong));
    let id = |bytes: usize| {
        let start = "spiffe://td/ns/a/sa/";
        SpiffeId::parse(&format!("{start}{}", "b".repeat(bytes - start.len())))
    };
    // Its last part is longer than a name may be, which is found out by reading it.
    assert_ne!(id(limits::SPIFFE_ID_BYTES), Err(IdentityError::TooLong));
    assert_eq!(id(limits::SPIFFE_ID_BYTES + 1), Err(IdentityError::TooLong));
}
