//! Gateway API v1.6 (`gateway.networking.k8s.io`), north-south and by GAMMA east-west. Attachment, intersection of hosts and
//! precedence are decided here, once; routing only sorts by rank.

pub mod backend;
pub mod duration;
pub mod filter;
pub mod gateway;
pub mod matches;
pub mod route;
pub mod rule;
pub mod wrong;

pub const GROUP: &str = "gateway.networking.k8s.io";
pub const CONTROLLER: &str = "organza.dev/gateway-controller";

use model::{Condition, ConditionStatus};

pub fn condition(kind: &str, holds: bool, reason: &str, message: &str) -> Condition {
    let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
    Condition { kind: kind.into(), status, reason: reason.into(), message: message.to_owned() }
}

#[cfg(test)]
mod tests;
