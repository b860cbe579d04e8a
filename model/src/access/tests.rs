use super::*;

#[test]
fn templates_are_whole_segments_with_holes() {
    let cases = [
        ("/users/{id}", "/users/7", true),
        ("/users/{id}", "/users/", false),
        ("/users/{id}", "/users", false),
        ("/users/{id}", "/users/7/", false),
        ("/users/{id}", "/users/7/mail", false),
        ("/users/{*}/mail", "/users/7/mail", true),
        ("/files/{**}", "/files/a/b", true),
        ("/files/{**}", "/files/", true),
        ("/files/{**}", "/files", true),
        ("/files/{**}", "/filesystem", false),
        ("/files/{**}/raw", "/files/raw", true),
        ("/files/{**}/raw", "/files/a/b/raw", true),
        ("/files/{**}/raw", "/files/a/b", false),
        ("/{**}", "/", true),
        ("/a/{x}/{**}/{y}", "/a/b", false),
        ("/a/{x}/{**}/{y}", "/a/b/c", true),
    ];
    for (template, path, want) in cases {
        let template = PathTemplate::parse(template).unwrap();
        assert_eq!(template.is_match(path), want, "{template} {path}");
    }
    for bad in ["users", "/a{b}", "/{}", "/{a b}", "/{**}/x/{**}", "/a?b", "/..", "/{a=**}", &format!("/{}", "a".repeat(3000))] {
        assert!(PathTemplate::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn prefixes_are_by_segments_or_by_letters() {
    let segments = AccessPath::segments("/admin/");
    let letters = AccessPath::Letters("/admin".into());
    for (path, whole, part) in
        [("/admin", true, true), ("/admin/x", true, true), ("/administrator", false, true), ("/", false, false), ("/x/admin", false, false)]
    {
        assert_eq!((segments.is_match(path), letters.is_match(path)), (whole, part), "{path}");
    }
    assert!(AccessPath::segments("/").is_match("/x") && AccessPath::Suffix(".git".into()).is_match("/a/.git"));
}
