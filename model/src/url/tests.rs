use super::*;

#[test]
fn what_is_read_is_written_again() {
    for (text, want) in [
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("https://prometheus.example/base/", "https://prometheus.example/base"),
        ("http://[::1]:9090", "http://[::1]:9090"),
        ("http://[::1]", "http://[::1]"),
        ("http://a:1/b/c", "http://a:1/b/c"),
    ] {
        assert_eq!(BaseUrl::parse(text).map(|url| url.to_string()).as_deref(), Ok(want), "{text}");
    }
}

#[test]
fn what_is_none_is_refused_with_why() {
    for (text, why) in [
        ("ftp://a", UrlError::Scheme),
        ("prometheus:9090", UrlError::Scheme),
        ("http://", UrlError::Host),
        ("http://a:0", UrlError::Host),
        ("http://a:b", UrlError::Host),
        ("http://user:secret@a", UrlError::Host),
        ("http://a/b?c", UrlError::Prefix),
        ("http://a/b#c", UrlError::Prefix),
        ("http://a/ b", UrlError::Prefix),
        ("https://10.0.0.1", UrlError::Address),
        ("https://[::1]:9", UrlError::Address),
    ] {
        assert_eq!(BaseUrl::parse(text), Err(why), "{text}");
    }
}
