//! The HTTP/1.1 client that the sample service and the load generator share. It plays a user's program: it obeys `http_proxy` (absolute
//! form and `Proxy-Authorization`, as curl does) and keeps connections alive. It never sends a request twice.

use crate::limits;
use base64::Engine;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use std::sync::Mutex;
use tokio::net::TcpStream;

type Sender = SendRequest<Full<Bytes>>;

/// Where connections go: the server itself, or the proxy that stands before it.
#[derive(Debug)]
pub struct Dial {
    address: String,
    authorization: Option<HeaderValue>,
    through_proxy: bool,
    idle: Mutex<Vec<Sender>>,
}

/// Why no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    Connect,
    Sending,
    Body,
}

impl Trouble {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Sending => "no_answer",
            Self::Body => "body_cut_short",
        }
    }
}

impl Dial {
    pub fn direct(authority: &str) -> Self {
        let address = if has_port(authority) { authority.to_owned() } else { format!("{authority}:80") };
        Self { address, authorization: None, through_proxy: false, idle: Mutex::default() }
    }

    /// From the value of `http_proxy`: `http://user:secret@127.0.0.1:15001/`. `None` where it is no such thing.
    pub fn proxy(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
        let (user, address) = match rest.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, rest),
        };
        let authorization = match user {
            Some(user) => {
                let encoded = base64::engine::general_purpose::STANDARD.encode(user);
                Some(HeaderValue::from_str(&format!("Basic {encoded}")).ok()?)
            }
            None => None,
        };
        has_port(address).then(|| Self { address: address.to_owned(), authorization, through_proxy: true, idle: Mutex::default() })
    }

    pub async fn connect(&self) -> Result<Sender, Trouble> {
        let stream = in_time(TcpStream::connect(&self.address)).await?;
        // Small requests must not wait for one another's acknowledgement; a socket that refuses the option still works.
        let _ = stream.set_nodelay(true);
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|_| Trouble::Connect)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Puts the request into the form that this way wants: absolute for a proxy, origin for a server.
    pub fn address(&self, request: &mut Request<Full<Bytes>>, target: &Uri) {
        if let Some(authority) = target.authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok()) {
            request.headers_mut().insert(hyper::header::HOST, authority);
        }
        if self.through_proxy {
            *request.uri_mut() = target.clone();
            if let Some(authorization) = &self.authorization {
                request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
            }
        } else {
            let path = target.path_and_query().map_or("/", |p| p.as_str());
            *request.uri_mut() = path.parse().unwrap_or_default();
        }
    }

    /// Sends over an idle connection or a new one and reads the whole answer.
    pub async fn send(&self, target: &Uri, mut request: Request<Full<Bytes>>) -> Result<(http::response::Parts, Bytes), Trouble> {
        self.address(&mut request, target);
        let pooled = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        let mut sender = match pooled {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await?,
        };
        let answer = exchange(&mut sender, request, || self.connect()).await?;
        if !sender.is_closed() {
            self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(sender);
        }
        Ok(answer)
    }
}

async fn in_time<T>(connecting: impl Future<Output = std::io::Result<T>>) -> Result<T, Trouble> {
    let connected = tokio::time::timeout(limits::CONNECT, connecting).await;
    connected.map_err(|_| Trouble::Connect)?.map_err(|_| Trouble::Connect)
}

/// One request and its whole answer. A connection that closed while it was idle gives the request back unsent; only then is another
/// connection tried, which is no retry: nothing had left this process.
pub async fn exchange<F>(
    sender: &mut Sender,
    request: Request<Full<Bytes>>,
    reconnect: impl FnOnce() -> F,
) -> Result<(http::response::Parts, Bytes), Trouble>
where
    F: Future<Output = Result<Sender, Trouble>>,
{
    if sender.ready().await.is_err() {
        *sender = reconnect().await?;
        return finish(sender.send_request(request).await).await;
    }
    match sender.try_send_request(request).await {
        Ok(answer) => finish(Ok(answer)).await,
        Err(mut error) => match error.take_message() {
            Some(unsent) => {
                *sender = reconnect().await?;
                finish(sender.send_request(unsent).await).await
            }
            None => Err(Trouble::Sending),
        },
    }
}

async fn finish(answer: hyper::Result<hyper::Response<hyper::body::Incoming>>) -> Result<(http::response::Parts, Bytes), Trouble> {
    let (head, body) = answer.map_err(|_| Trouble::Sending)?.into_parts();
    Ok((head, whole(body).await?))
}

/// All of a body that is no larger than [`limits::SAMPLE_BODY`].
pub async fn whole(body: hyper::body::Incoming) -> Result<Bytes, Trouble> {
    let body = Limited::new(body, limits::SAMPLE_BODY).collect().await.map_err(|_| Trouble::Body)?;
    Ok(body.to_bytes())
}

fn has_port(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests;
