//! Where a supervisor is asked to upgrade: a socket in the mesh's folder that carries its process number, for its owner alone. One question a
//! connection, one JSON document a line.

use crate::failure::{Context, Outcome};
use crate::limits;
use crate::place::{Place, make_folder};
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The program to become.
    pub program: PathBuf,
    pub release: String,
}

/// What is answered, as it comes to pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Word {
    Step(String),
    Done,
    Failed(String),
}

pub struct Desk {
    /// Heard by a task of its own: half a question is lost to nobody who waits for something else, too.
    heard: mpsc::Receiver<(Request, Caller)>,
    hearing: JoinHandle<()>,
    path: PathBuf,
}

impl Desk {
    pub fn open(place: &Place) -> Outcome<Self> {
        let folder = place.supervisors();
        make_folder(&folder)?;
        Self::at(folder.join(format!("{}.sock", std::process::id())))
    }

    /// Whose folder is there and private.
    pub fn at(path: PathBuf) -> Outcome<Self> {
        let listener = proxy::admin::replace(&path).doing(|| format!("open {}", path.display()))?;
        let (sender, heard) = mpsc::channel(1);
        Ok(Self { heard, hearing: tokio::spawn(listen(listener, sender)), path })
    }

    /// The next question of our own user that can be understood. Nothing is lost where it is dropped before its end.
    pub async fn asked(&mut self) -> (Request, Caller) {
        match self.heard.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}

async fn listen(listener: UnixListener, sender: mpsc::Sender<(Request, Caller)>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Ok(Some(asked)) = tokio::time::timeout(limits::ANSWER, hear(stream)).await
                    && sender.send(asked).await.is_err()
                {
                    return;
                }
            }
            Err(_) => tokio::time::sleep(limits::RESTART_FIRST).await,
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.hearing.abort();
        // Who finds it asks in vain, and cleans up.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn hear(stream: UnixStream) -> Option<(Request, Caller)> {
    if stream.peer_cred().ok()?.uid() != rustix::process::geteuid().as_raw() {
        return None;
    }
    let mut lines = BufReader::new(stream).lines();
    let request = serde_json::from_str(&lines.next_line().await.ok()??).ok()?;
    Some((request, Caller(lines.into_inner().into_inner())))
}

/// Who asked, and is told. One that went away is not missed.
pub struct Caller(UnixStream);

impl Caller {
    pub async fn step(&mut self, step: impl Into<String>) {
        self.say(&Word::Step(step.into())).await;
    }

    pub async fn end(mut self, outcome: &Outcome) {
        match outcome {
            Ok(()) => self.say(&Word::Done).await,
            Err(failure) => self.say(&Word::Failed(failure.to_string())).await,
        }
    }

    async fn say(&mut self, word: &Word) {
        let mut line = serde_json::to_vec(word).unwrap_or_default();
        line.push(b'\n');
        let _ = tokio::time::timeout(limits::CONNECT, self.0.write_all(&line)).await;
    }

    /// For whoever answers instead of us.
    pub fn into_descriptor(self) -> std::io::Result<OwnedFd> {
        self.0.into_std().map(OwnedFd::from)
    }

    pub fn from_descriptor(descriptor: OwnedFd) -> std::io::Result<Self> {
        let stream = std::os::unix::net::UnixStream::from(descriptor);
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream).map(Self)
    }
}

#[cfg(test)]
mod tests;
