//! Filters of rules and backends. What is not understood becomes an invalid filter, which answers 500 with its reason:
//! a filter is never left out.

use crate::kubernetes::{port, text};
use model::route::{HeaderEdits, PathEdit, Redirect, Rewrite};
use model::*;
use serde_json::Value;
use std::sync::Arc;

pub fn read(value: &Value) -> Filter {
    let body = |field: &str| value.get(field).cloned().unwrap_or_default();
    let read = match text(value, "type") {
        Some("RequestHeaderModifier") => Ok(Filter::RequestHeaders(edits(&body("requestHeaderModifier")))),
        Some("ResponseHeaderModifier") => Ok(Filter::ResponseHeaders(edits(&body("responseHeaderModifier")))),
        Some("RequestRedirect") => redirect(&body("requestRedirect")).map(Filter::Redirect),
        Some("URLRewrite") => rewrite(&body("urlRewrite")).map(Filter::Rewrite),
        other => Err(format!("filter {} is not supported", other.unwrap_or("without type"))),
    };
    read.unwrap_or_else(|message| Filter::Invalid { message: message.into() })
}

fn edits(value: &Value) -> HeaderEdits {
    let items = |field: &str| value.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let pairs = |field: &str| -> Vec<(Arc<str>, Arc<str>)> {
        items(field).iter().filter_map(|v| Some((text(v, "name")?.into(), text(v, "value")?.into()))).collect()
    };
    HeaderEdits { set: pairs("set"), add: pairs("add"), remove: items("remove").iter().filter_map(|v| v.as_str().map(Arc::from)).collect() }
}

fn path_edit(value: &Value) -> Result<Option<PathEdit>, String> {
    let Some(path) = value.get("path") else { return Ok(None) };
    match text(path, "type") {
        Some("ReplaceFullPath") => Ok(text(path, "replaceFullPath").map(|p| PathEdit::Full(p.into()))),
        Some("ReplacePrefixMatch") => Ok(text(path, "replacePrefixMatch").map(|p| PathEdit::Prefix(p.into()))),
        other => Err(format!("path modifier {} is not known", other.unwrap_or("without type"))),
    }
}

fn redirect(value: &Value) -> Result<Redirect, String> {
    let scheme = match text(value, "scheme") {
        None => None,
        Some("http") => Some(Scheme::Http),
        Some("https") => Some(Scheme::Https),
        Some(other) => return Err(format!("scheme {other} is not known")),
    };
    let code = match value.get("statusCode").map_or(Some(302), Value::as_u64) {
        Some(code @ (301 | 302 | 303 | 307 | 308)) => code as u16,
        _ => return Err("statusCode is no redirect".to_owned()),
    };
    Ok(Redirect { scheme, host: text(value, "hostname").map(Arc::from), path: path_edit(value)?, port: port(value, "port"), code })
}

fn rewrite(value: &Value) -> Result<Rewrite, String> {
    Ok(Rewrite { host: text(value, "hostname").map(Arc::from), path: path_edit(value)? })
}
