//! Messages with descriptors over a Unix socket, as a process hands its sockets to its successor (`SCM_RIGHTS`). What the messages say, and when a
//! successor may have what, is decided elsewhere.
//!
//! A frame is a length (u32, big-endian), a number of descriptors (the same), a byte for each [`limits::DESCRIPTORS_AT_ONCE`] of them which carries
//! them, then the message.

use crate::limits;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::net::{recvmsg, sendmsg};
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tokio::io::Interest;
use tokio::net::UnixStream;

const HEADER_BYTES: usize = 8;
/// Room for one control message with as many descriptors as are sent at once.
const CONTROL_BYTES: usize = rustix::cmsg_space!(ScmRights(limits::DESCRIPTORS_AT_ONCE));

/// One end of the conversation.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    received: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

/// A message and what came with it.
#[derive(Debug)]
pub struct Frame {
    pub message: Vec<u8>,
    pub descriptors: Vec<OwnedFd>,
}

impl Channel {
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, received: Vec::new(), descriptors: VecDeque::new() }
    }

    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Another end of the same socket: one may be read while the other is written.
    ///
    /// # Errors
    /// If descriptors have run out.
    pub fn writer(&self) -> io::Result<Self> {
        let stream = std::os::unix::net::UnixStream::from(self.stream.as_fd().try_clone_to_owned()?);
        UnixStream::from_std(stream).map(Self::new)
    }

    /// The socket itself, for whoever goes on with it. What was received and not asked for is lost.
    ///
    /// # Errors
    /// If it cannot be taken out of the event queue.
    pub fn into_descriptor(self) -> io::Result<OwnedFd> {
        self.stream.into_std().map(OwnedFd::from)
    }

    /// # Errors
    /// `InvalidInput` where it is larger than a frame may be; else those of `sendmsg(2)`.
    pub async fn send(&mut self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        if message.len() > limits::HANDOVER_BYTES || descriptors.len() > limits::DESCRIPTORS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a handover is larger than it may be"));
        }
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&(message.len() as u32).to_be_bytes());
        header[4..].copy_from_slice(&(descriptors.len() as u32).to_be_bytes());
        self.write(&header, &[]).await?;
        for some in descriptors.chunks(limits::DESCRIPTORS_AT_ONCE) {
            self.write(&[0], some).await?;
        }
        self.write(message, &[]).await
    }

    async fn write(&mut self, mut bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut rights = descriptors;
        while !bytes.is_empty() {
            let once = || {
                let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
                let mut control = SendAncillaryBuffer::new(&mut space);
                if !rights.is_empty() {
                    control.push(SendAncillaryMessage::ScmRights(rights));
                }
                Ok(sendmsg(&self.stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?)
            };
            let sent = self.stream.async_io(Interest::WRITABLE, once).await?;
            bytes = &bytes[sent..];
            rights = &[];
        }
        Ok(())
    }

    /// The next message; `None` where the other end has closed.
    ///
    /// # Errors
    /// `InvalidData` for what is no frame, `UnexpectedEof` within one; else those of `recvmsg(2)`.
    pub async fn recv(&mut self) -> io::Result<Option<Frame>> {
        let Some(header) = self.take(HEADER_BYTES, true).await? else { return Ok(None) };
        let word = |at: usize| header[at..at + 4].iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        let (length, count) = (word(0), word(4));
        if length > limits::HANDOVER_BYTES || count > limits::DESCRIPTORS {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a handover is larger than it may be"));
        }
        self.take(count.div_ceil(limits::DESCRIPTORS_AT_ONCE), false).await?;
        let message = self.take(length, false).await?.unwrap_or_default();
        if self.descriptors.len() < count {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "descriptors are missing: this process may have too many open"));
        }
        Ok(Some(Frame { message, descriptors: self.descriptors.drain(..count).collect() }))
    }

    /// Exactly so many bytes; `None` for an end before the first, where that is allowed.
    async fn take(&mut self, count: usize, may_end: bool) -> io::Result<Option<Vec<u8>>> {
        while self.received.len() < count {
            let mut buffer = vec![0; 16 * 1024];
            let (read, mut rights) = self.stream.async_io(Interest::READABLE, || receive(&self.stream, &mut buffer)).await?;
            self.descriptors.append(&mut rights);
            if self.descriptors.len() > limits::DESCRIPTORS {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "more descriptors than a handover may have"));
            }
            match read {
                0 if may_end && self.received.is_empty() => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.received.extend_from_slice(&buffer[..read]),
            }
        }
        Ok(Some(self.received.drain(..count).collect()))
    }
}

fn receive(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, VecDeque<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(stream, &mut [IoSliceMut::new(buffer)], &mut control, flags)?;
    let mut rights = VecDeque::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            rights.extend(descriptors);
        }
    }
    Ok((received.bytes, rights))
}

#[cfg(test)]
mod tests;
