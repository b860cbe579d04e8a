//! What policies decided, as the proxies told that asked them.

use serde::{Deserialize, Serialize};

/// Requests and connections of bytes, by what was decided of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    pub allowed: u64,
    pub denied: u64,
    /// Denied, and what is only tried out would have allowed it.
    pub would_allow: u64,
    /// Allowed, and what is only tried out would have denied it.
    pub would_deny: u64,
    /// A limit of rates had no room for it.
    pub limited: u64,
}

impl Verdicts {
    /// Sums stop at the highest: what a stranger reports may be any number.
    pub fn add(&mut self, more: &Self) {
        let Self { allowed, denied, would_allow, would_deny, limited } = *more;
        for (mine, more) in [
            (&mut self.allowed, allowed),
            (&mut self.denied, denied),
            (&mut self.would_allow, would_allow),
            (&mut self.would_deny, would_deny),
            (&mut self.limited, limited),
        ] {
            *mine = mine.saturating_add(more);
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictList {
    pub time: u64,
    pub slot_seconds: u64,
    pub items: Vec<PolicyVerdicts>,
    /// Of policies that there was no room for, since the control plane started.
    pub left_out: u64,
}

/// Of one policy, or of what holds where none decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVerdicts {
    /// `AccessPolicy shop/orders`; `default` where nobody wrote one.
    pub policy: String,
    /// When it was first known to decide, in seconds since 1970; what decides nothing for 31 days is forgotten.
    pub since: u64,
    /// Since then, of all its rules; over restarts of the control plane too.
    pub counts: Verdicts,
    pub rules: Vec<RuleVerdicts>,
    /// The last hour, as far as this control plane was there, where the question was of this policy alone; slots without a verdict are not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<VerdictPoint>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleVerdicts {
    /// By its name, a limit's too; empty where no rule decided.
    pub rule: String,
    pub counts: Verdicts,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictPoint {
    /// When the slot began.
    pub time: u64,
    pub counts: Verdicts,
}
