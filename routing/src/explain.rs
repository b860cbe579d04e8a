//! Why a request goes where it goes: the chain of objects and rules behind a decision, in words. Made by running what traffic runs ([`Table::route`],
//! the filters, the split) on a copy of the head, so that it cannot tell another story than the record of the request does. What happens
//! before routing (the hop's own fields, the listener, the path made regular) is the asker's.

mod text;

use crate::compiled::SplitBackend;
use crate::decision::{Caller, Decision, Entry, Reason, Refusal};
use crate::filters::{self, Context, Pending, RequestOutcome};
use crate::limits;
use crate::matching::first_mismatch;
use crate::table::{Layer, Table};
use model::{Applied, Backend, Fault, Filter, FilterPlace, HostPattern, ObjectRef, RequestHead, ResponseHead, ServiceRef};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// At a gateway, not by a call from within the mesh.
    pub enters: bool,
    /// Where it came in: `Gateway shop/edge listener web (gateway.yaml:1)`, `Service shop/catalog port 80 (…)`.
    pub entry: String,
    /// At a gateway, the listener whose request it is, as the record names it.
    pub listener: Option<String>,
    /// The route that takes it, where one does.
    pub chain: Option<Chain>,
    pub outcome: Outcome,
    /// Matches that rank before the winner (or all, where none won), each with the first condition that failed. The best ranked first.
    pub near_misses: Vec<NearMiss>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// To one of the split.
    Forward,
    /// A filter answers: a redirect, a cross-origin preflight.
    Answer {
        status: u16,
        location: Option<String>,
    },
    Refused(Refused),
    /// To a host that the mesh does not know, as it is. `alike` are names of services that may have been meant.
    Outside {
        host: String,
        port: u16,
        alike: Vec<String>,
    },
    /// Nobody answers there, or TLS fails before a request is heard.
    NoConnection {
        reason: String,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    pub fault: Fault,
    pub reason: String,
    /// The object that caused it, and its place.
    pub object: Option<String>,
    pub place: Arc<str>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// The host pattern under which the match was found.
    pub host: HostPattern,
    pub route: ObjectRef,
    /// `routes.yaml:12`; empty off files.
    pub place: Arc<str>,
    /// No route hangs on the service: it gets its calls itself.
    pub is_default: bool,
    pub rule: Arc<str>,
    pub rule_index: u32,
    pub match_index: u32,
    /// The match in words.
    pub matched: String,
    /// Of the rule, on the way to whichever backend; all that ran where one of them answers.
    pub filters: Vec<Ran>,
    /// How the request leaves, where these changed its host or path.
    pub sent: Option<String>,
    pub split: Vec<Share>,
    pub request_timeout: Option<Duration>,
    pub backend_timeout: Option<Duration>,
    pub retry: Option<String>,
}

/// A filter that runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// As the record names it: `URLRewrite`, `RequestMirror shop/shadow:80`, `backend URLRewrite`.
    pub name: String,
    /// Of a mirror that gets a part of the requests only: numerator and denominator.
    pub share: Option<(u32, u32)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    pub backend: String,
    /// The service and the port that it is, where it is one.
    pub service: Option<ServiceRef>,
    pub weight: u32,
    pub percent: f64,
    /// All that runs for a request that goes here, up to its answer.
    pub filters: Vec<Ran>,
    /// How the request leaves, where the backend's filters changed its host or path.
    pub sent: Option<String>,
    pub refused: Option<Refused>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NearMiss {
    pub route: ObjectRef,
    pub place: Arc<str>,
    pub rule: Arc<str>,
    pub why: String,
}

impl Table {
    /// [`Table::route`] with its reasons, and what comes of it.
    pub fn explain(&self, entry: &Entry, head: &RequestHead, caller: &Caller<'_>, context: &Context) -> Explanation {
        let decided = self.route(entry, head, caller);
        self.tell(entry, decided, head, caller, context)
    }

    /// [`Table::connect`] without a server name, likewise: for what is carried unread.
    pub fn explain_connection(&self, entry: &Entry, caller: &Caller<'_>) -> Explanation {
        let decided = self.connect(entry, None, caller);
        let context = Context { scheme: model::Scheme::Http, port: 0 };
        self.tell(entry, decided, &RequestHead::default(), caller, &context)
    }

