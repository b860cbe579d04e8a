use super::*;
use model::Method;

const FILES: &str = "\
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: prod}
spec: {ports: [{name: http, port: 80, appProtocol: http}, {name: db, port: 5432, appProtocol: tcp}]}
---
apiVersion: organza.dev/v1alpha1
kind: AccessPolicy
metadata: {name: orders, namespace: prod}
spec:
  targetRefs: [{kind: Service, name: orders, sectionName: http}]
  rules: [{name: writes, sources: [{type: ServiceAccount, serviceAccount: {name: web}}], destinations: [{methods: [POST]}]}]
---
apiVersion: organza.dev/v1alpha1
kind: ClusterAccessPolicy
metadata: {name: no-dev}
spec:
  tier: Admin
  action: Deny
  targetRefs: [{kind: Namespace, name: prod}]
  rules: [{name: dev, sources: [{type: Namespace, namespace: {name: dev}}]}]
";

fn id(namespace: &str, name: &str) -> SpiffeId {
    SpiffeId::new(TrustDomain::parse(TRUST_DOMAIN).unwrap(), namespace, name).unwrap()
}

#[test]
fn files_are_asked_port_by_port() {
    let (objects, broken) = frontends::file::parse("all.yaml", FILES);
    assert!(broken.is_empty(), "{broken:?}");
    let called = Called::of_files(&objects, "prod", "orders").unwrap();
    let local = IpAddr::from([127, 0, 0, 1]);
    let words = |caller: Option<&SpiffeId>, head: Option<&RequestHead>| {
        called.verdicts(caller, local, None, Brought::of(head)).into_iter().map(|(port, verdict)| (port, verdict.word)).collect::<Vec<_>>()
    };
    let (web, api, dev) = (id("prod", "web"), id("prod", "api"), id("dev", "web"));
    assert_eq!(words(Some(&web), None), [(80, "some"), (5432, "yes")]);
    assert_eq!(words(Some(&api), None), [(80, "no"), (5432, "yes")]);
    assert_eq!(words(Some(&dev), None), [(80, "no"), (5432, "no")]);
    assert_eq!(words(None, None), [(80, "no"), (5432, "no")]);
    let mut head = RequestHead::default();
    head.method = Method::Post;
    head.set_target("/orders");
    assert_eq!(words(Some(&web), Some(&head))[0].1, "yes");
    head.method = Method::Get;
    let verdict = called.verdicts(Some(&web), local, Some(80), Brought::Request(&head)).remove(0).1;
    assert_eq!((verdict.word, verdict.by.as_deref()), ("no", Some("AccessPolicy prod/orders")));
    assert_eq!(together(&called.verdicts(Some(&dev), local, None, Brought::Anything)), "no");
    assert_eq!(together(&called.verdicts(Some(&web), local, None, Brought::Anything)), "some");
    assert!(Called::of_files(&objects, "prod", "nobody").is_err());
}

#[test]
fn a_key_that_is_demanded_and_missing_is_told_without_a_path_too() {
    let consumer = "\
apiVersion: organza.dev/v1alpha1
kind: Consumer
metadata: {name: acme, namespace: prod}
spec:
  targetRefs: [{kind: Service, name: orders}]
  keys: [{sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}]
";
    let (objects, broken) = frontends::file::parse("all.yaml", &format!("{FILES}---\n{consumer}"));
    assert!(broken.is_empty(), "{broken:?}");
    let called = || Called::of_files(&objects, "prod", "orders").unwrap();
    let (web, local) = (id("prod", "web"), IpAddr::from([127, 0, 0, 1]));
    let words = |called: &Called| {
        called
            .verdicts(Some(&web), local, None, Brought::Anything)
            .into_iter()
            .map(|(port, verdict)| (port, verdict.word))
            .collect::<Vec<_>>()
    };
    // A port that is declared as one of bytes has nothing in which a key could stand.
    assert_eq!(words(&called()), [(80, "no"), (5432, "yes")]);
    let why = called().verdicts(Some(&web), local, Some(80), Brought::Anything).remove(0).1.why;
    assert_eq!(why, "401, for Consumer prod/acme demands a key, and there is none");
    assert_eq!(words(&called().consuming(Some("prod/acme")).unwrap()), [(80, "some"), (5432, "yes")]);
    // Bytes bring none whoever sends them, and nothing of them depends on a request.
    let bytes = |port| called().verdicts(Some(&web), local, Some(port), Brought::Bytes).remove(0).1;
    assert_eq!((bytes(80).word, bytes(5432).word), ("no", "yes"));
}

#[test]
fn what_is_made_of_tokens_is_told_in_words() {
    let issuer = |required: bool| {
        format!(
            "\
apiVersion: organza.dev/v1alpha1
kind: TokenIssuer
metadata: {{name: corp, namespace: prod}}
spec:
  targetRefs: [{{kind: Service, name: orders, sectionName: http}}]
  issuer: https://corp.example
  jwks: {{uri: 'https://corp.example/jwks.json'}}
  required: {required}
"
        )
    };
    let called = |required| {
        let (objects, broken) = frontends::file::parse("all.yaml", &format!("{FILES}---\n{}", issuer(required)));
        assert!(broken.is_empty(), "{broken:?}");
        Called::of_files(&objects, "prod", "orders").unwrap()
    };
    let of = |issuer: &str| Token { issuer: issuer.into(), subject: "ann".into(), audiences: Vec::new(), claims: Vec::new() };
    let (corp, other) = (of("https://corp.example"), of("https://other.example"));
    let cases = [
        (true, None, false, "401, for TokenIssuer prod/corp demands a token, and there is none"),
        (false, None, true, "no token, and TokenIssuer prod/corp demands none"),
        (true, Some(&corp), true, "a token of https://corp.example, as TokenIssuer prod/corp believes it"),
        (true, Some(&other), false, "401, for no issuer of tokens here is \"https://other.example\""),
    ];
    let (web, local) = (id("prod", "web"), IpAddr::from([127, 0, 0, 1]));
    let mut head = RequestHead::default();
    head.method = Method::Post;
    head.set_target("/orders");
    for (required, token, passes, words) in cases {
        let called = called(required).bearing(token);
        assert_eq!(called.authentication(80), [(passes, words.to_owned())]);
        let verdict = called.verdicts(Some(&web), local, Some(80), Brought::Request(&head)).remove(0).1;
        assert_eq!(verdict.word, if passes { "yes" } else { "no" }, "{words}: {}", verdict.why);
        assert!(passes || verdict.why == words, "{}", verdict.why);
    }
    // A proxy that has no keys believes nobody, whatever he claims.
    let keyless = [("TokenIssuer prod/corp".to_owned(), "no answer within 5s".to_owned())];
    let called = called(false).without_keys(keyless.into()).bearing(Some(&corp));
    let why = "401, for the proxy has no keys of TokenIssuer prod/corp and cannot fetch them: no answer within 5s";
    assert_eq!(called.authentication(80), [(false, why.to_owned())]);
    assert_eq!(called.verdicts(Some(&web), local, Some(80), Brought::Request(&head)).remove(0).1.word, "no");
}
