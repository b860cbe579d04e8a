//! From a try to the connection that carries it, for no longer than the request's time and for as long as its caller is there. Which endpoint it is was
//! decided before; it never knows what is sent.

use super::Stop;
use super::down::Sink;
use crate::pick::Picked;
use crate::upstream::{self, UpstreamKey, Way};
use crate::worker::Worker;
use futures_util::future::{Either, select};
use model::Fault;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};
use transport::{Error, rt};

/// The way to an endpoint; what fails may be tried again.
///
/// # Errors
/// If the caller is gone: a place may have to be waited for, and who is gone holds none. And where no connection may be opened any more: that says
/// nothing of the endpoint, and another try would wait as long.
pub async fn endpoint(
    worker: &Rc<Worker>,
    key: &UpstreamKey,
    fresh: bool,
    deadline: Option<(Instant, Fault)>,
    caller: &mut Sink<'_>,
    picked: Option<&Picked<'_>>,
) -> Result<Result<Way, Error>, Stop> {
    if !fresh && let Some(way) = worker.at_hand(key) {
        return Ok(Ok(way));
    }
    // Most requests find one at hand, and make no room for what others wait for.
    Box::pin(async {
        match select(pin!(within(deadline, worker.reach(key, fresh))), pin!(caller.gone())).await {
            Either::Left((Err(error), _)) if error.cause == Some(upstream::REFUSED) => {
                Err(Stop { by: picked.and_then(Picked::said_by), ..Stop::from(error) })
            }
            Either::Left((opened, _)) => Ok(opened),
            Either::Right((gone, _)) => Err(Stop::from(gone)),
        }
    })
    .await
}

/// What is left until the deadline; a request whose time is over is not sent.
pub fn in_time(deadline: Option<(Instant, Fault)>) -> Result<Option<Duration>, Stop> {
    let Some((at, fault)) = deadline else { return Ok(None) };
    match at.saturating_duration_since(rt::now()) {
        Duration::ZERO => Err(Stop::new(fault, "its time was over before it could be sent")),
        left => Ok(Some(left)),
    }
}

async fn within<T>(deadline: Option<(Instant, Fault)>, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match deadline {
        None => work.await,
        Some((at, fault)) => {
            let left = at.saturating_duration_since(rt::now());
            rt::timeout(left, work).await.unwrap_or_else(|| Err(Error::new(fault, "no connection in time")))
        }
    }
}
