//! The file that this process runs. Asked before anything else: later another file may lie at its place, and the kernel would call ours deleted.

use crate::failure::{Context, Outcome};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

static OWN: OnceLock<PathBuf> = OnceLock::new();

/// To be called first in `main`.
pub fn remember() {
    if let Ok(path) = std::env::current_exe() {
        let _ = OWN.set(path);
    }
}

/// Where children of this program are started from: what lies there then is what they run.
pub fn own() -> Outcome<&'static Path> {
    if let Some(path) = OWN.get() {
        return Ok(path);
    }
    let path = std::env::current_exe().doing(|| "find the organza program".into())?;
    Ok(OWN.get_or_init(|| path))
}
