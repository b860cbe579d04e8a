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
    // It is remembered though another is made; an expired one too, for a day.
    tokens.create("9876543210abcdef".into(), &request, 103).unwrap();
    assert_eq!(tokens.redeem("abcdef0123456789", Some("db"), 104), Err(Refused::Used));
    tokens.create("11".into(), &request, 200 + 3600).unwrap();
    assert_eq!(tokens.redeem("9876543210abcdef", Some("db"), 200 + 3600), Err(Refused::Expired), "a clock an hour ahead refuses");
    tokens.create("22".into(), &request, 200 + 25 * 3600).unwrap();
    assert_eq!(tokens.redeem("9876543210abcdef", Some("db"), 200 + 25 * 3600), Err(Refused::Unknown));
    let kept = tokens.create("33".into(), &request, 200 + 25 * 3600).unwrap();
    tokens.redeem("33", None, 200 + 25 * 3600).unwrap();
    tokens.give_back("33");
    assert!(tokens.redeem("33", None, 200 + 25 * 3600).is_ok());
    assert!(tokens.withdraw(&kept.id).is_some());
}

#[test]
fn so_many_tokens_may_be_unused_and_so_many_are_remembered() {
    let request = TokenRequest { namespace: "shop".into(), service_account: "db".into(), services: Vec::new(), ttl_seconds: u64::MAX };
    let mut tokens = Tokens::default();
    let kept = tokens.create("0".into(), &request, 100).unwrap();
    assert_eq!(kept.expires, 100 + limits::TOKEN_LIFE.as_secs());
    (1..limits::TOKENS).for_each(|i| drop(tokens.create(i.to_string(), &request, 100).unwrap()));
    assert!(tokens.create("one too many".into(), &request, 100).is_none());
    tokens.redeem("7", None, 101).unwrap();
    assert!(tokens.create("now there is room".into(), &request, 101).is_some());
    let used = |i: usize| Kept { hash: i.to_string(), used: Some(101), ..kept.clone() };
    let full = |count: usize| Tokens::load((0..count).map(used)).create("new".into(), &request, 102).is_none();
    assert!(full(limits::TOKENS_REMEMBERED) && !full(limits::TOKENS_REMEMBERED - 1));
}
