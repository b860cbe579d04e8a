//! Filters of rules and backends. What is not understood is an error of its rule, which answers 500: a filter is never left out.

use super::{authorizer, backend};
use crate::kubernetes::{port, text};
use crate::limits;
use crate::wrong::{Within, Wrong};
use model::http::{is_token_byte, is_value_byte};
use model::route::{Cors, HeaderEdits, Mirror, PathEdit, Redirect, Rewrite};
use model::*;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Who reads, for references to mirrors.
pub struct Reader<'a> {
    pub from: &'a ObjectRef,
    pub protocol: RouteProtocol,
    pub world: &'a backend::World<'a>,
    /// Filters of one backend run when it is already chosen: they cannot answer in its place.
    pub of_backend: bool,
}

/// A mirror or an authorizer whose backend is broken is no error of the rule: its second part is the reference's.
pub fn read(value: &Value, reader: &Reader<'_>) -> Result<(Filter, Option<Wrong>), Wrong> {
    let kind = text(value, "type").unwrap_or("");
    let body = |field: &str| value.get(field).unwrap_or(&Value::Null);
    let http = reader.protocol == RouteProtocol::Http;
    check_body(kind, value)?;
    let filter = match kind {
        "RequestHeaderModifier" => Filter::RequestHeaders(edits(body("requestHeaderModifier")).at("requestHeaderModifier")?),
        "ResponseHeaderModifier" => Filter::ResponseHeaders(edits(body("responseHeaderModifier")).at("responseHeaderModifier")?),
        "RequestMirror" => {
            let (mirror, broken) = mirror(body("requestMirror"), reader).at("requestMirror")?;
            return Ok((Filter::Mirror(mirror), broken.map(|wrong| wrong.at("requestMirror"))));
        }
        "RequestRedirect" if http && !reader.of_backend => Filter::Redirect(redirect(body("requestRedirect")).at("requestRedirect")?),
        "URLRewrite" if http => Filter::Rewrite(rewrite(body("urlRewrite")).at("urlRewrite")?),
        "CORS" if http && !reader.of_backend => Filter::Cors(cors(body("cors")).at("cors")?),
        "ExternalAuth" if http && !reader.of_backend => {
            let (asking, broken) = authorizer::asking(body("externalAuth"), reader.from, reader.world).at("externalAuth")?;
            return Ok((Filter::ExternalAuth(Arc::new(asking)), broken.map(|wrong| wrong.at("externalAuth"))));
        }
        "RequestRedirect" | "CORS" | "ExternalAuth" if http => {
            return Err(Wrong::value(format!("A filter {kind} cannot belong to one backend."))
                .fix("Move it to the filters of the rule.")
                .at("type"));
        }
        "ExtensionRef" => {
            let reference = body("extensionRef");
            let (kind, name) = (text(reference, "kind").unwrap_or(""), text(reference, "name").unwrap_or(""));
            return Err(Wrong::value(format!("No filter {kind} {name} is known.")).at("extensionRef"));
        }
        other => return Err(Wrong::value(format!("A filter of type {other:?} is not supported here.")).at("type")),
    };
    Ok((filter, None))
}

/// The body that belongs to each type. One of another type would be left out, and a type without its body does nothing.
const BODIES: [(&str, &str); 8] = [
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("RequestMirror", "requestMirror"),
    ("RequestRedirect", "requestRedirect"),
    ("URLRewrite", "urlRewrite"),
    ("CORS", "cors"),
    ("ExternalAuth", "externalAuth"),
    ("ExtensionRef", "extensionRef"),
];

fn check_body(kind: &str, value: &Value) -> Result<(), Wrong> {
    let Some((_, own)) = BODIES.iter().find(|(known, _)| *known == kind) else { return Ok(()) };
    if !value.get(*own).is_some_and(Value::is_object) {
        return Err(Wrong::value(format!("A filter of type {kind} needs the field {own}.")).at("type"));
    }
    match BODIES.iter().find(|(known, body)| *known != kind && value.get(*body).is_some()) {
        Some((_, other)) => {
            Err(Wrong::value(format!("A filter of type {kind} has no field {other}.")).fix("Write a filter of its own.").at(other))
        }
        None => Ok(()),
    }
}

