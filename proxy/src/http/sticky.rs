//! Sessions on the request path: which of a client's tokens leads where, and what the client is told when another endpoint answered than it came for.
//! What a token says is `routing`'s, how it is sealed `identity`'s. A token that is forged, old, or of what is gone leads nowhere: the client begins a
//! new session.

use crate::pick::{self, Called};
use crate::snapshot::Snapshot;
use model::session::Persistence;
use model::{Backend, RequestHead, ResponseHead};
use routing::session::{self, Session};
use routing::{Decision, SplitBackend};
use transport::rt;

/// Where a client's session leads: to a backend of the rule, whatever its weight is now.
#[derive(Clone, Copy)]
pub struct Led<'t> {
    pub backend: &'t SplitBackend,
    session: Session,
}

/// What a request's sessions say of where it goes.
#[derive(Default)]
pub struct Came<'t> {
    /// The backend that one of them leads to.
    pub led: Option<Led<'t>>,
    /// Those that lead to endpoints alone, of whichever backend is drawn.
    within: Option<Box<[Session]>>,
}

impl Came<'_> {
    /// The session with a backend that was chosen.
    fn with(&self, backend: u64) -> Option<Session> {
        let within = self.within.iter().flatten().find(|session| session.backend == backend);
        self.led.map(|led| led.session).or(within.copied())
    }
}

/// What the request's sessions say, as far as they count.
/// `only` is the service that is the rule's one backend.
pub fn came<'t>(snapshot: &'t Snapshot, decision: &Decision<'t>, only: Option<&Called<'t>>, head: &RequestHead) -> Came<'t> {
    if let Some(rule) = decision.session() {
        let with = |session: &Session| decision.split().iter().find(|to| session::backend(&to.backend) == session.backend);
        let found = sessions(rule, head).find_map(|session| with(&session).map(|backend| Led { backend, session }));
        return Came { led: found.filter(|led| decision.usable(led.backend).is_ok()), within: None };
    }
    let (mut came, mut within) = (Came::default(), Vec::new());
    for to in decision.split() {
        let rule = match only {
            Some(only) => only.policy.session.as_ref(),
            None => of_service(snapshot, &to.backend),
        };
        let Some(rule) = rule.filter(|rule| rule.within || came.led.is_none()) else { continue };
        let mark = session::backend(&to.backend);
        match sessions(rule, head).find(|session| session.backend == mark) {
            Some(session) if rule.within => within.push(session),
            Some(session) if decision.usable(to).is_ok() => came.led = Some(Led { backend: to, session }),
            _ => {}
        }
    }
    came.within = (!within.is_empty()).then(|| within.into());
    came
}

fn of_service<'t>(snapshot: &'t Snapshot, backend: &Backend) -> Option<&'t Persistence> {
    let Backend::Service(to) = backend else { return None };
    pick::policy(snapshot.table.service(&to.service)?, to.port).0.session.as_ref()
}

/// Those that are sealed with the rule's key and not over.
fn sessions<'h>(rule: &'h Persistence, head: &'h RequestHead) -> impl Iterator<Item = Session> + 'h {
    let now = rt::wall();
    let opened = session::tokens(rule, &head.headers).filter_map(|token| {
        let content = identity::seal::open(&rule.key.as_ref()?.0, &rule.name, token)?;
        Session::decode(&content)
    });
    opened.filter(move |session| session.is_alive(rule, now))
}

/// The session of one request.
pub struct Sticky<'t> {
    rule: &'t Persistence,
    path: Option<&'t str>,
    secure: bool,
    backend: u64,
    came: Option<Session>,
    /// The endpoint that it came for answered, and another is asked all the same: the client keeps what it has.
    heard: bool,
}

impl<'t> Sticky<'t> {
    /// `None` where no sessions are kept there.
    pub fn of(decision: &Decision<'t>, backend: &SplitBackend, called: Option<&Called<'t>>, came: &Came<'_>, secure: bool) -> Option<Self> {
        let (rule, path) = match decision.session() {
            Some(rule) => (rule, Some(session::cookie_path(decision.matched().path.as_ref()))),
            // Many rules may lead to one Service (GEP-1619).
            None => (called?.policy.session.as_ref()?, None),
        };
        rule.key?;
        let backend = session::backend(&backend.backend);
        Some(Self { rule, path, secure, backend, came: came.with(backend), heard: false })
    }

    /// The endpoint that the client came for.
    pub fn endpoint(&self) -> Option<u64> {
        self.came.map(|session| session.endpoint)
    }

    /// The endpoint itself answered, and the request is tried again.
    pub fn passed_over(&mut self, endpoint: Option<&str>) {
        self.heard |= self.endpoint() == Some(mark(endpoint));
    }

    /// Tells the client what it has to bring next time, where that is not what it brought.
    pub fn answer(&self, endpoint: Option<&str>, head: &mut ResponseHead) {
        let (mark, now) = (mark(endpoint), rt::wall());
        let same = self.came.filter(|session| session.endpoint == mark);
        let told = match same {
            Some(session) => session.renewed(self.rule, now),
            None if self.heard => None,
            None => Some(Session::new(self.backend, mark, now)),
        };
        let (Some(session), Some(key)) = (told, &self.rule.key) else { return };
        let sealed = identity::seal::seal(&key.0, &self.rule.name, &session.encode());
        if let Ok(token) = sealed {
            session::tell(self.rule, &session, &token, self.path, self.secure, now, &mut head.headers);
        }
    }
}

/// A host outside is its own only endpoint.
fn mark(endpoint: Option<&str>) -> u64 {
    endpoint.map_or(0, session::endpoint)
}