    fn tell(
        &self,
        entry: &Entry,
        decided: Result<Decision<'_>, Refusal<'_>>,
        head: &RequestHead,
        caller: &Caller<'_>,
        context: &Context,
    ) -> Explanation {
        let near_misses = match &decided {
            Ok(won) => self.near_misses(entry, head, caller, Some(won)),
            Err(Refusal { reason: Reason::NoMatch, .. }) => self.near_misses(entry, head, caller, None),
            Err(_) => Vec::new(),
        };
        let (chain, outcome) = match &decided {
            Ok(decision) => self.follow(decision, head, context),
            Err(refusal) => (None, Outcome::Refused(Refused::of(refusal))),
        };
        let listener = match entry {
            Entry::Listener(key) => self.slots.get(key).and_then(|slot| slot.listener.as_ref()).map(|listener| listener.full_name()),
            Entry::Service { .. } => None,
        };
        let enters = matches!(entry, Entry::Listener(_));
        Explanation { enters, entry: self.entry_text(entry), listener, chain, outcome, near_misses }
    }

    fn entry_text(&self, entry: &Entry) -> String {
        let (key, port) = match entry {
            Entry::Listener(key) => (key, String::new()),
            Entry::Service { service, port } => (service, format!(" port {port}")),
        };
        match self.get(key) {
            Some(model::Resource::Listener(l)) => {
                format!("{} listener {}{}", l.origin.object, l.section, text::in_brackets(&l.origin.place))
            }
            Some(model::Resource::Service(s)) => format!("{}{port}{}", s.origin.object, text::in_brackets(&s.origin.place)),
            _ => format!("{key}{port}"),
        }
    }

    /// Runs the filters, and looks at every backend of the split.
    fn follow(&self, decision: &Decision<'_>, head: &RequestHead, context: &Context) -> (Option<Chain>, Outcome) {
        let (mut sent, mut applied) = (head.clone(), Applied::default());
        let filtered = filters::apply_request(decision, &mut sent, context, &mut applied);
        let mut chain = Chain::of(decision);
        let pending = match filtered {
            Err(refusal) => return (Some(chain), Outcome::Refused(Refused::of(&refusal))),
            Ok(RequestOutcome::Answer(answer)) => {
                chain.filters = ran(decision, None, &applied);
                let location = answer.headers.text("location").map(str::to_owned);
                return (Some(chain), Outcome::Answer { status: answer.status, location });
            }
            Ok(RequestOutcome::Forward(pending)) => pending,
        };
        chain.filters = ran(decision, None, &applied);
        chain.sent = changed(head, &sent);
        // A backend that refuses does so before copies are sent.
        let before = applied;
        for mirror in filters::mirrors(decision.phases(), || 0).filter(|mirror| self.is_sent(&mirror.filter.backend)) {
            applied.rule(mirror.at);
        }
        let every = decision.split().iter();
        chain.split = every.map(|backend| self.share(decision, backend, &sent, &pending, (before, applied))).collect();
        let mut drawn = chain.split.iter().filter(|share| share.weight > 0).map(|share| &share.refused).peekable();
        let refused = drawn.peek().copied().cloned().flatten().filter(|_| drawn.all(Option::is_some));
        let outcome = match (decision.draw(0), refused) {
            (Err(refusal), _) => Outcome::Refused(Refused::of(&refusal)),
            (Ok(_), Some(refused)) => Outcome::Refused(refused),
            (Ok(_), None) => {
                chain.filters = ran(decision, None, &applied);
                Outcome::Forward
            }
        };
        (Some(chain), outcome)
    }

