//! Speaks to a control plane through its Unix socket (and to a proxy's admin socket, which is of the same make), or through the API server of a cluster to
//! the pod that leads, to where it answers questions or to its socket: HTTP/1.1, JSON. Says "not reachable" in one way for all commands.

use crate::failure::{Failure, Outcome};
use crate::limits;
use crate::patience;
use crate::place::Place;
use bytes::Bytes;
use control::kubernetes::{Leader, QUESTIONS};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

#[derive(Debug, Clone)]
enum Way {
    Socket(PathBuf),
    /// Where it answers questions, and the token of whoever asks, where that is to be judged.
    Leader(Leader, Option<Bearer>),
    Inside(Leader),
}

/// A secret: it is shown to nobody but whom it is for.
#[derive(Clone)]
pub struct Bearer(String);

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer")
    }
}

#[derive(Debug, Clone)]
pub struct Client {
    way: Way,
    /// What the user calls what is behind the socket.
    whose: String,
    remedy: Remedy,
}

/// What to do where nobody answers.
#[derive(Debug, Clone)]
enum Remedy {
    Said(String),
    /// Which meshes are up is asked only then: to ask takes their locks for a moment.
    Of(Place),
}

impl Client {
    pub fn control(place: &Place) -> Self {
        Self { way: Way::Socket(place.control_socket()), whose: format!("mesh {:?}", place.mesh), remedy: Remedy::Of(place.clone()) }
    }

    pub fn leader(leader: Leader) -> Self {
        let whose = format!("control plane {}", leader.pod);
        Self { way: Way::Leader(leader, None), whose, remedy: Remedy::Said("organza check --kubernetes says what is wrong".into()) }
    }

    /// For what that token allows.
    pub fn by_token(leader: Leader, token: String) -> Self {
        Self { way: Way::Leader(leader.clone(), Some(Bearer(token))), ..Self::leader(leader) }
    }

    /// To the socket of its owner, which does what only an owner may.
    pub fn inside(leader: Leader) -> Self {
        Self { way: Way::Inside(leader.clone()), ..Self::leader(leader) }
    }

    pub fn admin(socket: &Path, proxy: &str) -> Self {
        Self {
            way: Way::Socket(socket.to_owned()),
            whose: format!("proxy {proxy:?}"),
            remedy: Remedy::Said(format!("read its log: organza logs {proxy}")),
        }
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Outcome<T> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::problem("cannot write the question").why(error))?;
        self.ask(Method::POST, path, body.into()).await
    }

    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Outcome<T> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::problem("cannot write the question").why(error))?;
        self.ask(Method::PUT, path, body.into()).await
    }

    pub async fn delete(&self, path: &str) -> Outcome {
        self.bytes(Method::DELETE, path, Bytes::new()).await.map(drop)
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Outcome<T> {
        let bytes = self.bytes(method, path, body).await?;
        let bytes = if bytes.is_empty() { Bytes::from_static(b"null") } else { bytes };
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::problem(format!("{} answered {path} with what this organza does not understand", self.whose))
                .why(error)
                .remedy("use the same version of organza for both")
        })
    }

    pub async fn text(&self, path: &str) -> Outcome<String> {
        Ok(String::from_utf8_lossy(&self.bytes(Method::GET, path, Bytes::new()).await?).into_owned())
    }

    async fn bytes(&self, method: Method, path: &str, body: Bytes) -> Outcome<Bytes> {
        let late = || Failure::unreachable(format!("{} does not answer", self.whose)).why(format!("nothing within {:?}", limits::ANSWER));
        let whole = async {
            let answer = self.open(method, path, body).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), limits::ANSWER_BYTES).collect().await;
            let bytes = body.map_err(|error| Failure::unreachable(format!("{} broke off its answer", self.whose)).why(error))?.to_bytes();
            if status.is_success() { Ok(bytes) } else { Err(refusal(path, status, &bytes)) }
        };
        tokio::time::timeout(limits::ANSWER, whole).await.map_err(|_| late())?
    }

    /// The answer with its body still coming, for streams of events.
    pub async fn open(&self, method: Method, path: &str, body: Bytes) -> Outcome<Response<Incoming>> {
        let mut builder =
            Request::builder().method(method).uri(path).header("host", control::api::HOST).header("content-type", "application/json");
        if let Way::Leader(_, Some(Bearer(token))) = &self.way {
            builder = builder.header("authorization", format!("Bearer {token}"));
        }
        let request = builder.body(Full::new(body)).map_err(|error| Failure::problem(format!("{path} is no path")).why(error))?;
        match &self.way {
            Way::Socket(socket) => {
                let gone = |error: &dyn std::fmt::Display| self.gone(format!("{}: {error}", socket.display()));
                let stream = UnixStream::connect(socket).await.map_err(|error| gone(&error))?;
                send(stream, request).await.map_err(|error| gone(&error))
            }
            Way::Leader(leader, _) => {
                let (stream, broken) = leader.open(QUESTIONS).await.map_err(|error| self.gone(error))?;
                self.through(stream, request, broken).await
            }
            Way::Inside(leader) => {
                let (stream, failed) = leader.inside().await.map_err(|error| self.gone(error))?;
                self.through(stream, request, failed).await
            }
        }
    }

    /// Why it broke off, the API server says beside it.
    async fn through(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
        why: impl Future<Output = Option<String>>,
    ) -> Outcome<Response<Incoming>> {
        let error = match send(stream, request).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match patience::reason(why).await {
            Some(why) => Err(self.gone(why)),
            None => Err(self.gone(error)),
        }
    }

    fn gone(&self, why: impl std::fmt::Display) -> Failure {
        let remedy = match &self.remedy {
            Remedy::Said(remedy) => remedy.clone(),
            Remedy::Of(place) => place.remedy(),
        };
        Failure::unreachable(format!("{} is not reachable", self.whose)).why(why).remedy(remedy)
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, hyper::Error> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    sender.send_request(request).await
}

fn refusal(path: &str, status: hyper::StatusCode, body: &[u8]) -> Failure {
    match serde_json::from_slice::<wire::api::Refused>(body) {
        Ok(refused) => Failure { remedy: refused.fix, ..Failure::problem(refused.error) },
        Err(_) => Failure::problem(format!("{path} answered {status}")).why(String::from_utf8_lossy(body).trim()),
    }
}

#[cfg(test)]
mod tests;
