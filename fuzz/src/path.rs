//! Paths made regular, beside a slow reference that follows RFC 3986 to the letter. Twice is once, at every level, and each level does what
//! the ones before do.

use model::Normalisation::{self, Base, DecodeSlashes, MergeSlashes, None as Off};
use routing::normalise;

pub fn check(bytes: &[u8]) {
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    for level in [Off, Base, MergeSlashes, DecodeSlashes] {
        let made = normalise(path, level).ok().map(|made| made.into_owned());
        assert_eq!(made, reference(path, level), "{path:?} at {level:?}");
        let Some(made) = made else { continue };
        assert_eq!(normalise(&made, level).as_deref(), Ok(&*made), "twice is not once: {path:?} at {level:?}");
        // What was regular for a level is read the same by those below.
        for below in [Off, Base, MergeSlashes].into_iter().filter(|below| *below < level) {
            assert_eq!(normalise(&made, below).as_deref(), Ok(&*made), "{path:?} at {level:?} and then {below:?}");
        }
    }
}

fn reference(path: &str, level: Normalisation) -> Option<String> {
    if level == Off || path.is_empty() || path == "*" {
        return Some(path.to_owned());
    }
    if !path.starts_with('/') || path.contains('\0') {
        return None;
    }
    let mut text = unescaped(path.as_bytes(), level)?;
    if level >= MergeSlashes {
        while text.contains("//") {
            text = text.replace("//", "/");
        }
    }
    Some(without_dots(&text))
}

/// RFC 3986, section 6.2.2.2.
fn unescaped(path: &[u8], level: Normalisation) -> Option<String> {
    let slash = |byte: u8| level == DecodeSlashes && (byte == b'/' || byte == b'\\');
    let mut out = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let byte = path[at];
        at += 1;
        if byte != b'%' {
            out.push(if slash(byte) { b'/' } else { byte });
            continue;
        }
        let digits = path.get(at..at + 2)?;
        at += 2;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let decoded = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        match decoded {
            0 => return None,
            b if slash(b) => out.push(b'/'),
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => out.push(b),
            b => out.extend_from_slice(format!("%{b:02X}").as_bytes()),
        }
    }
    String::from_utf8(out).ok()
}

/// RFC 3986, section 5.2.4, as it is written there.
fn without_dots(path: &str) -> String {
    let mut input = path.to_owned();
    let mut output = String::new();
    while !input.is_empty() {
        if input.starts_with("/./") {
            input.replace_range(..3, "/");
        } else if input == "/." {
            input = "/".to_owned();
        } else if input.starts_with("/../") {
            input.replace_range(..4, "/");
            output.truncate(output.rfind('/').unwrap_or(0));
        } else if input == "/.." {
            input = "/".to_owned();
            output.truncate(output.rfind('/').unwrap_or(0));
        } else {
            let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
            output.push_str(&input[..end]);
            input.replace_range(..end, "");
        }
    }
    output
}
