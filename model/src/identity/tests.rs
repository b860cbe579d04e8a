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
