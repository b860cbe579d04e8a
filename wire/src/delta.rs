//! Both ends of a delta discovery stream as state machines: messages in, messages out, no socket and no clock.
//!
//! **A step is atomic.** All that changes from one generation to the next for one proxy is one step. A step over [`limits::PART_BYTES`] or
//! [`limits::PART_RESOURCES`] travels in several responses, *parts*: `system_version_info` is `12+` on every part but the last and `12` on the
//! last, with the removals. The client stages parts, acknowledges each as received, and gives the step out whole after the last, which it
//! acknowledges only when the new state is in force. A stream that breaks in between loses the staged parts and nothing else: the client
//! resumes with the versions that it applied. (Other xDS clients ignore `system_version_info` and apply part by part.)
//!
//! One response is in flight at a time; what changes meanwhile becomes the next step. A refused resource is named in a `Refusal` detail of the
//! NACK; the others of its response are taken, and the client keeps its last good version.
//!
//! `aliases` on a resource name the `host/NAMESPACE/HOST` subscriptions that it answers; a name that resolves to nothing comes in
//! `removed_resources`, itself.

mod client;
mod server;
mod set;
mod version;

pub use client::{Applied, ClientSession, Step, Unreadable};
pub use server::{Encoded, Heard, ServerSession, View};
pub use set::{Difference, Set};
pub use version::Version;

use crate::limits;
use model::Kind;

/// Among a node's `client_features`: a successor serves under its name, and this process only finishes what it began.
const LEAVING: &str = "organza.leaving";
/// Kinds that guard and that a proxy may not know: among its `client_features` it says which it does. Who does not say so would guard nothing where one of
/// them guards, and is to be given what lets nobody in. Whoever adds a kind that guards adds it here (`decisions/0046`).
pub const GUARDS: [Kind; 1] = [Kind::Consumer];

/// What a proxy of this release says among its `client_features`.
pub fn features() -> impl Iterator<Item = String> {
    GUARDS.into_iter().map(knows)
}

/// How a proxy says that it knows a kind.
fn knows(kind: Kind) -> String {
    format!("organza.knows.{}", kind.as_str())
}

/// How a control plane that understands [`LEAVING`] calls itself, which it does on each response. Earlier ones said nothing.
const IDENTIFIER: &str = "organza";

/// What ends a stream: the peer does not keep to the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    #[error("type {0:?} is not served here")]
    Type(String),
    #[error("more than {} subscriptions", limits::SUBSCRIPTIONS)]
    Subscriptions,
    #[error("a name is longer than {} bytes", limits::NAME_BYTES)]
    Name,
    #[error("more than {} resources", limits::RESOURCES)]
    Resources,
    #[error("a step is larger than {} bytes", limits::STEP_BYTES)]
    Step,
    #[error("a response came before the last was answered")]
    TwoInFlight,
    #[error("system_version_info {0:?} is no generation")]
    Generation(String),
}

#[cfg(test)]
mod tests;
