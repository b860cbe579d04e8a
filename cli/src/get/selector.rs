//! `-l`: label selectors as Kubernetes writes them. A list of requirements that must all hold. Knows text and labels, nothing of a mesh.

use std::collections::BTreeMap;

pub type Labels = BTreeMap<String, String>;

/// `app=web,version!=v1,tier in (front, back),!legacy`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    /// `key=value`, `key==value`, `key in (a, b)`.
    OneOf(String, Vec<String>),
    /// `key!=value`, `key notin (a, b)`: also where there is no such label, as Kubernetes has it.
    NoneOf(String, Vec<String>),
    Present(String),
    Absent(String),
}

impl Selector {
    pub fn parse(text: &str) -> Result<Self, String> {
        split(text)?.into_iter().map(requirement).collect::<Result<_, _>>().map(Self)
    }

    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::OneOf(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::NoneOf(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Requirement::Present(key) => labels.contains_key(key),
            Requirement::Absent(key) => !labels.contains_key(key),
        })
    }
}

/// At the commas that stand in no parentheses.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut inside, mut start) = (Vec::new(), false, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' | ')' if inside == (character == '(') => return Err(format!("the parentheses of {text:?} do not match")),
            '(' | ')' => inside = !inside,
            ',' if !inside => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err(format!("the parentheses of {text:?} do not match"));
    }
    parts.push(&text[start..]);
    Ok(parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect())
}

fn requirement(part: &str) -> Result<Requirement, String> {
    let wrong = || format!("{part:?} selects nothing; write app=web, app!=web, app in (web, api), app or !app");
    let key = |text: &str| {
        let text = text.trim();
        let good = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        good.then(|| text.to_owned()).ok_or_else(wrong)
    };
    if let Some((set, values)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let (name, word) = set.trim().rsplit_once(char::is_whitespace).ok_or_else(wrong)?;
        return match word {
            "in" => Ok(Requirement::OneOf(key(name)?, values)),
            "notin" => Ok(Requirement::NoneOf(key(name)?, values)),
            _ => Err(wrong()),
        };
    }
    if let Some((name, value)) = part.split_once("!=") {
        return Ok(Requirement::NoneOf(key(name)?, vec![value.trim().to_owned()]));
    }
    if let Some((name, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Requirement::OneOf(key(name)?, vec![value.trim().to_owned()]));
    }
    match part.strip_prefix('!') {
        Some(name) => Ok(Requirement::Absent(key(name)?)),
        None => Ok(Requirement::Present(key(part)?)),
    }
}

#[cfg(test)]
mod tests;
