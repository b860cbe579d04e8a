//! The side that asks: one connection for many requests, as many at once as the server allows.

use super::body::Handle;
use super::conn::Connection;
use super::driver::{Driver, Link};
use super::flood::Who;
use super::{BodyReader, BodyWriter, Facing};
use crate::body::Length;
use crate::rt::{self, Stream};
use crate::{Bounds, Error};
use bytes::BytesMut;
use model::{RequestHead, ResponseHead};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::{Rc, Weak};

/// A handle of a connection; clones are handles of the same. The connection ends when the last one and the last stream are gone.
#[derive(Debug, Clone)]
pub struct Client(Rc<Asking>);

#[derive(Debug)]
struct Asking {
    link: Link,
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut connection = self.link.borrow_mut();
        connection.done = true;
        connection.stir();
    }
}

impl Client {
    /// `read` is what came of the connection before.
    ///
    /// # Errors
    /// None today; what befalls the connection is told to its requests.
    pub async fn new(stream: Stream, read: BytesMut) -> Result<Self, Error> {
        Self::bounded(stream, read, Bounds::default()).await
    }

    /// As [`Client::new`], with other bounds.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub async fn bounded(stream: Stream, read: BytesMut, bounds: Bounds) -> Result<Self, Error> {
        let link = Rc::new(RefCell::new(Connection::new(Facing::Upstream, Who::Member, bounds, rt::now())));
        let mut driver = Driver::new(link.clone(), stream, read);
        rt::spawn(async move {
            poll_fn(|cx| driver.poll(cx)).await;
            driver.shutdown().await;
        });
        Ok(Self(Rc::new(Asking { link })))
    }

    /// The server is a proxy of the mesh, which answers what is asked of it alone however long its application thinks: where it does not, the connection ends.
    #[must_use]
    pub fn of_proxy(self) -> Self {
        self.0.link.borrow_mut().of_proxy = true;
        self
    }

    /// Whether new requests can be sent: the connection stands and the server has not said GOAWAY.
    pub fn is_usable(&self) -> bool {
        self.0.link.borrow().is_usable()
    }

    /// The connection as whoever may have to end it holds it, without keeping it open.
    pub fn ender(&self) -> Ender {
        Ender(Rc::downgrade(&self.0.link))
    }

    /// Whether both are handles of one connection.
    pub fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Requests under way.
    pub fn active(&self) -> usize {
        self.0.link.borrow().streams.held()
    }

    /// Whether one more request may go out at once.
    pub fn has_room(&self) -> bool {
        self.0.link.borrow().has_room()
    }

    /// Whether the server takes upgrades as extended CONNECT (RFC 8441). Known once its settings have come.
    pub fn takes_upgrades(&self) -> bool {
        self.0.link.borrow().takes_upgrades()
    }

    /// Sends a head and gives the body that belongs to it, and the answer to come.
    ///
    /// # Errors
    /// [`Error::is_unprocessed`] where the connection takes no more requests, so that another can be used.
    pub fn request(&self, head: &RequestHead, length: Length) -> Result<(BodyWriter, Answer), Error> {
        let place = self.0.link.borrow_mut().ask(head, length)?;
        let handle = Handle::new(&self.0.link, place);
        Ok((BodyWriter::new(handle.clone(), length, Facing::Upstream), Answer { handle }))
    }
}

/// Ends a connection and all that it carries.
#[derive(Debug)]
pub struct Ender(Weak<RefCell<Connection>>);

impl Ender {
    pub fn is_open(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Whoever waits for an answer is told `why`; nobody is waited for.
    pub fn end(&self, why: &str) {
        if let Some(link) = self.0.upgrade() {
            link.borrow_mut().cut(why);
        }
    }
}

/// An answer to come. Dropped before it came, it cancels the request.
#[derive(Debug)]
pub struct Answer {
    handle: Handle,
}

impl Answer {
    /// The next head; `None` for its body where it is informational, and another head follows.
    ///
    /// # Errors
    /// If the server resets the stream or goes away; [`Error::nothing_received`] is set.
    pub async fn head(&mut self, into: &mut ResponseHead) -> Result<Option<BodyReader>, Error> {
        let handle = &self.handle;
        let is_last = poll_fn(|cx| handle.connection().poll_answer(handle.place, into, cx)).await;
        let is_last = is_last.map_err(Error::with_nothing_received)?;
        Ok(is_last.then(|| BodyReader::new(handle.clone(), Facing::Upstream)))
    }
}
