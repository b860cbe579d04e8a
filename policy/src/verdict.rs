//! What was decided, and by what: it borrows from the engine, and becomes words only where someone reads them.

use crate::matching::Truth;
use model::access::{AccessPolicy, AccessRule, AccessSettings, DefaultAccess, Tier};
use std::fmt;
use std::sync::Arc;

/// A decision, and what would have been decided if every policy that is only tried out were in force.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict<'e> {
    pub decided: Decided<'e>,
    /// Where that differs.
    pub rehearsed: Option<Decided<'e>>,
}

impl Verdict<'_> {
    pub fn is_allowed(&self) -> bool {
        self.decided.allowed
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decided<'e> {
    pub allowed: bool,
    pub because: Because<'e>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Because<'e> {
    /// A rule holds. `Perhaps`: as far as it could be told.
    Rule { policy: &'e Arc<AccessPolicy>, rule: u32, truth: Truth },
    /// Policies allow others, of which this is the first.
    NoneAllows { policy: &'e Arc<AccessPolicy> },
    /// Nobody proved who calls, and plaintext is not let in there.
    Strict { settings: Option<&'e Arc<AccessSettings>> },
    /// No policy speaks of it.
    Default { access: DefaultAccess, settings: Option<&'e Arc<AccessSettings>> },
}

impl<'e> Because<'e> {
    pub fn policy(&self) -> Option<&'e Arc<AccessPolicy>> {
        match self {
            Self::Rule { policy, .. } | Self::NoneAllows { policy } => Some(policy),
            Self::Strict { .. } | Self::Default { .. } => None,
        }
    }

    pub fn rule(&self) -> Option<&'e AccessRule> {
        match self {
            Self::Rule { policy, rule, .. } => policy.rules.get(*rule as usize),
            Self::NoneAllows { .. } | Self::Strict { .. } | Self::Default { .. } => None,
        }
    }

    /// The object that decided, as records name it: `AccessPolicy shop/orders`; `None` for what holds where nobody says anything.
    pub fn by(&self) -> Option<Arc<str>> {
        let origin = match self {
            Self::Rule { policy, .. } | Self::NoneAllows { policy } => &policy.origin,
            Self::Strict { settings } | Self::Default { settings, .. } => &settings.as_ref()?.origin,
        };
        Some(origin.object.to_string().into())
    }
}

/// `rule web-writes of AccessPolicy shop/orders`; a clause that follows "allowed by" or "denied by".
impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { policy, truth, .. } => {
                let name = self.rule().map_or("", |rule| &rule.name);
                write!(f, "rule {name} of {}{}", policy.origin.object, tier(policy.tier))?;
                f.write_str(if *truth == Truth::Perhaps { ", as far as it can be told" } else { "" })
            }
            Self::NoneAllows { policy } => {
                write!(f, "{}{}, which allows others and not this", policy.origin.object, tier(policy.tier))
            }
            Self::Strict { settings } => {
                f.write_str("mtls: Strict")?;
                settings.map_or(Ok(()), |settings| write!(f, " of {}", settings.origin.object))?;
                f.write_str(", for the caller proved no identity")
            }
            Self::Default { access, settings } => {
                write!(f, "the default {}", access.as_str())?;
                settings.map_or(Ok(()), |settings| write!(f, " of {}", settings.origin.object))
            }
        }
    }
}

fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Admin => " (Admin)",
        Tier::Namespace => "",
        Tier::Baseline => " (Baseline)",
    }
}

impl fmt::Display for Decided<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", if self.allowed { "allowed" } else { "denied" }, self.because)
    }
}
