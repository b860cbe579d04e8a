//! Heads between the `http` crate's types, which `h2` speaks, and `model`'s. `:authority` is the one name of the host; a `Host` that says
//! another is refused, and one that says the same is dropped, so that no later reader can choose.

use super::Facing;
use crate::body::Length;
use crate::{Error, limits};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use model::http::is_token_byte;
use model::{Fault, HeaderBlock, Method, RequestHead, ResponseHead, Scheme, Version};

/// Fields that belong to an HTTP/1 hop and make an HTTP/2 message malformed (RFC 9113, section 8.2.2).
const OF_ONE_HOP: [&str; 6] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings"];

pub(super) fn take_request(parts: &http::request::Parts, into: &mut RequestHead) -> Result<(), Error> {
    let side = Facing::Downstream;
    into.clear();
    into.version = Version::Http2;
    into.method = Method::parse(parts.method.as_str()).ok_or_else(|| side.malformed("method is no token of at most 32 bytes"))?;
    into.protocol = parts.extensions.get::<::h2::ext::Protocol>().map(|p| p.as_str().into());
    if into.protocol.as_deref().is_some_and(|p| p.is_empty() || !p.bytes().all(is_token_byte)) {
        return Err(side.malformed(":protocol is no token"));
    }
    into.scheme = match parts.uri.scheme_str() {
        Some("https") => Scheme::Https,
        Some("http") | None => Scheme::Http,
        Some(_) => return Err(side.malformed("scheme is neither http nor https")),
    };
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(side.malformed("more than one Host")),
        (Some(host), None) => Some(host.to_str().map_err(|_| side.malformed("Host is no text"))?),
        (None, None) => None,
    };
    let authority = match (parts.uri.authority().map(http::uri::Authority::as_str), host) {
        (Some(a), Some(b)) if !a.eq_ignore_ascii_case(b) => return Err(side.malformed(":authority and Host differ")),
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => return Err(side.malformed("neither :authority nor Host")),
    };
    if authority.is_empty() || authority.parse::<http::uri::Authority>().is_err() || authority.contains('@') {
        return Err(side.malformed("authority is no host and port"));
    }
    into.set_authority(authority);
    let is_tunnel = into.method == Method::Connect && into.protocol.is_none();
    let target = parts.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    let fits = match target {
        "*" => into.method == Method::Options,
        _ if is_tunnel => target.is_empty(),
        _ => target.starts_with('/'),
    };
    if !fits {
        return Err(side.malformed(":path is no path"));
    }
    into.set_target(target);
    take_fields(&parts.headers, &mut into.headers, side)
}

pub(super) fn take_response(status: http::StatusCode, headers: &HeaderMap, into: &mut ResponseHead) -> Result<(), Error> {
    into.clear();
    into.version = Version::Http2;
    into.status = status.as_u16();
    take_fields(headers, &mut into.headers, Facing::Upstream)
}

fn take_fields(from: &HeaderMap, into: &mut HeaderBlock, side: Facing) -> Result<(), Error> {
    if from.len() > limits::HEADERS {
        let fault = if side == Facing::Downstream { Fault::HeadTooLarge } else { Fault::UpstreamProtocol };
        return Err(Error::new(fault, "too many header fields"));
    }
    if from.get_all(header::CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(side.malformed("more than one content-length"));
    }
    let mut cookies: Vec<u8> = Vec::new();
    for (name, value) in from {
        let bytes = value.as_bytes();
        if bytes.trim_ascii().len() != bytes.len() {
            return Err(side.malformed("field value begins or ends with white space"));
        }
        match name.as_str() {
            "host" => {}
            // Split for compression's sake (RFC 9113, section 8.2.3); an HTTP/1 application knows only one.
            "cookie" => {
                if !cookies.is_empty() {
                    cookies.extend_from_slice(b"; ");
                }
                cookies.extend_from_slice(bytes);
            }
            name => into.push(name, bytes),
        }
    }
    if !cookies.is_empty() {
        into.push("cookie", &cookies);
    }
    Ok(())
}

