//! Tokens that callers bring (`Authorization: Bearer`, RFC 6750), read before anything is routed or judged by them: whose they are, whether they are
//! believed, and what routes, policies and applications are told of them. Whom no issuer guards nothing is read of. What was verified is remembered for
//! a while by its hash; a token itself is kept nowhere, logged nowhere and shown to nobody.

mod claims;
pub mod fetch;
mod store;

pub use claims::token;
pub use policy::Token;
pub use store::{Keyless, Store};

use crate::access::{self, At, Called, Standing};
use crate::http::Stop;
use crate::limits;
use crate::map::{self, Map};
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use identity::jwt::{Demands, Jwt, Keys, Refused};
use model::token::{ClaimHeader, KeySource, TokenIssuer};
use model::{Change, Fault, Key, Kind, Listener, RequestHead, Resource};
use policy::Place;
use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use transport::rt;

/// The issuers of one snapshot.
#[derive(Default)]
pub struct Issuers {
    all: Map<Key, Arc<Issuer>>,
    targets: policy::Targets<Vec<Arc<Issuer>>>,
}

#[derive(Debug)]
pub struct Issuer {
    said: Arc<TokenIssuer>,
    /// Where they stand in the object itself.
    inline: Option<Arc<Keys>>,
}

impl Issuer {
    fn new(said: &Arc<TokenIssuer>) -> Self {
        let inline = match &said.keys {
            // A set without a key that is of use believes nobody.
            KeySource::Inline(text) => Some(Arc::new(Keys::parse(text.as_bytes()).unwrap_or_default())),
            KeySource::Url(_) | KeySource::None => None,
        };
        Self { said: said.clone(), inline }
    }

    fn by(&self) -> Arc<str> {
        self.said.origin.object.to_string().into()
    }
}

