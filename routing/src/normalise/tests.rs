use super::*;
use model::Normalisation::*;
use proptest::prelude::*;

#[test]
fn levels_do_what_they_say() {
    for (path, base, merged, decoded) in [
        ("/", "/", "/", "/"),
        ("/a/../b", "/b", "/b", "/b"),
        ("/../../a", "/a", "/a", "/a"),
        ("/a/.", "/a/", "/a/", "/a/"),
        ("/a/..", "/", "/", "/"),
        ("/a/%2e%2E/b", "/b", "/b", "/b"),
        ("/%7Euser/%c3%a9", "/~user/%C3%A9", "/~user/%C3%A9", "/~user/%C3%A9"),
        ("/a//b", "/a//b", "/a/b", "/a/b"),
        ("/a//../b", "/a/b", "/b", "/b"),
        ("/a%2fb", "/a%2Fb", "/a%2Fb", "/a/b"),
        ("/a%2F..%5cb", "/a%2F..%5Cb", "/a%2F..%5Cb", "/b"),
        ("/a\\b", "/a\\b", "/a\\b", "/a/b"),
        ("/%252e%252e/a", "/%252e%252e/a", "/%252e%252e/a", "/%252e%252e/a"),
        ("//", "//", "/", "/"),
        ("/...", "/...", "/...", "/..."),
        ("*", "*", "*", "*"),
    ] {
        for (level, want) in [(None, path), (Base, base), (MergeSlashes, merged), (DecodeSlashes, decoded)] {
            assert_eq!(normalise(path, level).as_deref(), Ok(want), "{path} at {level:?}");
        }
    }
}

#[test]
fn what_is_wrong_is_refused_and_what_is_right_is_not_copied() {
    for (path, want) in [
        ("/%", PathError::Escape),
        ("/%2", PathError::Escape),
        ("/%zz", PathError::Escape),
        ("/%00", PathError::Nul),
        ("a", PathError::Relative),
    ] {
        assert_eq!(normalise(path, Base), Err(want), "{path}");
    }
    for path in ["/", "/a/b.c/%2F", "/a//b", "/%20/é"] {
        assert!(matches!(normalise(path, Base), Ok(Cow::Borrowed(_))), "{path} must not be copied");
    }
}

proptest! {
    #[test]
    fn twice_is_once(path in "/(%[0-9a-fA-F]{2}|[a-z./\\\\%é]){0,12}") {
        for level in [None, Base, MergeSlashes, DecodeSlashes] {
            if let Ok(once) = normalise(&path, level) {
                let twice = normalise(&once, level);
                prop_assert_eq!(twice.as_deref(), Ok(&*once));
                let unchanged = *once == *path;
                prop_assert_eq!(unchanged, matches!(once, Cow::Borrowed(_)), "copied exactly where it changed");
                if level >= Base {
                    prop_assert!(once.split('/').all(|s| s != "." && s != ".."));
                }
            }
        }
    }

    #[test]
    fn plain_is_what_each_byte_says(path in "/([a-z]{0,20}[a-z/.%\\\\;\0é]){0,4}[a-z]{0,20}") {
        let bytes = path.as_bytes();
        let odd = bytes.iter().any(|b| b"%\\\0".contains(b)) || path.contains("//") || path.contains("/.");
        prop_assert_eq!(is_plain(&path), !odd);
        let slow = matches!(normalise(&path, DecodeSlashes), Ok(Cow::Borrowed(_)));
        if !odd {
            prop_assert_eq!(reads_one_way(&path), slow && !path.contains(';'));
        }
    }
}
