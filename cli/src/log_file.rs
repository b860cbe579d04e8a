//! A child's log: what it writes to standard output and error, copied line by line into a file that is rotated by size, so that a
//! chatty child fills no disk. A disk that is full loses lines, never the child.

use crate::limits;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

#[derive(Debug, Clone)]
pub struct LogFile(Arc<Mutex<Open>>);

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    size: u64,
}

impl LogFile {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = append_to(path)?;
        let size = file.metadata()?.len();
        Ok(Self(Arc::new(Mutex::new(Open { path: path.to_owned(), file, size }))))
    }

    pub fn line(&self, line: &[u8]) {
        let mut open = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // What cannot be written is lost: the alternative would be to stop the child.
        let _ = open.write(line);
    }

    /// Copies lines until the child closes its end.
    pub async fn copy(self, from: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(from);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut lines).take(limits::LOG_LINE as u64).read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => self.line(line.strip_suffix(b"\n").unwrap_or(&line)),
            }
        }
    }
}

impl Open {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.size + line.len() as u64 + 1 > limits::LOG_BYTES {
            self.rotate()?;
        }
        let mut whole = Vec::with_capacity(line.len() + 1);
        whole.extend_from_slice(line);
        whole.push(b'\n');
        self.file.write_all(&whole)?;
        self.size += whole.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for n in (1..=limits::LOGS_KEPT).rev() {
            let from = if n == 1 { self.path.clone() } else { numbered(&self.path, n - 1) };
            match std::fs::rename(from, numbered(&self.path, n)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = append_to(&self.path)?;
        self.size = 0;
        Ok(())
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
