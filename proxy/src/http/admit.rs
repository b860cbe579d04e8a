//! Whether a request may go to its service now: the breaker is asked, and a place among those under way is taken or waited for, for no longer than
//! the request's own time and never beyond [`limits::PENDING_TIME`]. It never knows which endpoint it will be.

use super::Stop;
use super::down::Sink;
use crate::guard::{self, Pass};
use crate::limits;
use crate::pick::Called;
use crate::worker::Worker;
use model::{Backend, Fault};
use routing::eject::Ended;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;
use transport::rt;

/// Leave to go; to hosts outside nobody needs one.
pub struct Leave(Option<Pass>);

impl Leave {
    /// How the last try ended.
    pub fn failed(&mut self, ended: Ended) {
        if let Some(pass) = &mut self.0 {
            pass.failed = (ended != Ended::Cancelled).then(|| ended.is_failure());
        }
    }
}

/// Whose budget retries come from: the service's, filled as a call enters, or for hosts outside the one that they share, filled here.
pub fn budget(worker: &Worker, backend: &Backend, called: Option<&Called<'_>>) -> Option<guard::Place> {
    let Backend::Service(to) = backend else {
        worker.budget(None, |budget| budget.deposit(rt::now()));
        return None;
    };
    Some(called.map_or_else(|| (to.service.clone(), None), |called| called.place.clone()))
}

pub async fn enter(
    worker: &Worker,
    called: Option<&Called<'_>>,
    caller: &mut Sink<'_>,
    deadline: Option<(Instant, Fault)>,
) -> Result<Leave, Stop> {
    let Some(Called { policy, place, .. }) = called else { return Ok(Leave(None)) };
    let by = policy.origin.as_ref().map(|origin| origin.object.to_string().into());
    let stop = |fault, why| Stop { by: by.clone(), ..Stop::new(fault, why) };
    let entered = worker.guard(place).enter(policy, rt::now());
    let mut pass = entered.map_err(|refused| stop(Fault::Overflow, refused.why))?;
    if pass.waits() {
        Box::pin(wait(&mut pass, caller, deadline)).await.map_err(|(fault, why)| stop(fault, why))?;
    }
    Ok(Leave(Some(pass)))
}

async fn wait(pass: &mut Pass, caller: &mut Sink<'_>, deadline: Option<(Instant, Fault)>) -> Result<(), (Fault, String)> {
    let now = rt::now();
    let longest = now + limits::PENDING_TIME;
    let (until, fault) = match deadline {
        Some((deadline, fault)) if deadline < longest => (deadline, fault),
        _ => (longest, Fault::Overflow),
    };
    let (mut placed, mut gone) = (pin!(pass.placed()), pin!(caller.gone()));
    let mut timer = pin!(rt::sleep(until.saturating_duration_since(now)));
    poll_fn(|cx| {
        if placed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if let Poll::Ready(error) = gone.as_mut().poll(cx) {
            return Poll::Ready(Err((error.fault, error.why.to_string())));
        }
        timer.as_mut().poll(cx).map(|()| Err((fault, "overloaded: no place among the requests under way became free in time".to_owned())))
    })
    .await
}
