//! Memory for what is read in bulk, where the processor copies it fast.

use crate::{limits, spare};
use bytes::{Buf, BytesMut};

const PAGE: usize = 4096;
const OFF: usize = 64;

/// For at least `most` bytes more. A large allocation begins where a page does, and so does that of a record of TLS, into which what is read here is copied behind a
/// header of 5 bytes: AMD's processors copy thirty times slower where a copy lies just behind its source within a page (glibc before 2.40 copies by `rep movsb`).
pub(super) fn make_room(buffer: &mut BytesMut, most: usize) {
    if !buffer.is_empty() || most <= limits::READ_BUFFER {
        return buffer.reserve(most);
    }
    // One that grows out of a smaller one keeps room for what that had, and is read into beyond what was asked for.
    if !buffer.try_reclaim(most + OFF) {
        spare::keep_buffer(std::mem::replace(buffer, BytesMut::with_capacity(most + OFF)));
    }
    let into_page = buffer.spare_capacity_mut().as_ptr().addr() % PAGE;
    if let Some(pad) = OFF.checked_sub(into_page) {
        buffer.resize(pad, 0);
        buffer.advance(pad);
    }
}

#[cfg(test)]
mod tests;
