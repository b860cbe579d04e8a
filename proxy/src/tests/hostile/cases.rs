//! The files of cases: blocks of `== NAME`, `KEY: VALUE` and `| BYTES`.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Case {
    pub name: String,
    pub bytes: Vec<u8>,
    fields: BTreeMap<String, String>,
}

impl Case {
    pub fn field(&self, key: &str) -> &str {
        self.fields.get(key).unwrap_or_else(|| panic!("{}: no `{key}:`", self.name))
    }

    /// `-` is an empty list.
    pub fn list(&self, key: &str, between: &str) -> Vec<&str> {
        let text = self.field(key);
        if text == "-" { Vec::new() } else { text.split(between).map(str::trim).collect() }
    }
}

pub fn read(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("== ") {
            assert!(cases.iter().all(|case| case.name != name), "two cases are called {name:?}");
            cases.push(Case { name: name.to_owned(), ..Case::default() });
            continue;
        }
        let case = cases.last_mut().expect("a case begins with `== NAME`");
        match (line.strip_prefix("| "), line.split_once(": ")) {
            (Some(bytes), _) => case.bytes.extend(unescape(bytes)),
            (None, Some((key, value))) => drop(case.fields.insert(key.to_owned(), value.to_owned())),
            (None, None) => panic!("{}: {line:?} is no line of a case", case.name),
        }
    }
    for case in &cases {
        assert!(!case.field("see").is_empty(), "{}: where is it known from?", case.name);
    }
    cases
}

fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '\\' => {
                let (byte, length) = match &rest[1..2] {
                    "r" => (b'\r', 2),
                    "n" => (b'\n', 2),
                    "t" => (b'\t', 2),
                    "0" => (0, 2),
                    "x" => (u8::from_str_radix(&rest[2..4], 16).unwrap(), 4),
                    other => (other.as_bytes()[0], 2),
                };
                out.push(byte);
                taken = length;
            }
            '{' => {
                let end = rest.find('}').expect("a repetition ends");
                let (what, times) = rest[1..end].rsplit_once('*').expect("{TEXT*N}");
                out.extend(unescape(what).repeat(times.parse().unwrap()));
                taken = end + 1;
            }
            _ => out.extend_from_slice(&rest.as_bytes()[..taken]),
        }
        rest = &rest[taken..];
    }
    out
}
