//! The authority's files, kept under `ca/` for their owner alone. Signing and rotation are `identity`'s; here is only where the files are.

use identity::{Authority, AuthorityFiles, NewRoot};
use model::TrustDomain;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use zeroize::Zeroizing;

#[derive(Debug, thiserror::Error)]
pub enum CaError {
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    #[error("certificate authority: {0}")]
    Identity(#[from] identity::Error),
}

/// The root that signs next, certificate and key.
const NEXT: &str = "next-root.pem";

/// Opens the authority of a mesh, or makes a new one. `own` is a chain and a key of the user's.
pub fn open(folder: &Path, domain: &TrustDomain, own: Option<(&Path, &Path)>, now: SystemTime) -> Result<Authority, CaError> {
    if let Some((chain, key)) = own {
        let (chain, key) = (read(chain)?, Zeroizing::new(read(key)?));
        return Ok(Authority::from_user(domain.clone(), &chain, &key, now)?);
    }
    if folder.join("roots.crt").exists() {
        return Ok(Authority::load(domain.clone(), &load(folder)?, now)?);
    }
    let authority = Authority::create(domain.clone(), now)?;
    save(folder, &authority, None)?;
    Ok(authority)
}

fn load(folder: &Path) -> Result<AuthorityFiles, CaError> {
    let text = |name: &str| read(&folder.join(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let root_key = folder.join("root.key").exists().then(|| text("root.key")).transpose()?;
    Ok(AuthorityFiles {
        roots: text("roots.crt")?,
        root_key: root_key.map(Zeroizing::new),
        issuing: text("issuing.crt")?,
        issuing_key: Zeroizing::new(text("issuing.key")?),
        in_use: text("in-use").unwrap_or_default(),
    })
}

/// Until when certificates under each root are valid: all that signing changes.
pub fn save_use(folder: &Path, authority: &Authority) -> Result<(), CaError> {
    write(&folder.join("in-use"), authority.files().in_use.as_bytes())
}

/// Writes all of it, with the root that signs next where there is one. The folder is exchanged as a whole: certificates and keys of different
/// times are never seen together.
pub fn save(folder: &Path, authority: &Authority, next: Option<&NewRoot>) -> Result<(), CaError> {
    let fail = |e: io::Error| CaError::File(folder.to_owned(), e);
    let beside = folder.with_extension("new");
    remove(&beside)?;
    std::fs::DirBuilder::new().mode(0o700).create(&beside).map_err(fail)?;
    let files = authority.files();
    if let Some(key) = &files.root_key {
        write(&beside.join("root.key"), key.as_bytes())?;
    }
    if let Some(next) = next {
        write(&beside.join(NEXT), next.to_pem().as_bytes())?;
    }
    write(&beside.join("issuing.key"), files.issuing_key.as_bytes())?;
    write(&beside.join("issuing.crt"), files.issuing.as_bytes())?;
    write(&beside.join("in-use"), files.in_use.as_bytes())?;
    write(&beside.join("roots.crt"), files.roots.as_bytes())?;
    exchange(&beside, folder)
}

fn exchange(beside: &Path, folder: &Path) -> Result<(), CaError> {
    let fail = |e: io::Error| CaError::File(folder.to_owned(), e);
    if !folder.exists() {
        return std::fs::rename(beside, folder).map_err(fail);
    }
    let exchange = rustix::fs::RenameFlags::EXCHANGE;
    rustix::fs::renameat_with(rustix::fs::CWD, beside, rustix::fs::CWD, folder, exchange).map_err(|e| fail(e.into()))?;
    remove(beside)
}

/// All that a folder may hold.
const FILES: [&str; 6] = ["roots.crt", "root.key", "issuing.crt", "issuing.key", "in-use", NEXT];

/// A file's name and what it holds.
pub type File = (String, Zeroizing<Vec<u8>>);

/// What a folder holds: to be kept elsewhere, and shared.
pub fn files(folder: &Path) -> Result<Vec<File>, CaError> {
    let there = FILES.iter().filter(|name| folder.join(name).exists());
    there.map(|name| Ok(((*name).to_owned(), Zeroizing::new(read(&folder.join(name))?)))).collect()
}

/// Puts what was kept elsewhere in the folder's place, as a whole.
pub fn replace(folder: &Path, files: &[(&str, &[u8])]) -> Result<(), CaError> {
    let beside = folder.with_extension("new");
    remove(&beside)?;
    std::fs::DirBuilder::new().mode(0o700).create(&beside).map_err(|e| CaError::File(folder.to_owned(), e))?;
    for (name, bytes) in files.iter().filter(|(name, _)| FILES.contains(name)) {
        write(&beside.join(name), bytes)?;
    }
    exchange(&beside, folder)
}

fn remove(folder: &Path) -> Result<(), CaError> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(CaError::File(folder.to_owned(), e)),
        _ => Ok(()),
    }
}

/// The root that a rotation was about to sign with when this process's predecessor ended.
pub fn load_next(folder: &Path, authority: &Authority) -> Result<Option<NewRoot>, CaError> {
    let path = folder.join(NEXT);
    if !path.exists() {
        return Ok(None);
    }
    let next = NewRoot::from_pem(&Zeroizing::new(read(&path)?))?;
    Ok(Some(next).filter(|next| authority.fingerprints().contains(&next.fingerprint())))
}

fn read(path: &Path) -> Result<Vec<u8>, CaError> {
    std::fs::read(path).map_err(|e| CaError::File(path.to_owned(), e))
}

/// Whole or not at all, for its owner alone.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CaError> {
    use std::io::Write;
    let beside = path.with_extension("new");
    let all = || {
        let _ = std::fs::remove_file(&beside);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    all().map_err(|e| CaError::File(path.to_owned(), e))
}
