//! The engine against the reference, and what must hold whatever anyone writes. `PROPTEST_CASES` makes it longer: each case is forty calls.

use super::dice::{self, Call, Dice, Kinds};
use super::reference;
use crate::{Because, Decided, Engine, Truth, rule_truth};
use model::access::{AccessPolicy, AccessSettings, Action, Enforcement};
use proptest::prelude::*;
use std::sync::Arc;

const CALLS: usize = 40;

struct World {
    policies: Vec<Arc<AccessPolicy>>,
    settings: Vec<Arc<AccessSettings>>,
}

impl World {
    fn of(dice: &mut Dice) -> Self {
        Self { policies: dice::policies(dice), settings: dice::settings(dice) }
    }

    fn engine(&self) -> Engine {
        Engine::compile(&self.policies, &self.settings)
    }
}

fn allows(engine: &Engine, call: &Call) -> bool {
    engine.decide(&call.place(), &call.attributes()).is_allowed()
}

fn said(decided: &Decided<'_>) -> reference::Said {
    let by = match decided.because {
        Because::Rule { policy, rule, .. } => Some((policy.key.to_string(), Some(rule as usize))),
        Because::NoneAllows { policy } => Some((policy.key.to_string(), None)),
        Because::Strict { .. } | Because::Default { .. } => None,
    };
    (decided.allowed, by)
}

proptest! {
    #[test]
    fn the_engine_says_what_the_reference_says(seed: u64) {
        let dice = &mut Dice(seed);
        let world = World::of(dice);
        let engine = world.engine();
        for _ in 0..CALLS {
            let call = dice::call(dice);
            let verdict = engine.decide(&call.place(), &call.attributes());
            let want = reference::decide(&world.policies, &world.settings, &call, false);
            prop_assert_eq!(said(&verdict.decided), want.clone(), "{:#?}\n{:#?}", call, world.policies);
            let tried = reference::decide(&world.policies, &world.settings, &call, true);
            let rehearsed = verdict.rehearsed.as_ref().map(said);
            prop_assert_eq!(rehearsed, Some(tried.clone()).filter(|tried| tried.0 != want.0), "{:#?}\n{:#?}", call, world.policies);
        }
    }

    #[test]
    fn truth_is_what_is_certain_and_what_is_possible(seed: u64) {
        let dice = &mut Dice(seed);
        let policy = dice::policy(dice, 0);
        for _ in 0..CALLS {
            let call = dice::call(dice);
            for rule in &policy.rules {
                let truth = rule_truth(rule, &call.attributes());
                prop_assert_eq!(truth == Truth::Yes, reference::rule(rule, &call, true));
                prop_assert_eq!(truth >= Truth::Perhaps, reference::rule(rule, &call, false));
            }
        }
    }

    #[test]
    fn adding_a_deny_never_allows_more(seed: u64) {
        let dice = &mut Dice(seed);
        let mut world = World::of(dice);
        let before = world.engine();
        let more = AccessPolicy { action: Action::Deny, ..dice::policy(dice, 9) };
        world.policies.push(Arc::new(more));
        let after = world.engine();
        for _ in 0..CALLS {
            let call = dice::call(dice);
            prop_assert!(allows(&before, &call) || !allows(&after, &call), "{:#?}\n{:#?}", call, world.policies);
        }
    }

    /// A policy that lost its last rule allows nothing; it does not stop to be an allow.
    #[test]
    fn removing_the_rule_of_an_allow_never_allows_more(seed: u64) {
        let dice = &mut Dice(seed);
        let mut world = World::of(dice);
        let before = world.engine();
        for policy in &mut world.policies {
            if policy.action == Action::Allow && !policy.rules.is_empty() {
                let policy = Arc::make_mut(policy);
                let at = dice.below(policy.rules.len());
                policy.rules.remove(at);
            }
        }
        let after = world.engine();
        for _ in 0..CALLS {
            let call = dice::call(dice);
            prop_assert!(allows(&before, &call) || !allows(&after, &call), "{:#?}\n{:#?}", call, world.policies);
        }
    }

    #[test]
    fn order_never_matters(seed: u64) {
        let dice = &mut Dice(seed);
        let mut world = World::of(dice);
        let before = world.engine();
        for at in (1..world.policies.len()).rev() {
            world.policies.swap(at, dice.below(at + 1));
        }
        let after = world.engine();
        for _ in 0..CALLS {
            let call = dice::call(dice);
            let (one, other) = (before.decide(&call.place(), &call.attributes()), after.decide(&call.place(), &call.attributes()));
            prop_assert_eq!(said(&one.decided), said(&other.decided));
        }
    }

    #[test]
    fn what_is_tried_out_decides_nothing(seed: u64) {
        let dice = &mut Dice(seed);
        let mut world = World::of(dice);
        let before = world.engine();
        world.policies.push(Arc::new(AccessPolicy { enforcement: Enforcement::DryRun, ..dice::policy(dice, 9) }));
        let after = world.engine();
        for _ in 0..CALLS {
            let call = dice::call(dice);
            prop_assert_eq!(allows(&before, &call), allows(&after, &call));
        }
    }

    /// A connection is refused only where no request on it could have been allowed, and bytes pass only where every request would have.
    #[test]
    fn connections_and_their_requests_agree(seed: u64) {
        let dice = &mut Dice(seed);
        let world = World::of(dice);
        let engine = world.engine();
        for _ in 0..CALLS {
            let call = Call { kind: Kinds::Request, ..dice::call(dice) };
            let opened = allows(&engine, &Call { kind: Kinds::Opened, ..call.clone() });
            let stream = allows(&engine, &Call { kind: Kinds::Stream, ..call.clone() });
            let request = allows(&engine, &call);
            prop_assert!(opened || !request, "{:#?}\n{:#?}", call, world.policies);
            prop_assert!(request || !stream, "{:#?}\n{:#?}", call, world.policies);
        }
    }
}
