use super::*;

#[test]
fn regexes_match_whole_values_and_have_limits() {
    let regex = Regex::new("a|bc").unwrap();
    assert!(regex.is_match(b"a") && regex.is_match(b"bc"));
    assert!(!regex.is_match(b"ab") && !regex.is_match(b"xa"));
    assert!(Regex::new("a)(b").is_err(), "brackets added for anchoring must not make it valid");
    assert_eq!(Regex::new("/(a").unwrap_err().to_string(), "regular expression cannot be used: unclosed group");
    assert!(Regex::new(&"a".repeat(2000)).is_err());
    assert!(Regex::new("(?:a{1000}){1000}").is_err(), "a program without bound is refused");
    // The crate's own bound is forty times as wide.
    assert!(Regex::new("(?:a{100}){10}").is_ok() && Regex::new("(?:a{100}){100}").is_err(), "one of {}", limits::REGEX_PROGRAM_BYTES);
}

#[test]
fn prefixes_go_by_segments() {
    let prefix = PathMatch::prefix("/a/");
    assert!(prefix.is_match("/a") && prefix.is_match("/a/") && prefix.is_match("/a/b"));
    assert!(!prefix.is_match("/ab") && !prefix.is_match("/"));
    assert!(PathMatch::prefix("/").is_match("/anything"));
}

#[test]
fn blocks_contain_mapped_addresses() {
    let block = Cidr::parse("10.1.2.3/8").unwrap();
    assert_eq!(block.to_string(), "10.0.0.0/8");
    assert!(block.contains("::ffff:10.9.9.9".parse().unwrap()));
    assert!(Cidr::parse("10.0.0.0/33").is_none());
}
