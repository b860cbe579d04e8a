//! Where authorities are kept that somebody trusts: the machine's own place, and the databases of browsers (NSS: Chromium's, Firefox's).

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The machine's, by where they are put and what makes them count: Debian and Alpine, Fedora, Arch, SUSE.
const MACHINES: &[(&str, &[&str])] = &[
    ("usr/local/share/ca-certificates", &["update-ca-certificates"]),
    ("etc/pki/ca-trust/source/anchors", &["update-ca-trust", "extract"]),
    ("etc/ca-certificates/trust-source/anchors", &["update-ca-trust", "extract"]),
    ("usr/share/pki/trust/anchors", &["update-ca-certificates"]),
];
/// Folders of a user's home that hold databases of browsers, or folders of them.
const BROWSERS: &[&str] = &[".pki/nssdb", "snap/chromium/current/.pki/nssdb", ".mozilla/firefox", "snap/firefox/common/.mozilla/firefox"];
const FILE: &str = "organza-development.crt";
const NICKNAME: &str = "Organza development authority";

#[derive(Debug, PartialEq, Eq)]
pub enum Store {
    Machine { folder: PathBuf, command: Vec<String> },
    Browser { folder: PathBuf },
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine { folder, .. } => write!(f, "this machine ({})", folder.display()),
            Self::Browser { folder } => write!(f, "browsers of {}", folder.display()),
        }
    }
}

pub fn all() -> Vec<Store> {
    found(Path::new("/"), std::env::var_os("HOME").map(PathBuf::from).as_deref())
}

/// Those of a file system and of a home.
pub fn found(root: &Path, home: Option<&Path>) -> Vec<Store> {
    let machine = MACHINES.iter().map(|(folder, command)| (root.join(folder), command)).find(|(folder, _)| folder.is_dir());
    let machine = machine.map(|(folder, command)| Store::Machine { folder, command: command.iter().map(|&word| word.into()).collect() });
    let homes = home.into_iter().flat_map(|home| BROWSERS.iter().map(move |folder| home.join(folder)));
    let profiles = |folder: PathBuf| -> Vec<PathBuf> {
        let inner = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut all: Vec<PathBuf> = std::iter::once(folder.clone()).chain(inner).filter(|path| path.join("cert9.db").is_file()).collect();
        all.sort();
        all
    };
    machine.into_iter().chain(homes.flat_map(profiles).map(|folder| Store::Browser { folder })).collect()
}

impl Store {
    /// Whether something was done, or why it could not be.
    pub fn add(&self, file: &Path, certificate: &str) -> Result<bool, String> {
        match self {
            Self::Machine { folder, command } => {
                let place = folder.join(FILE);
                if std::fs::read_to_string(&place).is_ok_and(|there| there == certificate) {
                    return Ok(true);
                }
                let by_hand = || format!("sudo cp {} {} && sudo {}", file.display(), place.display(), command.join(" "));
                std::fs::write(&place, certificate).map_err(|e| format!("{e}; its administrator can: {}", by_hand()))?;
                ran(&command.iter().map(String::as_str).collect::<Vec<_>>()).map(|()| true)
            }
            Self::Browser { folder } => {
                // One of another authority has the same name there.
                let _ = self.remove();
                certutil(folder, &["-A", "-t", "C,,", "-n", NICKNAME, "-i", &file.to_string_lossy()]).map(|()| true)
            }
        }
    }

    /// The same.
    pub fn remove(&self) -> Result<bool, String> {
        match self {
            Self::Machine { folder, command } => {
                let place = folder.join(FILE);
                if !place.exists() {
                    return Ok(false);
                }
                let by_hand = || format!("sudo rm {} && sudo {}", place.display(), command.join(" "));
                std::fs::remove_file(&place).map_err(|e| format!("{e}; its administrator can: {}", by_hand()))?;
                ran(&command.iter().map(String::as_str).collect::<Vec<_>>()).map(|()| true)
            }
            Self::Browser { folder } => match certutil(folder, &["-L", "-n", NICKNAME]) {
                Err(why) if why.contains("libnss3-tools") => Err(why),
                Err(_) => Ok(false),
                Ok(()) => certutil(folder, &["-D", "-n", NICKNAME]).map(|()| true),
            },
        }
    }
}

fn certutil(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let database = format!("sql:{}", folder.display());
    ran(&[&["certutil", "-d", database.as_str()][..], arguments].concat())
}

/// Says what the program said where it failed.
fn ran(words: &[&str]) -> Result<(), String> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().map_err(|e| match *program {
        "certutil" => format!("certutil: {e}; it is in the package libnss3-tools or nss-tools"),
        _ => format!("{program}: {e}"),
    })?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
