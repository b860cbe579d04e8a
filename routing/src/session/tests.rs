use super::*;
use model::Regex;

fn rule(carrier: Carrier, absolute: Option<u64>, idle: Option<u64>) -> Persistence {
    Persistence {
        name: "cart".into(),
        carrier,
        absolute: absolute.map(Duration::from_secs),
        idle: idle.map(Duration::from_secs),
        path: None,
        within: false,
        key: None,
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn a_token_says_what_was_put_in_and_nothing_else_is_one() {
    let session = Session { backend: 1, endpoint: u64::MAX, began: 3, used: 4 };
    let bytes = session.encode();
    assert_eq!(Session::decode(&bytes), Some(session));
    assert_eq!(Session::decode(&bytes[..32]), None);
    assert_eq!(Session::decode(&[&bytes[..], &[0]].concat()), None);
    let mut other = bytes;
    other[0] = 2;
    assert_eq!(Session::decode(&other), None, "of another version");
    assert_ne!(endpoint("a"), endpoint("b"));
}

#[test]
fn sessions_end_by_age_and_by_idleness() {
    let session = Session::new(1, 2, at(1000));
    let both = rule(Carrier::Cookie, Some(100), Some(10));
    assert!(session.is_alive(&both, at(1009)));
    assert!(!session.is_alive(&both, at(1010)), "idle");
    let used = session.renewed(&both, at(1009)).unwrap();
    assert!(used.is_alive(&both, at(1018)) && !used.is_alive(&both, at(1019)));
    let late = Session { used: 1099, ..session };
    assert!(late.is_alive(&both, at(1099)) && !late.is_alive(&both, at(1100)), "old, however busy");
    assert!(session.is_alive(&rule(Carrier::Cookie, None, None), at(u64::from(u32::MAX))), "without bound");
    assert!(session.is_alive(&both, at(940)) && !session.is_alive(&both, at(939)), "clocks differ, but not so much");
}

#[test]
fn a_client_hears_of_use_a_few_times_within_its_idle_time() {
    let session = Session::new(1, 2, at(1000));
    let rule_of = |idle| rule(Carrier::Cookie, None, idle);
    assert_eq!(session.renewed(&rule_of(None), at(5000)), None);
    assert_eq!(session.renewed(&rule_of(Some(80)), at(1009)), None);
    assert_eq!(session.renewed(&rule_of(Some(80)), at(1010)), Some(Session { used: 1010, ..session }));
    assert_eq!(session.renewed(&rule_of(Some(1)), at(1000)), None);
    assert!(session.renewed(&rule_of(Some(2)), at(1001)).is_some());
}

#[test]
fn tokens_are_found_in_cookies_of_any_number_and_in_headers() {
    let mut headers = HeaderBlock::default();
    headers.push("Cookie", b"a=1; cart=one;cart= two ; xcart=no; cart");
    headers.push("cookie", b"cart=three; Cart=no; cart=; cart=five");
    headers.push("cart", b"header");
    let cookies = rule(Carrier::PermanentCookie, Some(1), None);
    let found: Vec<_> = tokens(&cookies, &headers).collect();
    assert_eq!(found, [&b"one"[..], b"two", b"three", b""], "the first four");
    let by_header = rule(Carrier::Header, None, None);
    assert_eq!(tokens(&by_header, &headers).collect::<Vec<_>>(), [b"header"]);
    let mut long = HeaderBlock::default();
    long.push("cart", &[b'x'; limits::SESSION_TOKEN_BYTES + 1]);
    assert_eq!(tokens(&by_header, &long).count(), 0);
}

#[test]
fn a_client_is_told_as_the_rule_has_it() {
    let session = Session::new(1, 2, at(1000));
    let told = |rule: &Persistence, path, secure| {
        let mut headers = HeaderBlock::default();
        headers.push("set-cookie", b"own=1");
        headers.push("cart", b"forged");
        tell(rule, &session, "TOKEN", path, secure, at(1040), &mut headers);
        headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect::<Vec<_>>()
    };
    let cookie = rule(Carrier::Cookie, Some(100), None);
    assert_eq!(told(&cookie, Some("/shop"), true)[2], "set-cookie: cart=TOKEN; Path=/shop; HttpOnly; Secure; SameSite=Lax");
    assert_eq!(told(&cookie, None, false)[2], "set-cookie: cart=TOKEN; HttpOnly; SameSite=Lax");
    assert_eq!(told(&cookie, None, false)[0], "set-cookie: own=1", "beside the application's");
    let permanent = rule(Carrier::PermanentCookie, Some(100), None);
    assert_eq!(told(&permanent, Some("/"), false)[2], "set-cookie: cart=TOKEN; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
    assert_eq!(told(&rule(Carrier::Header, None, None), Some("/"), true)[1..], ["cart: TOKEN"]);
}

#[test]
fn cookies_go_back_to_where_the_rule_matched() {
    let of = |path: PathMatch| cookie_path(Some(&path)).to_owned();
    assert_eq!(cookie_path(None), "/");
    assert_eq!(of(PathMatch::prefix("/shop/")), "/shop");
    assert_eq!(of(PathMatch::prefix("/")), "/");
    assert_eq!(of(PathMatch::Exact("/shop/cart".into())), "/shop/cart");
    assert_eq!(of(PathMatch::Exact("/a;Domain=b".into())), "/");
    let regex = |text| of(PathMatch::Regex(Regex::new(text).unwrap()));
    assert_eq!((regex("/p1/p2/[^/]*/p3").as_str(), regex("^/p1/p2.*").as_str(), regex(".*").as_str()), ("/p1/p2", "/p1", "/"));
}
