use crate::Translation;
use crate::organza::tests::are_told_and_held_closed;
use crate::tests::{object, run, service};
use model::Resource;
use model::token::{KeySource, TokenIssuer};
use serde_json::{Value, json};
use std::sync::Arc;

const HEAD: &str = "apiVersion: organza.dev/v1alpha1\nkind: TokenIssuer\nmetadata: {name: p, namespace: a}\nspec:\n  targetRefs: [{kind: Service, name: s}]\n";

fn issuers(t: &Translation) -> Vec<&Arc<TokenIssuer>> {
    t.resources.iter().filter_map(|r| if let Resource::TokenIssuer(issuer) = r { Some(issuer) } else { None }).collect()
}

/// A token is demanded, and none is believed.
fn is_closed(t: &Translation) -> bool {
    matches!(&issuers(t)[..], [issuer] if issuer.required && issuer.keys == KeySource::None)
}

#[test]
fn mistakes_are_told_with_their_place_and_held_closed() {
    let keys = "  jwks: {uri: 'https://i/k'}\n";
    let cases = [
        (keys.to_owned(), "spec"),
        ("  issuer: i\n".to_owned(), "spec"),
        ("  issuer: i\n  jwks: {}\n".to_owned(), "spec.jwks"),
        ("  issuer: i\n  jwks: {uri: 'https://i/k', inline: '{}'}\n".to_owned(), "spec.jwks"),
        ("  issuer: i\n  jwks: {uri: 'ftp://i/k'}\n".to_owned(), "spec.jwks.uri"),
        (format!("  issuer: i\n  algorithms: [none]\n{keys}"), "spec.algorithms[0]"),
        (format!("  issuer: i\n  algorithms: [HS256]\n{keys}"), "spec.algorithms[0]"),
        (format!("  issuer: i\n  leeway: 11m\n{keys}"), "spec.leeway"),
        (format!("  issuer: i\n  claimsToHeaders: [{{claim: sub, header: Authorization}}]\n{keys}"), "spec.claimsToHeaders[0].header"),
        (format!("  issuer: i\n  required: maybe\n{keys}"), "spec.required"),
    ];
    are_told_and_held_closed(HEAD, &format!("  issuer: i\n{keys}"), &cases, is_closed);
}

#[test]
fn what_no_schema_saw_believes_nobody() {
    let target = json!([{"kind": "Service", "name": "s"}]);
    let with = |more: Value| {
        let mut spec = json!({"targetRefs": target, "issuer": "i", "required": false, "jwks": {"uri": "https://i.example/k"}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        run(&[service("a", "s"), object("organza.dev/v1alpha1", "TokenIssuer", ("a", "p"), json!({ "spec": spec }))])
    };
    assert!(!is_closed(&with(json!({}))));
    let odd = [
        json!({"issuer": ""}),
        json!({"audiences": "shop"}),
        json!({"audiences": [3]}),
        json!({"algorithms": ["none"]}),
        json!({"leeway": "1h"}),
        json!({"required": "no"}),
        json!({"jwks": {"inline": "{\"keys\": []}"}}),
        json!({"jwks": {"uri": "https://user@i.example/k"}}),
        json!({"jwks": {"uri": "https://10.0.0.1/k"}}),
        json!({"jwks": {"uri": "https://i.example:0/k"}}),
        json!({"jwks": {"uri": "https://i.example/k", "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "none"}]}}),
        json!({"claimsToHeaders": [{"claim": "sub", "header": "content-length"}]}),
    ];
    for more in odd {
        let t = with(more.clone());
        assert!(is_closed(&t), "{more}: {:?}", issuers(&t));
        assert_eq!(t.reports.len(), 1, "{more}: {:?}", t.reports);
    }
}
