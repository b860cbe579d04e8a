//! Whether somebody who says nothing is still there: what the kernel knows of his machine, looked at from time to time for as long as something is awaited of
//! him. Never knows what that is.

use super::{Stream, now};
use crate::{Error, limits};
use rustix::io::Errno;
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Whether a connection failed because nobody is there: we found it so, or the kernel.
pub fn is_gone(error: &io::Error) -> bool {
    let ours = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    ours.map_or(error.raw_os_error() == Some(Errno::TIMEDOUT.raw_os_error()), |inner| inner.gone)
}

thread_local! {
    /// Machines that acknowledged nothing when they were last looked for, and when that was.
    static SILENT: RefCell<Vec<(IpAddr, Instant)>> = const { RefCell::new(Vec::new()) };
}

/// Machines that acknowledged nothing of late, by what connections of this thread saw: who may ask another asks another. Nobody, as a rule.
pub fn silent() -> Vec<IpAddr> {
    SILENT.with_borrow_mut(|silent| {
        if silent.is_empty() {
            return Vec::new();
        }
        let now = now();
        silent.retain(|(_, seen)| now.saturating_duration_since(*seen) < limits::UNACKNOWLEDGED_KNOWN);
        silent.iter().map(|(machine, _)| *machine).collect()
    })
}

/// It acknowledges nothing.
fn missed(machine: IpAddr) {
    SILENT.with_borrow_mut(|silent| {
        silent.retain(|(known, _)| *known != machine);
        if silent.len() < limits::UNACKNOWLEDGED_MACHINES {
            silent.push((machine, now()));
        }
    });
}

fn heard(machine: IpAddr) {
    SILENT.with_borrow_mut(|silent| silent.retain(|(known, _)| *known != machine));
}

/// A connection that is doubted.
#[derive(Debug)]
pub struct Doubt {
    /// When it was sent what nothing followed since.
    since: Instant,
    pause: Duration,
}

impl Doubt {
    /// Of who has said nothing for [`limits::UNACKNOWLEDGED`]. From now on the kernel asks often whether the machine is there.
    pub fn of(stream: &Stream) -> Self {
        stream.doubt(true);
        let now = now();
        Self { since: now.checked_sub(limits::UNACKNOWLEDGED).unwrap_or(now), pause: limits::UNACKNOWLEDGED_PROBE / 2 }
    }

    /// For how long the machine at the other end has acknowledged nothing; not at all where it is there, however long its program thinks and however little it
    /// reads. Then it is looked for less and less often, for what it has acknowledged it has; where it goes after that the kernel finds out.
    pub fn look(&mut self, stream: &Stream) -> Duration {
        let unanswered = stream.unanswered(now().saturating_duration_since(self.since));
        self.pause = match unanswered {
            None => (self.pause * 2).min(limits::UNACKNOWLEDGED_LOOK),
            Some(_) => limits::UNACKNOWLEDGED_PROBE,
        };
        let silent = unanswered.unwrap_or_default();
        if silent >= limits::UNACKNOWLEDGED {
            machine(stream).into_iter().for_each(missed);
        }
        silent
    }

    /// Until the next look.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// Something came.
    pub fn end(self, stream: &Stream) {
        stream.doubt(false);
        machine(stream).into_iter().for_each(heard);
    }
}

fn machine(stream: &Stream) -> Option<IpAddr> {
    stream.peer_address().as_ref().map(SocketAddr::ip)
}

#[cfg(test)]
pub(crate) mod tests;
