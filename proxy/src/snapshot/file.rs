//! The last acknowledged step on disk, so that a proxy restarted without its control plane serves at once. 0600, written beside and
//! renamed, with a checksum; a file that is cut or changed is refused with a reason and not used.
//!
//! The bytes of resources lie here alone: what changed comes with its bytes, and the rest is taken over from the file before.

use crate::limits;
use bytes::Bytes;
use model::Key;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use wire::delta::{Applied, Version};
use wire::stored::{self, Piece, Pieces};
use wire::v1::snapshot::{Alias, Entry};

const MAGIC: &[u8; 8] = b"OGZSNAP1";
const HEADER: u64 = 8 + 32;

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
    Malformed(io::Error),
    /// The file before lacks what is not new: it was taken or changed, or another process of this proxy wrote it last.
    #[error("cannot be made anew: {0} resources are neither new nor in the file before{1}")]
    Lost(usize, String),
}

/// What the file holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    pub generation: u64,
    pub held: BTreeMap<Key, Applied>,
    pub answers: BTreeMap<Arc<str>, Option<Key>>,
}

/// What it is to hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    pub generation: u64,
    /// The version of each; none where the bytes are lost and asked for again.
    pub held: BTreeMap<Key, Version>,
    pub answers: BTreeMap<Arc<str>, Option<Key>>,
}

/// Bytes of resources that no file has yet.
pub type Fresh = BTreeMap<Key, Applied>;

/// `None` where there is no file yet.
pub fn read(path: &Path) -> Result<Option<Stored>, SnapshotError> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        file => decode(file?).map(Some),
    }
}

/// Puts the file in place that holds what is `kept`; what is not `fresh` comes from the file that is there.
pub fn write(path: &Path, kept: &Kept, fresh: &Fresh) -> Result<(), SnapshotError> {
    private(path, |file| encode(file, open(path), kept, fresh))
}

/// Puts a private file in place whole: beside it, 0600, synced, renamed.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    private(path, |file| file.write_all(bytes))
}

fn private<E: From<io::Error>>(path: &Path, write: impl FnOnce(&mut File) -> Result<(), E>) -> Result<(), E> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    let placed = write(&mut file).and_then(|()| file.sync_all().and_then(|()| fs::rename(beside, path)).map_err(E::from));
    if placed.is_err() {
        // On a full disk a half would take what room there is.
        _ = fs::remove_file(beside);
    }
    placed
}

/// The pieces of the file that is there, if it is whole.
fn open(path: &Path) -> Result<Pieces<BufReader<File>>, SnapshotError> {
    pieces(File::open(path)?)
}

fn pieces<F: Read + Seek>(mut file: F) -> Result<Pieces<BufReader<F>>, SnapshotError> {
    if file.seek(SeekFrom::End(0))? > limits::SNAPSHOT_BYTES {
        return Err(SnapshotError::TooLarge);
    }
    file.rewind()?;
    let (mut magic, mut checksum) = ([0; 8], [0; 32]);
    if file.read_exact(&mut magic).is_err() || magic != *MAGIC {
        return Err(SnapshotError::Magic);
    }
    file.read_exact(&mut checksum).map_err(|_| SnapshotError::Checksum)?;
    let mut digest = Sha256::new();
    io::copy(&mut file, &mut digest)?;
    if digest.finalize()[..] != checksum {
        return Err(SnapshotError::Checksum);
    }
    file.seek(SeekFrom::Start(HEADER))?;
    Ok(Pieces::new(BufReader::new(file)))
}

/// Adds up the checksum of what is written, and its length.
struct Summed<W> {
    to: W,
    digest: Sha256,
    length: u64,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn encode<W: Write + Seek, R: Read>(
    file: &mut W,
    before: Result<Pieces<R>, SnapshotError>,
    kept: &Kept,
    fresh: &Fresh,
) -> Result<(), SnapshotError> {
    file.seek(SeekFrom::Start(HEADER))?;
    let checksum = write_pieces(file, before, kept, fresh)?;
    file.rewind()?;
    file.write_all(MAGIC)?;
    Ok(file.write_all(&checksum)?)
}

/// Gives their checksum.
fn write_pieces<R: Read>(
    file: &mut impl Write,
    before: Result<Pieces<R>, SnapshotError>,
    kept: &Kept,
    fresh: &Fresh,
) -> Result<[u8; 32], SnapshotError> {
    let mut to = Summed { to: BufWriter::new(file), digest: Sha256::new(), length: HEADER };
    stored::write(&mut to, Piece::Generation(kept.generation))?;
    for (name, key) in &kept.answers {
        let alias = Alias { subscription: name.to_string(), name: key.as_ref().map(Key::to_string).unwrap_or_default() };
        stored::write(&mut to, Piece::Alias(alias))?;
    }
    let wanted = kept.held.values().filter(|version| !version.is_none()).count();
    let is_held = |key: &Key, version: &Version| !version.is_none() && kept.held.get(key) == Some(version);
    let mut written = 0;
    for (key, applied) in fresh.iter().filter(|(key, applied)| is_held(key, &applied.version)) {
        let (name, version, resource) = (key.to_string(), applied.version.to_string(), Bytes::copy_from_slice(&applied.bytes));
        stored::write(&mut to, Piece::Entry(Entry { name, version, resource }))?;
        written += 1;
    }
    let is_fresh = |key: &Key, version: &Version| fresh.get(key).is_some_and(|applied| applied.version == *version);
    let is_taken_over = |entry: &Entry| {
        let (key, version) = (Key::parse(&entry.name), Version::from(entry.version.as_str()));
        key.is_some_and(|key| is_held(&key, &version) && !is_fresh(&key, &version))
    };
    let mut why = String::new();
    match before {
        Ok(mut before) => loop {
            match before.read() {
                Ok(Some(Piece::Entry(entry))) if is_taken_over(&entry) => {
                    stored::write(&mut to, Piece::Entry(entry))?;
                    written += 1;
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    why = format!(", which {}", SnapshotError::Malformed(error));
                    break;
                }
            }
        },
        Err(error) => why = format!(", which {error}"),
    }
    if written != wanted {
        return Err(SnapshotError::Lost(wanted.abs_diff(written), why));
    }
    to.flush()?;
    if to.length > limits::SNAPSHOT_BYTES {
        return Err(SnapshotError::TooLarge);
    }
    Ok(to.digest.finalize().into())
}

fn decode<F: Read + Seek>(file: F) -> Result<Stored, SnapshotError> {
    let mut pieces = pieces(file)?;
    let mut stored = Stored::default();
    while let Some(piece) = pieces.read().map_err(SnapshotError::Malformed)? {
        match piece {
            Piece::Generation(generation) => stored.generation = generation,
            Piece::Entry(entry) => {
                // One that this release has no name for it cannot read either: it is asked for again.
                if let Some(key) = Key::parse(&entry.name) {
                    stored.held.insert(key, Applied { version: entry.version.into(), bytes: entry.resource[..].into() });
                }
            }
            Piece::Alias(alias) => {
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
        }
    }
    Ok(stored)
}

#[cfg(test)]
mod tests;
