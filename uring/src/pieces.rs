//! Memory that the kernel receives into, shared by all sockets of a ring: it takes a piece when something has come, and gets it back when that was read.

use io_uring::{Submitter, types::BufRingEntry};
use std::alloc::Layout;
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

/// By which receives name it.
pub const GROUP: u16 = 0;

/// Where memory begins: no machine has larger pages.
const ALIGN: usize = 64 * 1024;

/// Both live as long as the process: nobody has to prove that the kernel is done with them.
#[derive(Debug)]
pub struct Pieces {
    /// What the kernel may take, a ring.
    entries: *mut BufRingEntry,
    memory: *mut u8,
    /// How many there are, a power of two.
    count: u16,
    bytes: usize,
    /// How many were ever given.
    tail: u16,
    /// How many wait to be read.
    held: u16,
}

impl Pieces {
    pub fn new(submitter: &Submitter<'_>, count: u16, bytes: usize) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "pieces are a power of two, of some bytes");
        if !count.is_power_of_two() || bytes == 0 {
            return Err(wrong());
        }
        let entries = pages(usize::from(count) * size_of::<BufRingEntry>())?.cast::<BufRingEntry>();
        let memory = pages(usize::from(count) * bytes)?;
        // SAFETY: the address is that of `count` entries, begins a page and is never freed.
        unsafe { submitter.register_buf_ring_with_flags(entries as u64, count, GROUP, 0)? };
        let mut pieces = Self { entries, memory, count, bytes, tail: 0, held: 0 };
        (0..count).for_each(|number| pieces.give(number));
        Ok(pieces)
    }

    /// Whether one more may wait to be read: half of them are the kernel's at any time.
    pub fn is_plenty(&self) -> bool {
        self.held < self.count / 2
    }

    /// One that the kernel has filled waits to be read.
    pub fn hold(&mut self) {
        self.held += 1;
    }

    /// It was read.
    pub fn release(&mut self, number: u16) {
        self.held -= 1;
        self.give(number);
    }

    /// The kernel may fill it again.
    pub fn give(&mut self, number: u16) {
        let at = usize::from(self.tail & (self.count - 1));
        // SAFETY: `at` is below the number of entries, and the kernel reads this one only once the tail is beyond it. No more are given than there are, for each
        // was taken before.
        let entry = unsafe { &mut *self.entries.add(at) };
        entry.set_addr(self.memory.wrapping_add(usize::from(number) * self.bytes) as u64);
        entry.set_len(self.bytes as u32);
        entry.set_bid(number);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the ring begins at `entries`, and its tail is read by the kernel and written here alone.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    /// The first so many bytes of one that the kernel has filled and handed over.
    pub fn filled(&self, number: u16, length: usize) -> &[u8] {
        assert!(number < self.count && length <= self.bytes, "no such piece");
        // SAFETY: it lies within the memory, was filled with zeros once, is never freed, and the kernel does not touch it until it is given again, which nobody
        // can who looks at it.
        unsafe { std::slice::from_raw_parts(self.memory.add(usize::from(number) * self.bytes), length) }
    }
}

/// Zeros, which take memory of the machine only once they are written.
fn pages(bytes: usize) -> io::Result<*mut u8> {
    let layout = Layout::from_size_align(bytes, ALIGN).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the layout has a size, for nobody asks for no bytes.
    let memory = unsafe { std::alloc::alloc_zeroed(layout) };
    if memory.is_null() { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(memory) }
}
