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

#[test]
fn of_two_words_for_one_port_strict_wins() {
    use crate::{Kind, ObjectRef, Source};
    let orders = || Key::new(Source::files(), Kind::Service, "shop", "orders");
    let of = |port, mtls| MtlsOf { service: orders(), port, mtls };
    let settings = |mtls_of| AccessSettings {
        key: Key::new(Source::files(), Kind::AccessSettings, "shop", "default"),
        origin: Origin::new(ObjectRef::new("organza.dev", "MeshConfig", "shop", "default"), ""),
        default_access: DefaultAccess::AllowMeshed,
        egress: Egress::Any,
        explain_denials: ExplainDenials::Meshed,
        mtls: Mtls::Permissive,
        mtls_of,
    };
    let (strict, permissive) = (Mtls::Strict, Mtls::Permissive);
    let cases = [
        (vec![], permissive),
        (vec![of(None, permissive), of(None, strict)], strict),
        (vec![of(None, strict), of(None, permissive)], strict),
        (vec![of(None, strict), of(Some(80), permissive)], permissive),
        (vec![of(Some(80), permissive), of(Some(80), strict), of(None, permissive)], strict),
        (vec![of(Some(81), strict)], permissive),
    ];
    for (mtls_of, want) in cases {
        assert_eq!(settings(mtls_of.clone()).mtls_at(&orders(), 80), want, "{mtls_of:?}");
    }
}