    fn share(
        &self,
        decision: &Decision<'_>,
        backend: &SplitBackend,
        rewritten: &RequestHead,
        pending: &Pending,
        (before, mirrored): (Applied, Applied),
    ) -> Share {
        let mut sent = rewritten.clone();
        let refused = decision.usable(backend).err().map(|refusal| Refused::of(&refusal));
        let mut applied = if refused.is_some() { before } else { mirrored };
        if refused.is_none() {
            filters::apply_backend_request(decision, backend, &mut sent, &mut applied);
            for mirror in filters::mirrors(&backend.phases, || 0).filter(|mirror| self.is_sent(&mirror.filter.backend)) {
                applied.backend(mirror.at);
            }
            filters::apply_response(decision, Some(backend), pending, &mut ResponseHead::with_status(200), &mut applied);
        }
        Share {
            backend: backend.label(),
            service: if let Backend::Service(to) = &*backend.backend { Some(to.clone()) } else { None },
            weight: backend.weight,
            percent: f64::from(backend.weight) * 100.0 / decision.total_weight().max(1) as f64,
            filters: ran(decision, Some(backend), &applied),
            sent: changed(rewritten, &sent),
            refused,
        }
    }

    /// Whether a mirror's copy has somewhere to go; whether someone is there, only a proxy knows.
    fn is_sent(&self, to: &Backend) -> bool {
        match to {
            Backend::Service(to) => self.service(&to.service).is_some(),
            Backend::External(_) => true,
            Backend::Invalid { .. } => false,
        }
    }

    fn near_misses(&self, entry: &Entry, head: &RequestHead, caller: &Caller<'_>, won: Option<&Decision<'_>>) -> Vec<NearMiss> {
        let mut found = Vec::new();
        for table in self.tables_for(entry, Layer::Http, head.host(), caller) {
            for candidate in &table.matches {
                if won.is_some_and(|d| std::ptr::eq(d.found, candidate)) {
                    return found;
                }
                let Some(mismatch) = first_mismatch(candidate.condition(), head) else { continue };
                if found.len() < limits::EXPLAINED_NEAR_MISSES {
                    let route = &candidate.route;
                    found.push(NearMiss {
                        route: route.origin.object.clone(),
                        place: route.origin.place.clone(),
                        rule: candidate.source().name.clone(),
                        why: text::why_not(mismatch, head),
                    });
                }
            }
        }
        found
    }
}

fn changed(before: &RequestHead, after: &RequestHead) -> Option<String> {
    let same = before.authority() == after.authority() && before.target() == after.target();
    (!same).then(|| format!("{} http://{}{}", after.method.as_str(), after.authority(), after.target()))
}

/// What ran, as the record names it.
fn ran(decision: &Decision<'_>, backend: Option<&SplitBackend>, applied: &Applied) -> Vec<Ran> {
    let rule = &decision.route().rules[decision.rule_index() as usize];
    let backend = backend.map(|backend| &rule.backends[backend.index as usize]);
    let filter = |place: &FilterPlace| match place {
        FilterPlace::Rule(at) => rule.filters.get(usize::from(*at)),
        FilterPlace::Backend(at) => backend.and_then(|backend| backend.filters.get(usize::from(*at))),
    };
    let share = |filter: Option<&Filter>| match filter {
        Some(Filter::Mirror(mirror)) if mirror.fraction.0 < mirror.fraction.1 => Some(mirror.fraction),
        _ => None,
    };
    let shares = applied.places().iter().map(|place| share(filter(place)));
    applied.names(rule, backend).into_iter().zip(shares).map(|(name, share)| Ran { name, share }).collect()
}

impl Refused {
    pub fn of(refusal: &Refusal<'_>) -> Self {
        Self {
            fault: refusal.fault,
            reason: refusal.reason.to_string(),
            object: refusal.origin.map(|origin| origin.object.to_string()),
            place: refusal.origin.map_or_else(|| "".into(), |origin| origin.place.clone()),
        }
    }
}

impl Chain {
    fn of(decision: &Decision<'_>) -> Self {
        let timeouts = decision.timeouts();
        Self {
            host: decision.host_pattern().clone(),
            route: decision.origin().object.clone(),
            place: decision.origin().place.clone(),
            is_default: decision.is_default(),
            rule: decision.rule_name().clone(),
            rule_index: decision.rule_index(),
            match_index: decision.match_index(),
            matched: text::matched(decision.matched()),
            filters: Vec::new(),
            sent: None,
            split: Vec::new(),
            request_timeout: timeouts.request,
            backend_timeout: timeouts.backend_request,
            retry: decision.retry().map(text::retry),
        }
    }
}

#[cfg(test)]
mod tests;