pub(super) fn take_trailers(from: &HeaderMap, side: Facing) -> Result<HeaderBlock, Error> {
    let mut into = HeaderBlock::default();
    take_fields(from, &mut into, side)?;
    // Fields that frame or route mean nothing behind a body, and to a less careful reader too much (RFC 9110, section 6.5.1).
    for name in ["content-length", "transfer-encoding"] {
        into.remove(name);
    }
    Ok(into)
}

pub(super) fn put_request(head: &RequestHead, length: Length) -> Result<http::Request<()>, Error> {
    let bad = |what: &'static str| Error::new(Fault::Internal, what);
    let mut request = http::Request::new(());
    *request.version_mut() = http::Version::HTTP_2;
    *request.method_mut() = http::Method::from_bytes(head.method.as_str().as_bytes()).map_err(|_| bad("method is no token"))?;
    let authority: http::uri::Authority = head.authority().parse().map_err(|_| bad("authority is no host and port"))?;
    let mut uri = http::uri::Parts::default();
    uri.authority = Some(authority);
    if head.method != Method::Connect || head.protocol.is_some() {
        uri.scheme = Some(if head.scheme == Scheme::Https { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP });
        uri.path_and_query = Some(head.target().parse().map_err(|_| bad("target is no path"))?);
    }
    *request.uri_mut() = Uri::from_parts(uri).map_err(|_| bad("authority and target make no URI"))?;
    if let Some(protocol) = &head.protocol {
        request.extensions_mut().insert(::h2::ext::Protocol::from(&**protocol));
    }
    let fields = request.headers_mut();
    put_fields(&head.headers, fields)?;
    // Content without a length says so by itself; CONNECT has none (RFC 9110, section 9.3.6).
    match length {
        Length::Known(n) => drop(fields.insert(header::CONTENT_LENGTH, n.into())),
        Length::None if fields.contains_key(header::CONTENT_LENGTH) => drop(fields.insert(header::CONTENT_LENGTH, 0.into())),
        Length::None | Length::Open => drop(fields.remove(header::CONTENT_LENGTH)),
    }
    // gRPC servers insist on it, and it may have been taken out as a field of the hop before.
    if head.is_grpc() {
        fields.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    Ok(request)
}

/// Where there is no body the length stays as it is: answers to HEAD and 304 tell that of a body which they do not have.
pub(super) fn put_response(head: &ResponseHead, length: Length) -> Result<http::Response<()>, Error> {
    let mut response = http::Response::new(());
    *response.version_mut() = http::Version::HTTP_2;
    *response.status_mut() = http::StatusCode::from_u16(head.status).map_err(|_| Error::new(Fault::Internal, "status is no status"))?;
    let fields = response.headers_mut();
    put_fields(&head.headers, fields)?;
    match length {
        Length::Known(n) => drop(fields.insert(header::CONTENT_LENGTH, n.into())),
        Length::Open => drop(fields.remove(header::CONTENT_LENGTH)),
        Length::None => {}
    }
    Ok(response)
}

pub(super) fn put_fields(from: &HeaderBlock, into: &mut HeaderMap) -> Result<(), Error> {
    for (name, value) in from.iter() {
        let lower = name.to_ascii_lowercase();
        let passes = match lower.as_str() {
            "host" => false,
            "te" => value.eq_ignore_ascii_case(b"trailers"),
            name => !OF_ONE_HOP.contains(&name),
        };
        if !passes {
            continue;
        }
        let bad = || Error::new(Fault::Internal, "header field cannot be sent");
        let name = HeaderName::from_bytes(lower.as_bytes()).map_err(|_| bad())?;
        let value = HeaderValue::from_bytes(value.trim_ascii()).map_err(|_| bad())?;
        into.try_append(name, value).map_err(|_| bad())?;
    }
    Ok(())
}

/// The length of a body as its head and the end of the stream say it.
pub(super) fn length(headers: &HeaderMap, is_end: bool) -> Length {
    let told = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|text| text.parse().ok());
    match (is_end, told) {
        (true, _) => Length::None,
        (false, Some(n)) => Length::Known(n),
        (false, None) => Length::Open,
    }
}
