use super::*;

#[test]
fn a_token_lets_one_in_once_and_in_time() {
    let mut tokens = Tokens::default();
    let request = TokenRequest { namespace: "shop".into(), service_account: "db".into(), services: vec!["db".into()], ttl_seconds: 60 };
    let kept = tokens.create("abcdef0123456789".into(), &request, 100).unwrap();
    assert_eq!(kept.expires, 160);
    assert_eq!(tokens.redeem("other", None, 101), Err(Refused::Unknown));
    assert_eq!(tokens.redeem("abcdef0123456789", None, 161), Err(Refused::Expired));
    assert_eq!(tokens.redeem("abcdef0123456789", Some("web"), 101), Err(Refused::Service));
    assert_eq!(tokens.redeem("abcdef0123456789", Some("db"), 101).unwrap().service_account, "db");
    assert_eq!(tokens.redeem("abcdef0123456789", Some("db"), 102), Err(Refused::Used));
    assert_eq!(tokens.list("organza.local")[0].used, Some(101));
    assert!(tokens.withdraw(&kept.id).is_some());
}
