//! A file of lines that is put aside where it would grow too large, so that whoever is chatty fills no disk. For its owner alone. It knows no line.
//! Another process may write the same file, as both of a hot restart do: who finds it put aside goes on in the new one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub struct Rotated {
    path: PathBuf,
    file: File,
    size: u64,
    most: u64,
    kept: u32,
}

impl Rotated {
    /// Goes on where it was. `most` bytes of it, and `kept` that were put aside: `NAME.1` is the latest of them.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path, most: u64, kept: u32) -> io::Result<Self> {
        let file = append_to(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, size, most, kept })
    }

    /// `line` has no end of its own.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let more = line.len() as u64 + 1;
        if self.is_full(more) {
            // Another process may have put it aside, or emptied it: what is there now decides.
            self.reopen()?;
            if self.is_full(more) {
                self.rotate()?;
            }
        }
        let mut whole = Vec::with_capacity(line.len() + 1);
        whole.extend_from_slice(line);
        whole.push(b'\n');
        self.file.write_all(&whole)?;
        self.size += whole.len() as u64;
        Ok(())
    }

    fn is_full(&self, more: u64) -> bool {
        self.size > 0 && self.size + more > self.most
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = append_to(&self.path)?;
        self.size = file.metadata()?.len();
        self.file = file;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.kept == 0 {
            // Not emptied: another process may have just begun to write it.
            unless_gone(std::fs::remove_file(&self.path))?;
        }
        for n in (1..=self.kept).rev() {
            let from = if n == 1 { self.path.clone() } else { numbered(&self.path, n - 1) };
            unless_gone(std::fs::rename(from, numbered(&self.path, n)))?;
        }
        self.reopen()
    }
}

fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn numbered(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    PathBuf::from(name)
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests;