impl Issuers {
    /// As they are after these changes; `None` where none of them is their business.
    pub fn after(&self, changes: &[Change]) -> Option<Self> {
        let all = map::after(&self.all, Kind::TokenIssuer, changes, |put| match put {
            Resource::TokenIssuer(said) => Some(Arc::new(Issuer::new(said))),
            _ => None,
        })?;
        Some(Self { targets: map::by_target(&all, |issuer| &issuer.said.targets), all })
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Who demands a token there.
    pub fn demanded(&self, place: &Place<'_>) -> Option<Arc<str>> {
        self.of(place).iter().find(|issuer| issuer.said.required).map(|issuer| issuer.by())
    }

    /// Those whose keys are fetched.
    pub fn fetched(&self) -> impl Iterator<Item = &Arc<TokenIssuer>> {
        self.all.values().map(|issuer| &issuer.said).filter(|said| matches!(said.keys, KeySource::Url(_)))
    }

    fn of(&self, place: &Place<'_>) -> Found {
        let mut found = Found::new();
        for issuer in self.targets.sets(place).into_iter().flatten() {
            if !found.iter().any(|known| Arc::ptr_eq(known, issuer)) {
                found.push(issuer.clone());
            }
        }
        found
    }
}

type Found = SmallVec<[Arc<Issuer>; 2]>;

/// Where a token is read, before it is known by what route the request goes.
#[derive(Clone, Copy)]
pub enum Door<'a> {
    Gateway(&'a Listener),
    /// Beside this workload, on this port of its application.
    Workload(&'a Key, u16),
}

/// Those who guard a door.
fn guards(snapshot: &Snapshot, door: Door<'_>, called: &Called) -> Result<Found, Stop> {
    let place = match door {
        Door::Gateway(listener) => Place::Gateway { gateway: &listener.gateway, listener: &listener.key, route: None },
        Door::Workload(workload, port) => {
            let standing = Standing::stranger(At::Workload { workload, port });
            return access::place(snapshot, &standing, called).map(|(place, _)| snapshot.tokens.of(&place));
        }
    };
    Ok(snapshot.tokens.of(&place))
}

/// Reads the token of a request. The fields that claims are told by are taken off it, and put there anew where a token is believed.
///
/// # Errors
/// If the token is not believed, or one is demanded and there is none.
pub async fn read(worker: &Worker, snapshot: &Snapshot, door: Door<'_>, head: &mut RequestHead) -> Result<Option<Arc<Token>>, Stop> {
    let called = match door {
        Door::Workload(workload, port) => worker.called.borrow_mut().called(snapshot, workload, port),
        Door::Gateway(_) => Default::default(),
    };
    let found = guards(snapshot, door, &called)?;
    if found.is_empty() {
        return Ok(None);
    }
    strip(&found, head);
    let text = match bearer(head) {
        Ok(Some(text)) => text,
        Ok(None) => return missing(worker, &found),
        Err(refused) => return Err(stop(worker, &found[0], refused)),
    };
    let now = identity::unix_seconds(rt::wall());
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let known = worker.tokens.borrow().get(&digest).filter(|known| known.holds(&found, &worker.shared.keys, now)).cloned();
    let known = match known {
        Some(known) => known,
        None => {
            let verified = verified(worker, &found, &text, now).await.map_err(|(issuer, refused)| stop(worker, issuer, refused))?;
            worker.tokens.borrow_mut().put(digest, verified.clone());
            verified
        }
    };
    tell(&known.issuer.said.headers, &known.token, head);
    Ok(Some(known.token))
}

fn strip(found: &[Arc<Issuer>], head: &mut RequestHead) {
    for header in found.iter().flat_map(|issuer| &issuer.said.headers) {
        head.headers.remove(&header.name);
    }
}

fn tell(headers: &[ClaimHeader], token: &Token, head: &mut RequestHead) {
    for header in headers {
        if let Some(value) = claims::header(token, &header.claim) {
            head.headers.set(&header.name, value.as_bytes());
        }
    }
}

/// Who would be believed with these claims at a door, and what the request says then; for those who ask what would become of it.
pub fn would(snapshot: &Snapshot, door: Door<'_>, token: Option<&Token>, head: &mut RequestHead) {
    let called = match door {
        Door::Workload(workload, port) => Called::of(snapshot, workload, port),
        Door::Gateway(_) => Called::default(),
    };
    let Ok(found) = guards(snapshot, door, &called) else { return };
    strip(&found, head);
    if let Some(token) = token
        && let Some(issuer) = found.iter().find(|issuer| issuer.said.issuer == token.issuer)
    {
        tell(&issuer.said.headers, token, head);
    }
}

/// What is made of a caller with this token at a door, in words, and whether it gets any further; `None` where nobody reads tokens. `keyless`: issuers
/// of which the proxy there has no keys, and why.
pub fn told(snapshot: &Snapshot, door: Door<'_>, token: Option<&Token>, keyless: &BTreeMap<String, String>) -> Option<(bool, String)> {
    let called = match door {
        Door::Workload(workload, port) => Called::of(snapshot, workload, port),
        Door::Gateway(_) => Called::default(),
    };
    // Where the workload is not known nothing is said of it.
    let found = guards(snapshot, door, &called).ok()?;
    let by = |issuer: &Issuer| issuer.said.origin.object.to_string();
    let first = found.first()?;
    Some(match token {
        Some(token) => match found.iter().find(|issuer| !issuer.said.issuer.is_empty() && issuer.said.issuer == token.issuer) {
            Some(issuer) => match keyless.get(&by(issuer)) {
                None => (true, format!("a token of {}, as {} believes it", token.issuer, by(issuer))),
                Some(why) => (false, format!("401, for the proxy has no keys of {} and cannot fetch them: {why}", by(issuer))),
            },
            None => (false, format!("401, for no issuer of tokens here is {:?}", token.issuer)),
        },
        None => match found.iter().find(|issuer| issuer.said.required) {
            Some(issuer) => (false, format!("401, for {} demands a token, and there is none", by(issuer))),
            None => (true, format!("no token, and {} demands none", by(first))),
        },
    })
}

/// The token that stands there once; `None` where there is none, or what is there is none of ours to read.
fn bearer(head: &RequestHead) -> Result<Option<String>, Refused> {
    let mut fields = head.headers.get_all("authorization");
    let Some(field) = fields.next() else { return Ok(None) };
    let scheme = field.split(|b| *b == b' ').next().unwrap_or_default();
    match (scheme.eq_ignore_ascii_case(b"bearer"), fields.next()) {
        // Of two nobody knows which the application takes.
        (_, Some(_)) => Err(Refused::Malformed),
        (false, None) => Ok(None),
        (true, None) if field.len() > identity::limits::JWT_BYTES + scheme.len() + 1 => Err(Refused::TooLong),
        (true, None) => {
            let text = std::str::from_utf8(&field[scheme.len()..]).map_err(|_| Refused::Malformed)?;
            Ok(Some(text.trim().to_owned()))
        }
    }
}

/// By the issuer that it names, and by any of these where several objects are of one issuer.
async fn verified<'f>(worker: &Worker, found: &'f [Arc<Issuer>], text: &str, now: u64) -> Result<Verified, (&'f Arc<Issuer>, Refused)> {
    let jwt = Jwt::read(text).map_err(|refused| (&found[0], refused))?;
    let mut last = (&found[0], Refused::UnknownIssuer);
    for issuer in found.iter().filter(|issuer| !issuer.said.issuer.is_empty() && jwt.issuer() == Some(&*issuer.said.issuer)) {
        match verify(worker, issuer, &jwt, now) {
            Err(Refused::UnknownKey | Refused::NoKeys) if worker.shared.keys.is_fetched(&issuer.said) => {
                // Keys are rotated: whoever brings a token of a new one waits for it a moment.
                worker.shared.keys.again(&issuer.said, limits::KEYS_WAIT).await;
                match verify(worker, issuer, &jwt, now) {
                    Ok(verified) => return Ok(verified),
                    Err(refused) => last = (issuer, refused),
                }
            }
            Ok(verified) => return Ok(verified),
            Err(refused) => last = (issuer, refused),
        }
    }
    Err(last)
}

fn verify(worker: &Worker, issuer: &Arc<Issuer>, jwt: &Jwt<'_>, now: u64) -> Result<Verified, Refused> {
    let said = &issuer.said;
    let keys = keys(issuer, &worker.shared.keys).ok_or(Refused::NoKeys)?;
    let demands = Demands { algorithms: &said.algorithms, audiences: &said.audiences, leeway: said.leeway };
    let claims = jwt.verify(&keys, &demands, now)?;
    let until = claims.expires.saturating_add(said.leeway.as_secs());
    Ok(Verified { issuer: issuer.clone(), keys, token: Arc::new(token(&claims.all)), until })
}

fn keys(issuer: &Issuer, store: &Store) -> Option<Arc<Keys>> {
    issuer.inline.clone().or_else(|| store.keys(&issuer.said))
}

/// Why a request is refused that brings no token.
const MISSING: &str = "missing";

fn missing(worker: &Worker, found: &[Arc<Issuer>]) -> Result<Option<Arc<Token>>, Stop> {
    let Some(issuer) = found.iter().find(|issuer| issuer.said.required) else { return Ok(None) };
    count(worker, &issuer.by(), MISSING);
    let why = format!("{} demands a token, and there is none", issuer.said.origin.object);
    let fields = vec![("WWW-Authenticate", "Bearer".into())];
    Err(Stop { by: Some(issuer.by()), fields, ..Stop::new(Fault::Unauthenticated, why) })
}

fn stop(worker: &Worker, issuer: &Arc<Issuer>, refused: Refused) -> Stop {
    count(worker, &issuer.by(), refused.label());
    let value = format!("Bearer error=\"invalid_token\", error_description=\"{refused}\"");
    let why = format!("{refused}, says {}", issuer.said.origin.object);
    Stop { by: Some(issuer.by()), fields: vec![("WWW-Authenticate", value.into())], ..Stop::new(Fault::Unauthenticated, why) }
}

/// Bytes came where this issuer demands a token.
pub fn count_missing(worker: &Worker, issuer: &str) {
    count(worker, issuer, MISSING);
}

fn count(worker: &Worker, issuer: &str, cause: &str) {
    let help = "Requests and connections that were refused for their token, or for having none, by why";
    let labels = [("issuer", issuer), ("cause", cause)];
    worker.shared.metrics.counter("organza_token_refused", help, &labels).add(1.0);
}

/// A token that was believed.
#[derive(Clone)]
struct Verified {
    issuer: Arc<Issuer>,
    keys: Arc<Keys>,
    token: Arc<Token>,
    /// Seconds since the Unix epoch, leeway included.
    until: u64,
}

impl Verified {
    /// Whether it would be believed still: by the same words of its issuer, the same keys, and in time.
    fn holds(&self, found: &[Arc<Issuer>], store: &Store, now: u64) -> bool {
        now < self.until
            && found.iter().any(|issuer| Arc::ptr_eq(issuer, &self.issuer))
            && keys(&self.issuer, store).is_some_and(|keys| Arc::ptr_eq(&keys, &self.keys))
    }
}

/// Tokens that one worker believed, by their hash: nobody else learns of them.
#[derive(Default)]
pub struct Known(HashMap<[u8; 32], Verified>);

impl Known {
    fn get(&self, digest: &[u8; 32]) -> Option<&Verified> {
        self.0.get(digest)
    }

    fn put(&mut self, digest: [u8; 32], verified: Verified) {
        if self.0.len() >= limits::TOKENS_KNOWN {
            self.0.clear();
        }
        self.0.insert(digest, verified);
    }
}

#[cfg(test)]
mod tests;