/// What must not stand together, or twice.
pub fn check_together(filters: &[Value]) -> Result<(), Wrong> {
    let place = |kind: &str| filters.iter().position(|f| text(f, "type") == Some(kind));
    if let (Some(_), Some(rewrite)) = (place("RequestRedirect"), place("URLRewrite")) {
        let wrong = Wrong::new("IncompatibleFilters", "RequestRedirect and URLRewrite cannot stand in one rule.");
        return Err(wrong.fix("Remove one of the two.").item(rewrite).at("filters"));
    }
    for once in ["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "CORS"] {
        let mut all = filters.iter().enumerate().filter(|(_, f)| text(f, "type") == Some(once));
        if let (Some(_), Some((second, _))) = (all.next(), all.next()) {
            let wrong = Wrong::new("IncompatibleFilters", format!("{once} stands twice in one rule."));
            return Err(wrong.fix("Merge the two.").item(second).at("filters"));
        }
    }
    Ok(())
}

fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn token(value: Option<&str>) -> Result<Arc<str>, Wrong> {
    let name = value.unwrap_or("");
    match !name.is_empty() && name.bytes().all(is_token_byte) {
        true => Ok(name.into()),
        false => Err(Wrong::value(format!("{name:?} is no name of a header."))),
    }
}

/// Names and values of header fields.
type Fields = Vec<(Arc<str>, Arc<str>)>;

fn edits(value: &Value) -> Result<HeaderEdits, Wrong> {
    let pairs = |field: &str| -> Result<Fields, Wrong> {
        let each = items(value, field).iter().enumerate().map(|(i, item)| {
            let name = token(text(item, "name")).at("name").item(i).at(field)?;
            let content = text(item, "value").unwrap_or("");
            match content.bytes().all(is_value_byte) {
                true => Ok((name, content.into())),
                false => Err(Wrong::value(format!("The value of header {name} holds a control character.")).at("value").item(i).at(field)),
            }
        });
        each.collect()
    };
    let remove = items(value, "remove").iter().enumerate().map(|(i, name)| token(name.as_str()).item(i).at("remove"));
    Ok(HeaderEdits { set: pairs("set")?, add: pairs("add")?, remove: remove.collect::<Result<_, _>>()? })
}

fn path_edit(value: &Value) -> Result<Option<PathEdit>, Wrong> {
    let Some(path) = value.get("path") else { return Ok(None) };
    let replacement = |field: &str| {
        let new = text(path, field).ok_or_else(|| Wrong::value(format!("{field} is missing.")))?;
        match new.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            true => Ok(Arc::<str>::from(new)),
            false => Err(Wrong::value(format!("The path {new:?} holds what no path can.")).at(field)),
        }
    };
    let edit = match text(path, "type") {
        Some("ReplaceFullPath") => replacement("replaceFullPath").map(PathEdit::Full),
        Some("ReplacePrefixMatch") => replacement("replacePrefixMatch").map(PathEdit::Prefix),
        other => Err(Wrong::value(format!("The path modifier type {:?} is not known.", other.unwrap_or(""))).at("type")),
    };
    edit.map(Some).at("path")
}

fn host(value: &Value) -> Result<Option<Arc<str>>, Wrong> {
    let Some(name) = text(value, "hostname") else { return Ok(None) };
    match Hostname::parse(name) {
        Ok(name) => Ok(Some(name.as_str().into())),
        Err(e) => Err(Wrong::value(format!("The host name {name:?} {e}.")).at("hostname")),
    }
}

