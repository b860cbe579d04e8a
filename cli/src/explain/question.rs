//! What is asked of `explain`: a request as one would give it to curl, and who sends it.

use crate::failure::{Failure, Outcome};
use model::http::split_authority;
use model::{Method, RequestHead, Scheme};

#[derive(Debug)]
pub struct Question {
    pub head: RequestHead,
    /// Of the URL, or the scheme's own.
    pub port: u16,
    /// For https:// URLs: the server name that TLS asks for; none where the host is an address.
    pub sni: Option<Option<String>>,
    pub from: From,
    /// Bytes that nobody reads, as the URL has them, and no request.
    pub bytes: Option<Bytes>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes {
    pub datagrams: bool,
    url: String,
}

/// Where the request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// A workload of the mesh, in a namespace.
    Workload { namespace: String, name: String },
    /// A stranger, through a gateway.
    Gateway { namespace: String, name: String },
}

impl Question {
    pub fn new(method: &str, url: &str, headers: &[String], sni: Option<&str>, from: From) -> Outcome<Self> {
        let wrong = |what: String| Failure::usage(what).remedy("write it as organza explain GET http://catalog/items");
        let (scheme, rest) = match url.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            _ => return Err(wrong(format!("{url} is no http:// or https:// URL"))),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let mut head = RequestHead::default();
        head.scheme = scheme;
        head.method = Method::parse(method).ok_or_else(|| wrong(format!("{method:?} is no method")))?;
        head.set_target(target.split('#').next().unwrap_or("/"));
        let (dialled, _) = split_authority(authority);
        if sni.is_some() && scheme == Scheme::Http {
            return Err(wrong(format!("--sni is for https:// URLs, and {url} is none")));
        }
        let is_address = dialled.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
        let name = sni.map(str::to_owned).or_else(|| (!is_address).then(|| dialled.to_ascii_lowercase()));
        let sni = (scheme == Scheme::Https).then_some(name);
        let mut host = authority.to_owned();
        for text in headers {
            let (name, value) = text.split_once(':').ok_or_else(|| Failure::usage(format!("{text:?} is not NAME:VALUE")))?;
            let (name, value) = (name.trim(), value.trim());
            if name.eq_ignore_ascii_case("host") {
                if matches!(from, From::Workload { .. }) {
                    return Err(Failure::usage("a program's calls go where their URL says, whatever their Host field")
                        .remedy("write the host into the URL"));
                }
                host = value.to_owned();
            } else {
                head.headers.push(name, value.as_bytes());
            }
        }
        head.set_authority(&host);
        if head.host().is_empty() {
            return Err(wrong(format!("{url} names no host")));
        }
        // Where the connection goes, the URL says, whatever the host that is asked for.
        let port = split_authority(authority).1.unwrap_or(scheme.default_port());
        Ok(Self { head, port, sni, from, bytes: None })
    }

    /// `udp://:53` or `tcp://:9000`, at a gateway: bytes have no method.
    pub fn bytes(url: &str, from: From) -> Outcome<Self> {
        let wrong = |what: String| Failure::usage(what).remedy("write it as organza explain udp://:53 --from gateway/shop");
        let (datagrams, rest) = match url.split_once("://") {
            Some(("udp", rest)) => (true, rest),
            Some(("tcp", rest)) => (false, rest),
            _ => return Err(wrong(format!("{url:?} is no udp:// or tcp:// URL, and no method with one"))),
        };
        let port = split_authority(rest).1.ok_or_else(|| wrong(format!("{url} names no port")))?;
        if matches!(from, From::Workload { .. }) {
            return Err(wrong("bytes are explained where strangers bring them, at a gateway".to_owned()));
        }
        Ok(Self { head: RequestHead::default(), port, sni: None, from, bytes: Some(Bytes { datagrams, url: url.to_owned() }) })
    }

    pub fn text(&self) -> String {
        if let Some(bytes) = &self.bytes {
            return bytes.url.clone();
        }
        let RequestHead { method, scheme, .. } = &self.head;
        format!("{} {}://{}{}", method.as_str(), scheme.as_str(), self.head.authority(), self.head.target())
    }
}

impl From {
    /// `web`, `shop/web`, `gateway/shop`, `gateway/shop/front`.
    pub fn parse(text: &str, namespace: &str) -> Outcome<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let (gateway, rest) = match parts[..] {
            ["gateway", ref rest @ ..] if !rest.is_empty() => (true, rest.to_vec()),
            ref rest => (false, rest.to_vec()),
        };
        let (namespace, name) = match rest[..] {
            [name] if !name.is_empty() => (namespace.to_owned(), name.to_owned()),
            [namespace, name] if !name.is_empty() => (namespace.to_owned(), name.to_owned()),
            _ => {
                return Err(Failure::usage(format!("--from {text:?} names nobody"))
                    .remedy("write --from web, --from shop/web or --from gateway/shop"));
            }
        };
        Ok(if gateway { Self::Gateway { namespace, name } } else { Self::Workload { namespace, name } })
    }
}

impl std::fmt::Display for From {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Workload { namespace, name } => write!(f, "{namespace}/{name}"),
            Self::Gateway { namespace, name } => write!(f, "gateway/{namespace}/{name}"),
        }
    }
}
