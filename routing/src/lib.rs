//! The hot path as pure functions: which route a request takes and why, what its filters do, which endpoint it goes to, whether it is
//! tried again.
//!
//! [`Table`] is immutable and compiled when configuration changes; [`Table::route`] gives a [`Decision`] or a [`Refusal`]. State that
//! lives longer than a table (balancers, retry budgets) stands beside it, by `Key`. `now` and randomness are arguments everywhere: this
//! crate never knows a socket, a clock, a thread or where its resources came from.

pub mod admission;
pub mod balance;
pub mod breaker;
mod compiled;
mod cow;
pub mod deadline;
mod decision;
pub mod eject;
pub mod explain;
pub mod filters;
pub mod health;
mod hosts;
pub mod limits;
mod lookup;
mod matching;
pub mod normalise;
pub mod origin;
mod paths;
pub mod phases;
pub mod retry;
pub mod retry_after;
pub mod room;
pub mod session;
mod shared;
mod table;

pub use compiled::SplitBackend;
pub use decision::{Caller, Decision, Entry, Reason, Refusal, Spoken};
pub use hosts::{Cost, canonical_host};
pub use matching::{header_holds, match_holds};
pub use normalise::{PathError, normalise, reads_one_way};
pub use origin::{Behind, Origin};
pub use phases::{Phases, Written};
pub use table::Table;
