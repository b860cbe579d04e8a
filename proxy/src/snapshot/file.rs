//! The last acknowledged step on disk, so that a proxy restarted without its control plane serves at once. 0600, written beside and
//! renamed, with a checksum; a file that is cut or changed is refused with a reason and not used.

use crate::limits;
use model::Key;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use wire::delta::Applied;
use wire::v1;

const MAGIC: &[u8; 8] = b"OGZSNAP1";
const HEADER: usize = 8 + 32;

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is larger than {} bytes", limits::SNAPSHOT_BYTES)]
    TooLarge,
    #[error("is no snapshot of this release")]
    Magic,
    #[error("is cut short or changed: its checksum does not fit")]
    Checksum,
    #[error("cannot be decoded: {0}")]
    Malformed(String),
}

/// What the file holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    pub generation: u64,
    pub held: BTreeMap<Arc<str>, Applied>,
    pub answers: BTreeMap<Arc<str>, Option<Key>>,
}

/// `None` where there is no file yet.
pub fn read(path: &Path) -> Result<Option<Stored>, SnapshotError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
        Ok(metadata) if metadata.len() > limits::SNAPSHOT_BYTES => return Err(SnapshotError::TooLarge),
        Ok(_) => {}
    }
    decode(&fs::read(path)?).map(Some)
}

pub fn write(path: &Path, stored: &Stored) -> io::Result<()> {
    write_private(path, &encode(stored))
}

/// Puts a private file in place whole: beside it, 0600, synced, renamed.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(beside, path)
}

fn encode(stored: &Stored) -> Vec<u8> {
    let entry = |(name, applied): (&Arc<str>, &Applied)| v1::snapshot::Entry {
        name: name.to_string(),
        version: applied.version.to_string(),
        resource: applied.bytes.clone(),
    };
    let alias = |(name, key): (&Arc<str>, &Option<Key>)| v1::snapshot::Alias {
        subscription: name.to_string(),
        name: key.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    let body = wire::stored::to_bytes(&v1::Snapshot {
        generation: stored.generation,
        entries: stored.held.iter().map(entry).collect(),
        aliases: stored.answers.iter().map(alias).collect(),
    });
    let mut out = Vec::with_capacity(HEADER + body.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&Sha256::digest(&body));
    out.extend_from_slice(&body);
    out
}

fn decode(bytes: &[u8]) -> Result<Stored, SnapshotError> {
    let (magic, rest) = bytes.split_at_checked(MAGIC.len()).ok_or(SnapshotError::Magic)?;
    if magic != MAGIC {
        return Err(SnapshotError::Magic);
    }
    let (checksum, body) = rest.split_at_checked(32).ok_or(SnapshotError::Checksum)?;
    if Sha256::digest(body)[..] != *checksum {
        return Err(SnapshotError::Checksum);
    }
    let message = wire::stored::from_bytes(body).map_err(SnapshotError::Malformed)?;
    let mut stored = Stored { generation: message.generation, ..Stored::default() };
    for entry in message.entries {
        stored.held.insert(entry.name.into(), Applied { version: entry.version.into(), bytes: entry.resource });
    }
    for alias in message.aliases {
        let key = match alias.name.as_str() {
            "" => None,
            name => match Key::parse(name) {
                Some(key) => Some(key),
                // Of a later release: it is asked for again, and all else is good.
                None => continue,
            },
        };
        stored.answers.insert(alias.subscription.into(), key);
    }
    Ok(stored)
}

#[cfg(test)]
mod tests;
