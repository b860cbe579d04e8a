//! What is asked of `explain`: a request as one would give it to curl, and who sends it.

use crate::failure::{Failure, Outcome};
use model::{Method, RequestHead, Scheme};

#[derive(Debug)]
pub struct Question {
    pub head: RequestHead,
    /// Of the URL, or the scheme's own.
    pub port: u16,
    pub from: From,
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
    pub fn new(method: &str, url: &str, headers: &[String], from: From) -> Outcome<Self> {
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
        let mut host = authority.to_owned();
        for text in headers {
            let (name, value) = text.split_once(':').ok_or_else(|| Failure::usage(format!("{text:?} is not NAME:VALUE")))?;
            let (name, value) = (name.trim(), value.trim());
            if name.eq_ignore_ascii_case("host") {
                host = value.to_owned();
            } else {
                head.headers.push(name, value.as_bytes());
            }
        }
        head.set_authority(&host);
        if head.host().is_empty() {
            return Err(wrong(format!("{url} names no host")));
        }
        let port = head.port().unwrap_or(scheme.default_port());
        Ok(Self { head, port, from })
    }

    pub fn text(&self) -> String {
        format!("{} {}://{}{}", self.head.method.as_str(), self.head.scheme.as_str(), self.head.authority(), self.head.target())
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
