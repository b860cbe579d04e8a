//! What is to be written, in order: frames in one buffer, and large pieces of bodies between them as they came, uncopied. All of it goes out in one write.

use super::frame::{Header, flag, kind};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::IoSlice;

/// Pieces below this are copied: a slice of a vectored write costs about as much.
const COPIED: usize = 4096;
/// Memory of the buffer that is kept while nothing is to be written.
const KEPT: usize = 4096;
/// Written bytes at the buffer's start that are let go though more follow.
const LET_GO: usize = 32 * 1024;
/// Slices of one write.
pub const SLICES: usize = 16;

#[derive(Debug, Default)]
pub struct Output {
    pub frames: Vec<u8>,
    /// How much of the frames is written.
    done: usize,
    /// Each with the place in the frames before which it stands.
    pieces: VecDeque<(usize, Bytes)>,
    /// Bytes of pieces.
    large: usize,
}

impl Output {
    /// Bytes to be written.
    pub fn len(&self) -> usize {
        self.frames.len() - self.done + self.large
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn data(&mut self, stream: u32, piece: Bytes, end: bool) {
        let flags = if end { flag::END_STREAM } else { 0 };
        Header { length: piece.len(), kind: kind::DATA, flags, stream }.write(&mut self.frames);
        if piece.len() < COPIED {
            self.frames.extend_from_slice(&piece);
        } else {
            self.large += piece.len();
            self.pieces.push_back((self.frames.len(), piece));
        }
    }

    pub fn copied(&mut self, stream: u32, bytes: &[u8]) {
        Header { length: bytes.len(), kind: kind::DATA, flags: 0, stream }.write(&mut self.frames);
        self.frames.extend_from_slice(bytes);
    }

    /// The next slices to be written.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let (mut from, mut count) = (self.done, 0);
        for (at, piece) in &self.pieces {
            if count + 2 > SLICES {
                return count;
            }
            if *at > from {
                slices[count] = IoSlice::new(&self.frames[from..*at]);
                count += 1;
            }
            slices[count] = IoSlice::new(piece);
            (from, count) = (*at, count + 1);
        }
        if from < self.frames.len() && count < SLICES {
            slices[count] = IoSlice::new(&self.frames[from..]);
            count += 1;
        }
        count
    }

    /// So much of it was written.
    pub fn wrote(&mut self, size: usize) {
        self.pass(size);
        if self.done == self.frames.len() && self.pieces.is_empty() {
            self.done = 0;
            self.frames.clear();
            self.frames.shrink_to(KEPT);
        } else if self.done >= LET_GO {
            let gone = std::mem::take(&mut self.done);
            self.frames.drain(..gone);
            self.pieces.iter_mut().for_each(|(at, _)| *at -= gone);
        }
    }

    fn pass(&mut self, mut size: usize) {
        while let Some((at, piece)) = self.pieces.front_mut() {
            let before = size.min(*at - self.done);
            self.done += before;
            size -= before;
            let part = size.min(piece.len());
            if self.done < *at || part == 0 {
                return;
            }
            bytes::Buf::advance(piece, part);
            self.large -= part;
            size -= part;
            if !piece.is_empty() {
                return;
            }
            self.pieces.pop_front();
        }
        self.done += size;
    }
}

#[cfg(test)]
mod tests;
