//! Who may call whom, decided: access policies of the model compiled once per change, and a verdict for each connection and request that names the
//! tier, the policy and the rule. Pure; deciding allocates nothing, locks nothing and reads no clock. It never knows a socket, a table of routes or
//! how a policy was written.
//!
//! Truth has three values here, for two things are not known for certain: what a request will say when there is only a connection yet, and what an
//! application makes of a header that stands in it several times. A deny takes *perhaps* for yes, an allow takes it for no.
//!
//! Read it from [`Engine`] downward.

mod attributes;
mod bucket;
mod engine;
pub mod limits;
mod matching;
pub mod rates;
mod rules;
pub mod targets;
mod verdict;

pub use attributes::{Attributes, Claim, Consumer, Moment, Place, Request, Token};
pub use engine::Engine;
pub use matching::{Truth, rule_truth};
pub use rates::Rates;
pub use targets::Targets;
pub use verdict::{Because, Decided, Verdict};

#[cfg(test)]
mod tests;
