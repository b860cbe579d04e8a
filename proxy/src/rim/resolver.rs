//! How a worker asks for a name that was never used before. Known names are answered from the snapshot, without the rim.

use crate::limits;
use crate::snapshot::Shared;
use model::{Fault, Key};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

pub(super) struct Question {
    pub subscription: Arc<str>,
    pub reply: oneshot::Sender<Option<Key>>,
}

#[derive(Clone)]
pub struct Resolver {
    shared: Shared,
    questions: mpsc::Sender<Question>,
}

impl Resolver {
    pub(super) fn new(shared: Shared) -> (Self, mpsc::Receiver<Question>) {
        let (questions, receiver) = mpsc::channel(limits::QUESTIONS);
        (Self { shared, questions }, receiver)
    }

    /// One that knows what the snapshot knows, and nobody to ask.
    #[cfg(test)]
    pub(crate) fn alone(shared: Shared) -> Self {
        Self::new(shared).0
    }

    /// The service that a caller in `namespace` means by `host` (lower case, no port); when this returns, the snapshot holds it.
    ///
    /// # Errors
    /// `NoSuchService` where the control plane knows none, `NotYetKnown` where it did not answer in time, `Overloaded` where too many ask.
    pub async fn resolve(&self, host: &str, namespace: &str) -> Result<Key, Fault> {
        let found = match self.shared.load().answer(host, namespace) {
            Some(found) => found,
            None => {
                let (reply, answer) = oneshot::channel();
                let subscription = wire::host_subscription(namespace, host).into();
                self.questions.try_send(Question { subscription, reply }).map_err(|_| Fault::Overloaded)?;
                tokio::time::timeout(limits::RESOLVE, answer).await.ok().and_then(Result::ok).ok_or(Fault::NotYetKnown)?
            }
        };
        found.ok_or(Fault::NoSuchService)
    }
}

#[cfg(test)]
mod tests;
