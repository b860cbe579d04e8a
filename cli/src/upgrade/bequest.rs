//! How a supervisor becomes a newer program: `exec` in place, so that it stays the parent of its children, keeps its number, its terminal and its lock,
//! and is who registered what it registered. What it knows and holds travels as one message with descriptors in a socket that the new program finds
//! as its standard input, and puts the old one back.

use crate::child::Pipes;
use crate::failure::{Context, Failure, Outcome};
use crate::supervise::Released;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use tokio::net::UnixStream;
use transport::handover::Channel;

/// Of what is handed over; another number means other pages.
pub const FORMAT: u32 = 1;
/// Says on a command line that the rest is to be found on standard input.
pub const RESUME: &str = "--resume";

/// Descriptors, in the order in which the pages of a bequest name them.
#[derive(Debug, Default)]
pub struct Descriptors(VecDeque<OwnedFd>);

/// Children, as a page names them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Children {
    #[serde(default)]
    serving: Option<OneChild>,
    #[serde(default)]
    elders: Vec<OneChild>,
}

#[derive(Debug, Serialize, Deserialize)]
struct OneChild {
    pid: u32,
    lifeline: bool,
    outputs: usize,
}

impl Descriptors {
    pub fn put(&mut self, descriptor: OwnedFd) {
        self.0.push_back(descriptor);
    }

    pub fn take(&mut self) -> Outcome<OwnedFd> {
        self.0.pop_front().ok_or_else(|| Failure::problem("what was handed over lacks a descriptor"))
    }

    pub fn put_children(&mut self, released: Released) -> Children {
        Children {
            serving: released.serving.map(|child| self.put_child(child)),
            elders: released.elders.into_iter().map(|child| self.put_child(child)).collect(),
        }
    }

    fn put_child(&mut self, (pid, pipes): (u32, Pipes)) -> OneChild {
        let child = OneChild { pid, lifeline: pipes.lifeline.is_some(), outputs: pipes.outputs.len() };
        self.0.extend(pipes.lifeline.into_iter().chain(pipes.outputs));
        child
    }

    pub fn take_children(&mut self, children: Children) -> Outcome<Released> {
        let serving = children.serving.map(|child| self.take_child(&child)).transpose()?;
        let elders = children.elders.iter().map(|child| self.take_child(child)).collect::<Outcome<_>>()?;
        Ok(Released { serving, elders })
    }

    fn take_child(&mut self, child: &OneChild) -> Outcome<(u32, Pipes)> {
        let lifeline = child.lifeline.then(|| self.take()).transpose()?;
        let outputs = (0..child.outputs).map(|_| self.take()).collect::<Outcome<_>>()?;
        Ok((child.pid, Pipes { lifeline, outputs }))
    }
}

/// Becomes `program`, which goes on with `page` and the descriptors. Returns only where that fails, and then nothing has been given away.
pub async fn become_program(program: &Path, page: &impl Serialize, descriptors: &Descriptors) -> Failure {
    match prepared(page, descriptors).await {
        Ok(stdin) => {
            let mut command = std::process::Command::new(program);
            let failed = command.args(resuming(std::env::args_os().skip(1))).stdin(Stdio::from(stdin)).exec();
            Failure::problem(format!("{} cannot be run", program.display())).why(failed)
        }
        Err(failure) => failure,
    }
}

/// The same command, told to resume.
fn resuming(mut arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut all: Vec<OsString> = arguments.next().into_iter().collect();
    let rest: Vec<OsString> = arguments.collect();
    if rest.first().is_none_or(|first| first != RESUME) {
        all.push(RESUME.into());
    }
    all.extend(rest);
    all
}

/// The end of a socket in which all waits to be read.
async fn prepared(page: &impl Serialize, descriptors: &Descriptors) -> Outcome<OwnedFd> {
    let message = serde_json::to_vec(page).doing(|| "write what is handed over".into())?;
    let (ours, theirs) = UnixStream::pair().doing(|| "make a socket".into())?;
    let stdin = std::io::stdin();
    let all: Vec<_> = std::iter::once(stdin.as_fd()).chain(descriptors.0.iter().map(AsFd::as_fd)).collect();
    let mut channel = Channel::new(ours);
    // It must all wait in the socket: nobody reads yet.
    let sent = tokio::time::timeout(crate::limits::ANSWER, channel.send(&message, &all)).await;
    sent.map_err(|_| Failure::problem("too much to hand over"))?.doing(|| "hand over".into())?;
    theirs.into_std().map(OwnedFd::from).doing(|| "hand over".into())
}

/// What the program before left, and standard input as it was.
pub async fn receive<T: DeserializeOwned>() -> Outcome<(T, Descriptors)> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned().doing(|| "read standard input".into())?;
    let stream = std::os::unix::net::UnixStream::from(socket);
    let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream)).map_err(|error| nothing().why(error))?;
    let (page, mut descriptors) = read(stream).await?;
    rustix::stdio::dup2_stdin(descriptors.take()?).map_err(std::io::Error::from).doing(|| "restore standard input".into())?;
    Ok((page, descriptors))
}

/// The page, and all descriptors that came with it.
async fn read<T: DeserializeOwned>(stream: UnixStream) -> Outcome<(T, Descriptors)> {
    let received = tokio::time::timeout(crate::limits::ANSWER, Channel::new(stream).recv()).await;
    let frame = received.map_err(|_| nothing())?.map_err(|error| nothing().why(error))?.ok_or_else(nothing)?;
    let page = serde_json::from_slice(&frame.message).doing(|| "read what was handed over".into())?;
    Ok((page, Descriptors(frame.descriptors.into())))
}

fn nothing() -> Failure {
    Failure::usage(format!("{RESUME} is how organza itself goes on as a newer program")).remedy("leave it out")
}

#[cfg(test)]
mod tests;
