use super::*;
use serde_json::json;

#[test]
fn sessions_are_read_with_their_defaults() {
    let read = |value: Value| read(&value, "HTTPRoute shop/cart rule-0").unwrap();
    let bare = read(json!({}));
    assert_eq!((bare.carrier, bare.absolute, bare.idle, bare.key), (Carrier::Cookie, None, None, None));
    assert!(bare.name.starts_with("organza-session-") && bare.name.len() == 24, "{}", bare.name);
    assert_ne!(super::read(&json!({}), "HTTPRoute shop/cart rule-1").unwrap().name, bare.name);
    let whole = json!({"sessionName": "cart", "type": "Cookie", "absoluteTimeout": "1h", "idleTimeout": "5m", "cookieConfig": {"lifetimeType": "Permanent"}});
    let whole = read(whole);
    assert_eq!((&*whole.name, whole.carrier), ("cart", Carrier::PermanentCookie));
    assert_eq!((whole.absolute, whole.idle), (Some(Duration::from_secs(3600)), Some(Duration::from_secs(300))));
    assert_eq!(read(json!({"type": "Header", "sessionName": "X-Cart"})).carrier, Carrier::Header);
    // As v1.7 has it.
    let new = read(json!({"cookie": {"name": "cart", "lifetimeType": "Permanent", "path": "/a"}, "absoluteTimeout": "1h"}));
    assert_eq!((&*new.name, new.carrier, new.path.as_deref()), ("cart", Carrier::PermanentCookie, Some("/a")));
    let bare = read(json!({"cookie": {}}));
    assert_eq!((bare.name.len(), bare.path.as_deref()), (24, Some("/")), "not what the rule matched any more");
    assert_eq!(whole.path, None, "what v1.6 has is read as v1.6 has it");
    let header = read(json!({"type": "Header", "header": {"name": "X-Cart"}}));
    assert_eq!((&*header.name, header.carrier, header.path), ("X-Cart", Carrier::Header, None));
}

#[test]
fn what_cannot_be_a_session_is_told_with_its_place() {
    let cases = [
        (json!({"sessionName": "a b"}), "sessionName"),
        (json!({"sessionName": "a;b"}), "sessionName"),
        (json!({"sessionName": "Content-Length", "type": "Header"}), "sessionName"),
        (json!({"type": "Url"}), "type"),
        (json!({"type": "Header", "cookieConfig": {}}), "cookieConfig"),
        (json!({"cookieConfig": {"lifetimeType": "Permanent"}}), "absoluteTimeout"),
        (json!({"cookieConfig": {"lifetimeType": "Eternal"}}), "cookieConfig.lifetimeType"),
        (json!({"absoluteTimeout": "10ms"}), "absoluteTimeout"),
        (json!({"idleTimeout": "soon"}), "idleTimeout"),
        (json!({"cookie": {"name": "a b"}}), "cookie.name"),
        (json!({"cookie": {"name": "x".repeat(limits::SESSION_NAME + 1)}}), "cookie.name"),
        (json!({"cookie": {"path": "cart"}}), "cookie.path"),
        (json!({"cookie": {"path": "/a; Domain=b"}}), "cookie.path"),
        (json!({"cookie": {}, "type": "Header"}), "cookie"),
        (json!({"header": {"name": "Host"}, "type": "Header"}), "header.name"),
        (json!({"header": {"name": "X-Cart"}}), "header"),
        (json!({"sessionName": "a", "cookie": {"name": "b"}}), "sessionName"),
        (json!({"cookieConfig": {}, "header": {"name": "b"}, "type": "Header"}), "cookieConfig"),
    ];
    for (value, place) in cases {
        let wrong = read(&value, "").unwrap_err();
        let report = wrong.report(&model::ObjectRef::new("", "Test", "a", "b"));
        assert_eq!(report.path_text(), place, "{value}");
    }
}
