//! Where a mesh keeps its things: `$XDG_STATE_HOME/organza/MESH/` (default `~/.local/state`). One file names all paths; nothing else spells
//! them.

use crate::failure::{Context, Failure, Outcome};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub const DEFAULT_MESH: &str = "default";

#[derive(Debug, Clone)]
pub struct Place {
    pub mesh: String,
    root: PathBuf,
    /// Whether proxies that are started from here write a line for each request.
    access_log: bool,
    /// Where this machine is, for those proxies.
    locality: Option<String>,
    /// From which port on they show their metrics, on loopback; nowhere where it is none.
    metrics: Option<u16>,
}

impl Place {
    pub fn of(mesh: &str) -> Outcome<Self> {
        let good = !mesh.is_empty() && mesh.len() <= 40 && mesh.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !good {
            return Err(
                Failure::usage(format!("{mesh:?} is no name for a mesh")).remedy("use lower-case letters, digits and dashes, at most 40")
            );
        }
        Ok(Self { mesh: mesh.to_owned(), root: state_home()?.join("organza").join(mesh), access_log: false, locality: None, metrics: None })
    }

    /// A place of a test's own.
    #[cfg(test)]
    pub fn at(root: &Path, mesh: &str) -> Self {
        Self { mesh: mesh.to_owned(), root: root.to_owned(), access_log: false, locality: None, metrics: None }
    }

    pub fn with_access_log(self, access_log: bool) -> Self {
        Self { access_log, ..self }
    }

    /// `region/zone`, for proxies that are started from here.
    pub fn with_locality(self, locality: Option<String>) -> Self {
        Self { locality, ..self }
    }

    pub fn with_metrics(self, metrics: Option<u16>) -> Self {
        Self { metrics, ..self }
    }

    pub fn metrics(&self) -> Option<u16> {
        self.metrics
    }

    pub fn locality(&self) -> Option<&str> {
        self.locality.as_deref()
    }

    pub fn access_log(&self) -> bool {
        self.access_log
    }

    /// Makes the folders, for their owner alone.
    pub fn prepare(&self) -> Outcome {
        for folder in [self.root.clone(), self.logs(), self.proxies()] {
            make_folder(&folder)?;
        }
        Ok(())
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn control_socket(&self) -> PathBuf {
        self.root.join("control.sock")
    }

    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// Where the supervisors of this machine are asked to upgrade.
    pub fn supervisors(&self) -> PathBuf {
        self.root.join("supervisors")
    }

    pub fn proxies(&self) -> PathBuf {
        self.root.join("proxies")
    }

    pub fn proxy(&self, name: &str) -> PathBuf {
        self.proxies().join(name)
    }

    /// Files that `up --to` and the demo write for the user.
    pub fn config(&self) -> PathBuf {
        self.root.join("config")
    }

    fn lock_file(&self) -> PathBuf {
        self.root.join("up.pid")
    }

    /// Takes the mesh for this process. The lock goes with the process, however it ends.
    pub fn take(&self) -> Outcome<Taken> {
        self.prepare()?;
        let path = self.lock_file();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .doing(|| format!("open {}", path.display()))?;
        if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
            let holder = read_pid(&mut file).map_or(String::new(), |pid| format!(", held by process {pid}"));
            return Err(Failure::problem(format!("mesh {:?} is already up{holder}", self.mesh))
                .remedy(format!("organza down --mesh {0}, or give this one another name with --mesh", self.mesh)));
        }
        use std::io::{Seek, Write};
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        written.doing(|| format!("write {}", path.display()))?;
        Ok(Taken { file })
    }

    /// Whether some process holds the mesh; it may not have said yet which.
    pub fn is_taken(&self) -> bool {
        let locked = |file: File| rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_err();
        File::open(self.lock_file()).is_ok_and(locked)
    }

    /// What to do where this mesh is not up: those that are may be what was meant.
    pub fn remedy(&self) -> String {
        let up = self.others_up();
        let other = match up.as_slice() {
            [] => "name another with --mesh".into(),
            [one] => format!("take the one that is up: --mesh {one}"),
            several => format!("take one that is up, with --mesh: {}", several.join(", ")),
        };
        format!("start it with organza up --mesh {}, or {other}", self.mesh)
    }

    /// Names of the other meshes of this user that run on this machine.
    fn others_up(&self) -> Vec<String> {
        let folders = self.root.parent().and_then(|all| std::fs::read_dir(all).ok()).into_iter().flatten().flatten();
        let places =
            folders.filter_map(|folder| Some(Self { mesh: folder.file_name().into_string().ok()?, root: folder.path(), ..self.clone() }));
        let mut up: Vec<String> = places.filter(|place| place.mesh != self.mesh && place.is_taken()).map(|place| place.mesh).collect();
        up.sort();
        up
    }

    /// The process that holds the mesh, if any does.
    pub fn holder(&self) -> Option<u32> {
        let mut file = File::open(self.lock_file()).ok()?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared) {
            Ok(()) => None,
            Err(_) => read_pid(&mut file),
        }
    }
}

/// Proof that the mesh is ours while it lives.
#[derive(Debug)]
pub struct Taken {
    file: File,
}

impl Taken {
    /// For the program that this process becomes: the lock stays with whoever holds one of its descriptors.
    pub fn descriptor(&self) -> Outcome<OwnedFd> {
        self.file.try_clone().map(OwnedFd::from).doing(|| "hold the mesh".into())
    }

    pub fn from_descriptor(descriptor: OwnedFd) -> Self {
        Self { file: descriptor.into() }
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Where the development authority of this user lies; no mesh is called so.
pub fn trust() -> Outcome<PathBuf> {
    Ok(state_home()?.join("organza/.trust"))
}

pub fn make_folder(folder: &Path) -> Outcome {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).doing(|| format!("make the folder {}", folder.display()))
}

fn state_home() -> Outcome<PathBuf> {
    let from = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The standard says that a relative path is to be ignored.
    match from("XDG_STATE_HOME").filter(|path| path.is_absolute()) {
        Some(path) => Ok(path),
        None => from("HOME").map(|home| home.join(".local/state")).ok_or_else(|| {
            Failure::problem("no place for state: neither XDG_STATE_HOME nor HOME is set").remedy("set XDG_STATE_HOME to a folder")
        }),
    }
}
