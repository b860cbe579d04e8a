//! Whether somebody who says nothing is still there: what the kernel knows of his machine, looked at from time to time for as long as something is awaited of
//! him. Never knows what that is.

use super::Stream;
use crate::{Error, limits};
use rustix::io::Errno;
use std::io;
use std::time::Duration;

/// Whether a connection failed because nobody is there: we found it so, or the kernel.
pub fn is_gone(error: &io::Error) -> bool {
    let ours = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    ours.map_or(error.raw_os_error() == Some(Errno::TIMEDOUT.raw_os_error()), |inner| inner.gone)
}

/// A connection that is doubted.
#[derive(Debug)]
pub struct Doubt {
    pause: Duration,
}

impl Doubt {
    /// From now on the kernel asks often whether the machine is there.
    pub fn of(stream: &Stream) -> Self {
        stream.doubt(true);
        Self { pause: limits::UNACKNOWLEDGED_PROBE / 2 }
    }

    /// For how long the machine at the other end has acknowledged nothing; not at all where it is there, however long its program thinks and however little it
    /// reads. Then it is looked for less and less often, for what it has acknowledged it has; where it goes after that the kernel finds out.
    pub fn look(&mut self, stream: &Stream) -> Duration {
        let silent = stream.unanswered().unwrap_or_default();
        self.pause = match silent.is_zero() {
            true => (self.pause * 2).min(limits::UNACKNOWLEDGED_LOOK),
            false => limits::UNACKNOWLEDGED_PROBE,
        };
        silent
    }

    /// Until the next look.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// Something came.
    pub fn end(self, stream: &Stream) {
        stream.doubt(false);
    }
}

#[cfg(test)]
pub(crate) mod tests;