fn redirect(value: &Value) -> Result<Redirect, Wrong> {
    let scheme = match text(value, "scheme") {
        None => None,
        Some("http") => Some(Scheme::Http),
        Some("https") => Some(Scheme::Https),
        Some(other) => return Err(Wrong::value(format!("The scheme {other} is not supported.")).fix("Use http or https.").at("scheme")),
    };
    let code = match value.get("statusCode").map_or(Some(302), Value::as_u64) {
        Some(code @ (301 | 302 | 303 | 307 | 308)) => code as u16,
        _ => return Err(Wrong::value("The status is no redirect.").fix("Use 301, 302, 303, 307 or 308.").at("statusCode")),
    };
    Ok(Redirect { scheme, host: host(value)?, path: path_edit(value)?, port: port(value, "port"), code })
}

fn rewrite(value: &Value) -> Result<Rewrite, Wrong> {
    Ok(Rewrite { host: host(value)?, path: path_edit(value)? })
}

fn mirror(value: &Value, reader: &Reader<'_>) -> Result<(Mirror, Option<Wrong>), Wrong> {
    let fraction = match (value.get("percent"), value.get("fraction")) {
        (None, None) => (1, 1),
        (Some(percent), None) => match percent.as_u64() {
            Some(percent @ 0..=100) => (percent as u32, 100),
            _ => return Err(Wrong::value("The percentage is not from 0 to 100.").at("percent")),
        },
        (None, Some(fraction)) => {
            let part = |field: &str| fraction.get(field).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
            match (part("numerator"), fraction.get("denominator").map_or(Some(100), |_| part("denominator"))) {
                (Some(numerator), Some(denominator)) if denominator > 0 && numerator <= denominator => (numerator, denominator),
                _ => return Err(Wrong::value("The fraction is not from 0 to 1.").at("fraction")),
            }
        }
        (Some(_), Some(_)) => return Err(Wrong::value("Percent and fraction exclude each other.").at("fraction")),
    };
    let found = backend::resolve(value.get("backendRef").unwrap_or(&Value::Null), reader.from, reader.protocol, reader.world);
    Ok(match found.at("backendRef") {
        Ok(backend) => (Mirror { backend, fraction }, None),
        Err(wrong) => (Mirror { backend: backend::invalid(&wrong), fraction }, Some(wrong)),
    })
}

fn cors(value: &Value) -> Result<Cors, Wrong> {
    let list = |field: &str, good: fn(&str) -> bool, what: &str| -> Result<Vec<Arc<str>>, Wrong> {
        let each = items(value, field).iter().enumerate().map(|(i, item)| match item.as_str().filter(|text| good(text)) {
            Some(text) => Ok(text.into()),
            None => Err(Wrong::value(format!("{item} is no {what}.")).item(i).at(field)),
        });
        each.collect()
    };
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_token_byte);
    let max_age = match value.get("maxAge").map(Value::as_u64) {
        None => limits::DEFAULT_CORS_MAX_AGE,
        Some(Some(seconds @ 1..)) => Duration::from_secs(seconds),
        Some(_) => return Err(Wrong::value("The age is no whole number of seconds above 0.").at("maxAge")),
    };
    Ok(Cors {
        allow_origins: list("allowOrigins", is_origin, "origin (`https://HOST`, `https://*.DOMAIN` or `*`)")?,
        allow_methods: list("allowMethods", is_token, "method")?,
        allow_headers: list("allowHeaders", is_token, "name of a header")?,
        expose_headers: list("exposeHeaders", is_token, "name of a header")?,
        allow_credentials: value.get("allowCredentials").and_then(Value::as_bool).unwrap_or(false),
        max_age,
    })
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return text == "*" };
    let (host, port) = http::split_authority(authority);
    let port = authority.len() == host.len() || port.is_some_and(|port| port > 0);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
    let host = address || matches!(HostPattern::parse(host), Ok(HostPattern::Exact(_) | HostPattern::Suffix(_)));
    matches!(scheme, "http" | "https") && port && host
}
