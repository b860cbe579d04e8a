use super::*;
use proptest::prelude::*;

#[test]
fn goes_to_text_and_back_and_hides() {
    let token = Token::create(b"root", "10.0.0.1:15012").unwrap();
    let text = token.to_text();
    assert_eq!(Token::parse(&format!(" {}\n", *text)).unwrap(), token);
    assert_eq!(Token::hash_of_secret_text(&token.secret_text()).unwrap(), token.secret_hash());
    assert_ne!(Token::create(b"root", "10.0.0.1:15012").unwrap().secret_hash(), token.secret_hash());
    assert!(!format!("{token:?}").contains(token.secret_text().as_str()));
}

proptest! {
    #[test]
    fn strangers_text_never_panics(text in ".{0,200}", body in "[A-Za-z0-9_-]{0,200}") {
        let _ = Token::parse(&text);
        let _ = Token::parse(&format!("{PREFIX}{body}"));
    }
}
