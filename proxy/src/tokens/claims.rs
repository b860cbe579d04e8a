//! What a verified token says, as policies, limits and applications read it: claims by their path, each as the texts that stand there.

use crate::limits;
use policy::{Claim, Token};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Claims that are neither texts nor lists of them, nor lie too deep, say nothing.
pub fn token(claims: &Map<String, Value>) -> Token {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or("").into();
    let mut all = Vec::new();
    gather(claims, &mut Vec::new(), &mut all);
    Token { issuer: text("iss"), subject: text("sub"), audiences: claims.get("aud").map(texts).unwrap_or_default(), claims: all }
}

fn gather(claims: &Map<String, Value>, path: &mut Vec<Arc<str>>, all: &mut Vec<Claim>) {
    for (name, value) in claims {
        if all.len() >= limits::CLAIMS {
            return;
        }
        path.push(name.as_str().into());
        match value {
            Value::Object(inner) if path.len() < limits::CLAIM_DEPTH => gather(inner, path, all),
            Value::Object(_) => {}
            value => all.push(Claim { path: path.clone(), texts: texts(value) }),
        }
        path.pop();
    }
}

fn texts(value: &Value) -> Vec<Arc<str>> {
    match value {
        Value::Array(all) => all.iter().filter_map(one).collect(),
        value => one(value).into_iter().collect(),
    }
}

fn one(value: &Value) -> Option<Arc<str>> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(yes) => Some(if *yes { "true".into() } else { "false".into() }),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What stands at a path, as the value of a field: a list with commas between. Nothing where it is not there, is too long, or is no value of a field.
pub fn header(token: &Token, path: &[Arc<str>]) -> Option<String> {
    let claim = token.claims.iter().find(|claim| claim.path == path)?;
    let value = claim.texts.join(",");
    (!value.is_empty() && value.len() <= limits::CLAIM_HEADER_BYTES && value.bytes().all(model::http::is_value_byte)).then_some(value)
}

#[cfg(test)]
mod tests;
