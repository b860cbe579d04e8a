//! A child's log: what it writes to standard output and error, copied line by line into a file that is rotated by size, so that a
//! chatty child fills no disk. A disk that is full loses lines, never the child.

use crate::limits;
use proxy::rotated::Rotated;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

#[derive(Debug, Clone)]
pub struct LogFile(Arc<Mutex<Rotated>>);

impl LogFile {
    pub fn open(path: &Path) -> io::Result<Self> {
        Rotated::open(path, limits::LOG_BYTES, limits::LOGS_KEPT).map(|open| Self(Arc::new(Mutex::new(open))))
    }

    pub fn line(&self, line: &[u8]) {
        let mut open = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // What cannot be written is lost: the alternative would be to stop the child.
        let _ = open.line(line);
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

#[cfg(test)]
mod tests;
