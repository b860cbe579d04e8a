//! Who may what: the least role that each question of the API takes, and the line that is written when something is shown or changed that not every
//! viewer may. What no line here names, no browser may.

use crate::kubernetes::callers::{self, Callers};
use crate::registry::Registrant;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use wire::api::{DashboardQuery, DashboardRole as Role, Refused, path};

/// What everybody may ask who was let in.
const TELLS: &[&str] = &[
    path::STATUS,
    path::OBJECTS,
    path::PROXIES,
    path::SERVICES,
    path::ROUTES,
    path::EDGES,
    path::CALLS,
    path::CONSUMERS,
    path::VERDICTS,
    path::GRAPH,
    path::HISTORY,
    path::LONG_HISTORY,
    path::PAGE,
    path::WORKLOADS,
    path::PROBLEMS,
    path::EVENTS,
    path::PAST_EVENTS,
    path::FLOWS,
    path::REQUESTS,
    path::TRACES,
    path::CERTIFICATES,
    path::ROOTS,
];

/// The least role for a question; `None` where no browser may ask it.
pub fn least(method: &Method, asked: &str) -> Option<Role> {
    let below = |prefix: &str| asked.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/'));
    match *method {
        // A question about what is there is the same as that for it.
        Method::GET | Method::HEAD => match asked {
            path::TAP => Some(Role::Tapper),
            path::TOKENS => Some(Role::Admin),
            // What programs say of themselves may be anything.
            path::LOGS => Some(Role::Operator),
            _ if below(path::PROXIES).is_some_and(|rest| rest.ends_with("/resources")) => Some(Role::Operator),
            _ if TELLS.contains(&asked) || below(path::TRACES).is_some() => Some(Role::Viewer),
            // The page itself.
            _ => (!asked.starts_with("/v1/")).then_some(Role::Viewer),
        },
        Method::POST => match asked {
            path::DIFF => Some(Role::Operator),
            path::ROTATE | path::TOKENS | path::DASHBOARD => Some(Role::Admin),
            _ => None,
        },
        Method::DELETE => below(path::TOKENS).map(|_| Role::Admin),
        _ => None,
    }
}

/// Whether it is written down who asked.
fn is_audited(method: &Method, asked: &str, status: StatusCode) -> bool {
    // Processes that say that they are there still, or want their next certificate, are no news; that one was taken in again by it is.
    let is_routine = *method == Method::PUT && status != StatusCode::CREATED || asked == path::SIGN;
    let only_tells = matches!(*method, Method::GET | Method::HEAD) && asked != path::TAP;
    asked.starts_with("/v1/") && !is_routine && !only_tells
}

/// What was asked, with what was chosen by it: whom a tap watches, as what a browser is let in. No question that is audited has a secret there.
#[derive(Debug, Clone)]
pub struct Question {
    method: Method,
    uri: Uri,
}

impl Question {
    pub fn of(request: &Request) -> Self {
        Self { method: request.method().clone(), uri: request.uri().clone() }
    }

    /// The same where this name stands before it, as it does at the door.
    pub fn below(mount: &str, request: &Request) -> Option<Self> {
        let asked = request.uri().path_and_query()?.as_str().strip_prefix('/')?.strip_prefix(mount)?;
        Some(Self { method: request.method().clone(), uri: asked.parse().ok()? })
    }

    pub fn least(&self) -> Option<Role> {
        least(&self.method, self.uri.path())
    }

    /// The same where who asks need not be let in first: a link is for who may be what it makes of a browser.
    pub fn takes(&self) -> Option<Role> {
        let is_link = self.method == Method::POST && self.uri.path() == path::DASHBOARD;
        match axum::extract::Query::<DashboardQuery>::try_from_uri(&self.uri) {
            Ok(query) if is_link => Some(query.0.role),
            _ => self.least(),
        }
    }

    /// It gives rights away: to have come here is not enough.
    fn takes_a_token(&self) -> bool {
        self.least() == Some(Role::Admin)
    }

    /// What is written down of it, with what became of it; `None` where nothing is.
    pub(super) fn verdict(&self, status: StatusCode) -> Option<(String, &'static str)> {
        let what = || format!("{} {}", self.method, self.uri.path_and_query().map_or("", |what| what.as_str()));
        is_audited(&self.method, self.uri.path(), status).then(|| {
            let verdict = match status {
                StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => "denied",
                status if status.is_success() => "done",
                _ => "failed",
            };
            (what(), verdict)
        })
    }

    /// One line for each tap and each change, whatever came of it.
    pub fn audit(&self, who: &str, status: StatusCode) {
        if let Some((what, verdict)) = self.verdict(status) {
            tracing::info!(target: "audit", who, what, verdict, status = status.as_u16(), "audit");
        }
    }
}

/// Whom the API server of a cluster let through to this pod: he may ask, and who that is stands in its own audit log. Who brings a token is judged by it, and may
/// what it allows.
pub async fn by_the_cluster(State(callers): State<Option<Arc<Callers>>>, request: Request, next: Next) -> Response {
    let question = Question::of(&request);
    let (who, refused) = match admit(callers.as_deref(), request.headers(), &question).await {
        Ok(who) => (who, None),
        Err((who, status, why)) => (who, Some((status, why))),
    };
    let answer = match refused {
        None => next.run(request).await,
        Some((status, why)) => (status, axum::Json(Refused { error: why, fix: Some(RIGHTS.into()) })).into_response(),
    };
    question.audit(&who, answer.status());
    answer
}

const RIGHTS: &str = "docs/kubernetes.md says which rights each question takes; what is typed in the pod takes none of them";

/// Who asks, if he may; else who that is, and why he may not.
async fn admit(callers: Option<&Callers>, headers: &HeaderMap, question: &Question) -> Result<String, (String, StatusCode, String)> {
    let nobody = |status, why: String| ("whom the API server let through".to_owned(), status, why);
    let Some(shown) = headers.get(header::AUTHORIZATION) else {
        return match question.takes_a_token() {
            false => Ok("whom the API server let through".to_owned()),
            true => Err(nobody(StatusCode::UNAUTHORIZED, "this takes a token of somebody who may".into())),
        };
    };
    let token = shown.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).map(str::trim);
    let token = token.ok_or_else(|| nobody(StatusCode::UNAUTHORIZED, "only bearer tokens are understood".into()))?;
    let callers = callers.ok_or_else(|| nobody(StatusCode::UNAUTHORIZED, "nobody here can tell whose a token is".into()))?;
    let least = question.takes().ok_or_else(|| nobody(StatusCode::NOT_FOUND, "there is no such path".into()))?;
    callers.judge(token, least).await.map_err(|refused| {
        let status = match &refused {
            callers::Refused::Unanswered(_) => StatusCode::SERVICE_UNAVAILABLE,
            callers::Refused::Unknown(_) => StatusCode::UNAUTHORIZED,
            callers::Refused::MayNot { user, .. } => return (user.clone(), StatusCode::FORBIDDEN, refused.to_string()),
        };
        nobody(status, refused.to_string())
    })
}

/// Of the socket: its owner may everything.
pub async fn by_the_owner(request: Request, next: Next) -> Response {
    let pid = request.extensions().get::<Option<Registrant>>().and_then(|process| process.as_ref().map(|process| process.pid));
    let who = pid.map_or_else(|| "owner".to_owned(), |pid| format!("owner, process {pid}"));
    let question = Question::of(&request);
    let answer = next.run(request).await;
    question.audit(&who, answer.status());
    answer
}

#[cfg(test)]
mod tests;
