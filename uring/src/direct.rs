//! Reads without a ring, by the kernel's own call. The C library's `recv` is a point at which a thread can be cancelled: in a program of several threads it says
//! so before the call and takes it back after, for each read, and nobody cancels threads here.

use bytes::BytesMut;
use rustix::net::{RecvFlags, recv};
use std::io;
use std::os::fd::BorrowedFd;

/// Room that is made where there is none: to read into nothing looks like the end.
const ROOM: usize = 64;

/// Appends what is there, as far as there is room, and says how many bytes; 0 is the end.
///
/// # Errors
/// Those of `recv(2)`, [`io::ErrorKind::WouldBlock`] among them.
pub fn receive(socket: BorrowedFd<'_>, into: &mut BytesMut) -> io::Result<usize> {
    if into.capacity() == into.len() {
        into.reserve(ROOM);
    }
    let (_, count) = recv(socket, into.spare_capacity_mut(), RecvFlags::empty())?;
    // SAFETY: so many bytes of the room behind what there was were written by the kernel just now.
    unsafe { into.set_len(into.len() + count) };
    Ok(count)
}

#[cfg(test)]
mod tests;
