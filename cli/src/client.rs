//! Speaks to a control plane through its Unix socket (and to a proxy's admin socket, which is of the same make), or through the API server of a cluster to
//! the pod that leads, to where it answers questions or to its socket: HTTP/1.1, JSON. Says "not reachable" in one way for all commands.

use crate::ask_flag::{found, leaderless};
use crate::failure::{Code, Failure, Outcome};
use crate::limits;
use crate::patience;
use crate::place::Place;
use bytes::Bytes;
use control::kubernetes::{Leader, QUESTIONS, ReachError};
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
    /// Whether another one is waited for where who leads is away.
    is_patient: bool,
}

/// Why there is no answer.
#[derive(Debug)]
enum Unanswered {
    /// Who leads may be there no more, and has changed nothing for it.
    Away(Failure),
    Failed(Failure),
}

impl Unanswered {
    fn of(passes: bool, failure: Failure) -> Self {
        if passes { Self::Away(failure) } else { Self::Failed(failure) }
    }
}

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        let (Unanswered::Away(failure) | Unanswered::Failed(failure)) = unanswered;
        failure
    }
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
        Self {
            way: Way::Socket(place.control_socket()),
            whose: format!("mesh {:?}", place.mesh),
            remedy: Remedy::Of(place.clone()),
            is_patient: false,
        }
    }

    pub fn leader(leader: Leader) -> Self {
        let whose = format!("control plane {}", leader.pod);
        let remedy = Remedy::Said("organza check --kubernetes says what is wrong".into());
        Self { way: Way::Leader(leader, None), whose, remedy, is_patient: false }
    }

    /// Waits for another one to lead where who leads is away: one that ended without a word holds its lease for a while.
    pub fn patient(self) -> Self {
        Self { is_patient: true, ..self }
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
            is_patient: false,
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
        self.asked(|client| {
            let (method, body) = (method.clone(), body.clone());
            async move { client.bytes_once(method, path, body).await }
        })
        .await
    }

    /// The answer with its body still coming, for streams of events.
    pub async fn open(&self, method: Method, path: &str, body: Bytes) -> Outcome<Response<Incoming>> {
        self.asked(|client| {
            let (method, body) = (method.clone(), body.clone());
            async move { client.open_once(method, path, body).await }
        })
        .await
    }

    async fn asked<T, F>(&self, ask: impl Fn(Self) -> F) -> Outcome<T>
    where
        F: Future<Output = Result<T, Unanswered>>,
    {
        // In boxes: what asks holds what is asked twice, and would be as large wherever it is held.
        let first = Box::pin(ask(self.clone())).await;
        if !self.is_patient || !matches!(first, Err(Unanswered::Away(_))) {
            return first.map_err(Failure::from);
        }
        let say = || eprintln!("organza: {} is not reached; another to lead is waited for, {:?} at most", self.whose, limits::LEADER);
        let again = || Box::pin(async { ask(self.again().await?).await });
        Box::pin(patience::until_one_leads(again, |why| matches!(why, Unanswered::Away(_)), say)).await.map_err(Failure::from)
    }

    /// To whoever leads by now.
    async fn again(&self) -> Result<Self, Unanswered> {
        let (Way::Leader(leader, _) | Way::Inside(leader)) = &self.way else { return Ok(self.clone()) };
        let leader = found(leader.again()).await.map_err(|why| Unanswered::of(why.passes(), leaderless(why)))?;
        let way = match &self.way {
            Way::Leader(_, bearer) => Way::Leader(leader.clone(), bearer.clone()),
            _ => Way::Inside(leader.clone()),
        };
        Ok(Self { way, ..Self::leader(leader) })
    }

    async fn bytes_once(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Unanswered> {
        let is_question = method == Method::GET;
        let late = || Failure::unreachable(format!("{} does not answer", self.whose)).why(format!("nothing within {:?}", limits::ANSWER));
        let whole = async {
            let answer = self.open_once(method, path, body).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), limits::ANSWER_BYTES).collect().await;
            let bytes = body.map_err(|error| Failure::unreachable(format!("{} broke off its answer", self.whose)).why(error))?.to_bytes();
            // Who has no answer to a question may begin, or be about to end.
            let passes = is_question && status == hyper::StatusCode::SERVICE_UNAVAILABLE;
            if status.is_success() { Ok(bytes) } else { Err(Unanswered::of(passes, refusal(path, status, &bytes))) }
        };
        tokio::time::timeout(limits::ANSWER, whole).await.map_err(|_| late())?
    }

    async fn open_once(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, Unanswered> {
        // What changes nothing may be asked twice.
        let is_question = method == Method::GET;
        let mut builder =
            Request::builder().method(method).uri(path).header("host", control::api::HOST).header("content-type", "application/json");
        if let Way::Leader(_, Some(Bearer(token))) = &self.way {
            builder = builder.header("authorization", format!("Bearer {token}"));
        }
        let request = builder.body(Full::new(body)).map_err(|error| Failure::problem(format!("{path} is no path")).why(error))?;
        let answer = match &self.way {
            Way::Socket(socket) => {
                let gone = |error: &dyn std::fmt::Display| self.gone(format!("{}: {error}", socket.display()));
                let stream = UnixStream::connect(socket).await.map_err(|error| gone(&error))?;
                return Ok(send(stream, request).await.map_err(|error| gone(&error))?);
            }
            Way::Leader(leader, _) => {
                let (stream, broken) = self.reached(leader.open(QUESTIONS)).await?;
                self.through(stream, request, broken).await
            }
            Way::Inside(leader) => {
                let (stream, failed) = self.reached(leader.inside()).await?;
                self.through(stream, request, failed).await
            }
        };
        answer.map_err(|failure| Unanswered::of(is_question, failure))
    }

    /// The API server may itself wait for a machine that is there no more.
    async fn reached<T>(&self, opening: impl Future<Output = Result<T, ReachError>>) -> Result<T, Unanswered> {
        match tokio::time::timeout(limits::CONNECT, opening).await {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(why)) => Err(Unanswered::of(why.passes(), self.gone(why))),
            Err(_) => Err(Unanswered::Away(self.gone(format!("no connection within {:?}", limits::CONNECT)))),
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
    let refused = match serde_json::from_slice::<wire::api::Refused>(body) {
        Ok(refused) => Failure { remedy: refused.fix, ..Failure::problem(refused.error) },
        Err(_) => Failure::problem(format!("{path} answered {status}")).why(String::from_utf8_lossy(body).trim()),
    };
    match status {
        // Nobody said no: there is no answer yet.
        hyper::StatusCode::SERVICE_UNAVAILABLE => Failure { code: Code::Unreachable, ..refused },
        _ => refused,
    }
}

#[cfg(test)]
mod tests;
