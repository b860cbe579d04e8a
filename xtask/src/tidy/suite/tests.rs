use super::*;

fn words() -> BTreeSet<String> {
    let manifest =
        "hostnames: [\"very.specific.com\", '*.wildcard.io']\nhostname: abc.example.com\napiVersion: gateway.networking.k8s.io/v1\n";
    hosts(manifest).chain(name_of(Path::new("tests/httproute-simple-same-namespace.yaml"))).chain([NAMESPACE.to_owned()]).collect()
}

#[test]
fn names_and_hosts_are_found_and_everybodys_are_not() {
    let expected = ["gateway-conformance", "httproute-simple-same-namespace", "very.specific.com", "wildcard.io"];
    assert_eq!(words().iter().collect::<Vec<_>>(), expected);
    assert_eq!(name_of(Path::new("tests/httproute-weight.yaml")), None);
}

#[test]
fn what_is_shipped_must_not_hold_them() {
    let complaints = |line: &str| of_file(Path::new("proxy/src/http.rs"), line, &words()).len();
    assert_eq!(complaints("if host == \"very.specific.com\" {"), 1);
    assert_eq!(complaints("if namespace == \"gateway-conformance-infra\" {"), 1);
    assert_eq!(complaints("if name == \"httproute-simple-same-namespace\" {"), 1);
    assert_eq!(complaints("// like very.specific.com"), 0);
    assert_eq!(complaints("if host == \"un-very.specific.com\" {"), 0);
    assert_eq!(complaints("if host == \"abc.example.com\" {"), 0);
}

#[test]
fn tests_are_not_shipped() {
    for file in
        ["proxy/src/http/tests.rs", "cli/tests/up.rs", "xtask/src/tidy/suite.rs", "frontends/src/gateway_api/tests/x.rs", "docs/x.md"]
    {
        assert!(!is_shipped(Path::new(file)), "{file}");
    }
    assert!(is_shipped(Path::new("proxy/src/http.rs")));
}
