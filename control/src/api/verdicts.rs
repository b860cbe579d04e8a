//! What policies decided, asked for.

use super::{Api, Asked, known};
use crate::core::{now, seconds};
use axum::extract::State;
use axum::response::Response;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfPolicy {
    policy: Option<String>,
}

/// All of them, or one and its last hour; that time passes is no news.
pub(super) async fn verdicts(State(api): State<Api>, Asked(of): Asked<OfPolicy>) -> Response {
    let told = api.core.lock().verdicts.told(of.policy.as_deref(), seconds(now()));
    known::timeless(told, |told| &mut told.time)
}
