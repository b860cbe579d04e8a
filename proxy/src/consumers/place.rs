//! Where a key stands in a request, as bytes: read there, and taken off there. It never knows whose key it is.

use model::RequestHead;
use model::consumer::KeyPlace;
use smallvec::SmallVec;
use std::borrow::Cow;

/// A place that is there twice says two things, of which applications take one or the other.
pub type Values<'h> = SmallVec<[Cow<'h, [u8]>; 1]>;

/// What stands there; what is empty is nothing.
pub fn values<'h>(place: &KeyPlace, head: &'h RequestHead) -> Values<'h> {
    match place {
        KeyPlace::Header(name) => head.headers.get_all(name).filter(|value| !value.is_empty()).map(Cow::Borrowed).collect(),
        KeyPlace::Query(name) => {
            let pairs = head.query().into_iter().flat_map(|query| query.split('&')).filter(|pair| is_named(pair, name));
            let values = pairs.filter_map(|pair| pair.split_once('=')).map(|(_, value)| unescaped(value.as_bytes()));
            values.filter(|value| !value.is_empty()).collect()
        }
        KeyPlace::Cookie(name) => {
            let pairs = head.headers.get_all("cookie").flat_map(|field| field.split(|b| *b == b';')).map(<[u8]>::trim_ascii);
            let values = pairs.filter_map(|pair| cookie(pair, name));
            values.filter(|value| !value.is_empty()).map(Cow::Borrowed).collect()
        }
    }
}

/// Takes what stands there off, and nothing else.
pub fn take_off(place: &KeyPlace, head: &mut RequestHead) {
    match place {
        KeyPlace::Header(name) => _ = head.headers.remove(name),
        KeyPlace::Query(name) => {
            let Some(query) = head.query().filter(|query| query.split('&').any(|pair| is_named(pair, name))) else { return };
            let rest: Vec<&str> = query.split('&').filter(|pair| !is_named(pair, name)).collect();
            let mark = if rest.is_empty() { "" } else { "?" };
            let target = format!("{}{mark}{}", head.path(), rest.join("&"));
            head.set_target(&target);
        }
        KeyPlace::Cookie(name) => {
            let all = || head.headers.get_all("cookie").flat_map(|field| field.split(|b| *b == b';')).map(<[u8]>::trim_ascii);
            if !all().any(|pair| cookie(pair, name).is_some()) {
                return;
            }
            let rest: Vec<&[u8]> = all().filter(|pair| cookie(pair, name).is_none()).collect();
            let rest = rest.join(&b"; "[..]);
            match rest.is_empty() {
                true => _ = head.headers.remove("cookie"),
                false => head.headers.set("cookie", &rest),
            }
        }
    }
}

fn is_named(pair: &str, name: &str) -> bool {
    let given = pair.split_once('=').map_or(pair, |(given, _)| given);
    *unescaped(given.as_bytes()) == *name.as_bytes()
}

fn cookie<'p>(pair: &'p [u8], name: &str) -> Option<&'p [u8]> {
    let at = pair.iter().position(|b| *b == b'=')?;
    let value = pair[at + 1..].trim_ascii();
    (pair[..at].trim_ascii() == name.as_bytes()).then(|| value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value))
}

/// Without percent escapes; one that is none stands for itself.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let digit = |at: usize| text.get(at).and_then(|b| char::from(*b).to_digit(16));
    let (mut plain, mut at) = (Vec::with_capacity(text.len()), 0);
    while at < text.len() {
        match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                plain.push((high << 4 | low) as u8);
                at += 3;
            }
            (byte, ..) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(plain)
}
