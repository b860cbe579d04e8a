//! The authority's files, kept under `ca/` for their owner alone. Signing and rotation are `identity`'s; here is only where the files are.

use identity::{Authority, AuthorityFiles};
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

/// Opens the authority of a mesh, or makes a new one. `own` is a chain and a key of the user's.
pub fn open(folder: &Path, domain: &TrustDomain, own: Option<(&Path, &Path)>, now: SystemTime) -> Result<Authority, CaError> {
    if let Some((chain, key)) = own {
        let (chain, key) = (read(chain)?, Zeroizing::new(read(key)?));
        return Ok(Authority::from_user(domain.clone(), &chain, &key, now)?);
    }
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(CaError::File(folder.to_owned(), e)),
        _ => {}
    }
    if folder.join("roots.crt").exists() {
        return Ok(Authority::load(domain.clone(), &load(folder)?, now)?);
    }
    let authority = Authority::create(domain.clone(), now)?;
    save(folder, &authority)?;
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

/// Writes all of it; called after creation and rotation.
pub fn save(folder: &Path, authority: &Authority) -> Result<(), CaError> {
    let files = authority.files();
    if let Some(key) = &files.root_key {
        write(&folder.join("root.key"), key.as_bytes())?;
    }
    write(&folder.join("issuing.key"), files.issuing_key.as_bytes())?;
    write(&folder.join("issuing.crt"), files.issuing.as_bytes())?;
    write(&folder.join("in-use"), files.in_use.as_bytes())?;
    // Last: its presence says that the others are whole.
    write(&folder.join("roots.crt"), files.roots.as_bytes())
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
