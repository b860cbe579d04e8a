//! A connection that is open, as whoever may have to end it sees it: it is not kept open by this, and whoever reads or writes it is told why it ended.
//! Whether it has to end is decided elsewhere.

use crate::h1;
use crate::h2;
use crate::rt::Stream;
use std::cell::RefCell;
use std::rc::Weak;

#[derive(Debug)]
pub enum Open {
    /// One exchange after another, or bytes.
    Alone(Weak<RefCell<Stream>>),
    /// HTTP/2: all that it carries ends with it.
    Shared(h2::Ender),
}

impl Open {
    pub fn of(connection: &h1::Connection) -> Self {
        Self::Alone(connection.reader.recv().watched())
    }

    pub fn shared(client: &h2::Client) -> Self {
        Self::Shared(client.ender())
    }

    pub fn is_open(&self) -> bool {
        match self {
            Self::Alone(stream) => stream.strong_count() > 0,
            Self::Shared(ender) => ender.is_open(),
        }
    }

    /// Ends it at once, and whatever is under way on it by `why`.
    pub fn cut(&self, why: &str) {
        match self {
            Self::Alone(stream) => _ = stream.upgrade().map(|stream| stream.borrow_mut().cut(why)),
            Self::Shared(ender) => ender.end(why),
        }
    }
}

#[cfg(test)]
mod tests;
