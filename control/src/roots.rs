//! The rotation of the mesh's root, carried from step to step without anybody watching: the new root is believed beside the old one; once every
//! proxy that may come back has said that it believes it, it signs; once no certificate under the old one is valid any more, that is dropped.
//! Each step is on disk before it is in force, so that a control plane that is killed goes on where it was. The cryptography is `identity`'s.

use crate::ca::{self, CaError};
use crate::core::{Core, Inner, Session, now, seconds};
use identity::{Signer, certificate_times, pem};
use model::{Key, Kind, Source};
use std::time::SystemTime;
use wire::api::{Root, RootRotation, RootState, Roots};

/// Why no rotation can begin.
#[derive(Debug, thiserror::Error)]
pub enum CannotRotate {
    #[error("the certificate authority is the user's own")]
    UsersOwn,
    #[error("the root's key is not here")]
    Offline,
    #[error("a rotation is under way already")]
    UnderWay,
    #[error(transparent)]
    Store(#[from] CaError),
    #[error(transparent)]
    Identity(#[from] identity::Error),
}

impl CannotRotate {
    pub fn fix(&self) -> &'static str {
        match self {
            Self::UsersOwn => "start the mesh with the new chain: organza up --ca-cert FILE --ca-key FILE",
            Self::Offline => "put root.key back beside the other files of the authority, for as long as the rotation takes",
            Self::UnderWay => "organza ca show tells how far it is",
            Self::Store(_) => "see that the state folder can be written",
            Self::Identity(_) => "this is a mistake of Organza's: please report it",
        }
    }
}

impl Core {
    /// The first step: a new root, believed beside the old one. The others follow by themselves ([`Core::rotation_step`]).
    ///
    /// # Errors
    /// Where the root is not ours to change, or cannot be stored; nothing is changed then.
    pub fn rotate(&self) -> Result<(), CannotRotate> {
        let folder = self.ca_folder().ok_or(CannotRotate::UsersOwn)?;
        let mut inner = self.lock();
        if inner.next_root.is_some() || inner.authority.fingerprints().len() > 1 {
            return Err(CannotRotate::UnderWay);
        }
        if !inner.authority.holds_root_key() {
            return Err(CannotRotate::Offline);
        }
        let next = inner.authority.add_root(now())?;
        let fingerprint = next.fingerprint();
        if let Err(e) = ca::save(folder, &inner.authority, Some(&next)) {
            // Nothing was signed under it: it can be dropped at once.
            inner.authority.drop_root(&fingerprint, now())?;
            return Err(e.into());
        }
        inner.next_root = Some(next);
        tracing::info!("root {fingerprint} is believed from now on; it signs when every proxy has it");
        self.rebuild(&mut inner);
        Ok(())
    }

    /// One look at what comes next, and the step if it is time.
    pub fn rotation_step(&self, now: SystemTime) {
        let Some(folder) = self.ca_folder() else { return };
        let mut inner = self.lock();
        let stepped = match inner.next_root.is_some() {
            true if self.waiting_for(&inner).is_empty() => issue(&mut inner, now),
            true => return,
            false => retire(&mut inner, now),
        };
        match stepped {
            Ok(false) => return,
            Ok(true) => {}
            Err(e) => return tracing::error!("rotation of the root: {e}"),
        }
        // The one that signs is stored before anybody sees what it signed.
        if let Err(e) = ca::save(folder, &inner.authority, inner.next_root.as_ref()) {
            tracing::error!("{e}; the rotation goes on and is not yet on disk");
        }
        self.rebuild(&mut inner);
    }

    /// Proxies that have not yet said that they believe every root: those that are away are waited for, since they could not come back.
    fn waiting_for(&self, inner: &Inner) -> Vec<String> {
        let world = self.world();
        let key = Key::new(Source::organza(), Kind::TrustBundle, "", self.trust_domain.as_str());
        let since = world.get(&key).map_or(world.generation, |item| item.modified);
        let name = key.to_string();
        let believes = |proxy: &String| {
            let has = |s: &Session| s.connected && s.current >= since && !s.refused.contains_key(&name);
            // Elder processes of the same name still open connections.
            let elders = inner.leaving.iter().filter(|((other, _), _)| other == proxy);
            inner.sessions.get(proxy).is_some_and(has) && elders.map(|(_, session)| session).all(has)
        };
        inner.registry.entries().map(|entry| entry.proxy.clone()).filter(|proxy| !believes(proxy)).collect()
    }

    /// What is believed, and how far a rotation is.
    pub fn roots(&self) -> Roots {
        let inner = self.lock();
        let next = inner.next_root.as_ref().map(identity::NewRoot::fingerprint);
        let used = inner.authority.used_until();
        let items = inner.authority.roots().into_iter().zip(used).enumerate().map(|(at, (der, used_until))| {
            let fingerprint = pem::fingerprint(&der);
            let state = match at {
                0 => RootState::Signing,
                _ if next.as_ref() == Some(&fingerprint) => RootState::Next,
                _ => RootState::Retiring,
            };
            let not_after = certificate_times(&der).map_or(0, |(_, end)| seconds(end));
            Root { fingerprint, state, not_after, used_until }
        });
        let items: Vec<Root> = items.collect();
        let rotation =
            (items.len() > 1).then(|| RootRotation { waiting_for: if next.is_some() { self.waiting_for(&inner) } else { Vec::new() } });
        Roots { items, rotation }
    }
}

/// The new root signs.
fn issue(inner: &mut Inner, now: SystemTime) -> Result<bool, identity::Error> {
    let Some(next) = inner.next_root.take() else { return Ok(false) };
    let fingerprint = next.fingerprint();
    inner.authority.issue_from(next, now)?;
    tracing::info!("root {fingerprint} signs from now on; proxies renew their certificates");
    Ok(true)
}

/// Roots under which nothing is valid any more are believed no more.
fn retire(inner: &mut Inner, now: SystemTime) -> Result<bool, identity::Error> {
    let mut dropped = false;
    for fingerprint in inner.authority.fingerprints().into_iter().skip(1) {
        match inner.authority.drop_root(&fingerprint, now) {
            Ok(()) => {
                tracing::info!("root {fingerprint} is believed no more");
                dropped = true;
            }
            Err(identity::Error::RootInUse { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(dropped)
}
