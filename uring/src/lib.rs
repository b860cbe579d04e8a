//! Sockets of one thread by io_uring. What many of them are asked for between two waits goes to the kernel by one system call, and what has come to any of them
//! comes back by one. Memory for what is received is the ring's: who waits holds none.
//!
//! Knows no runtime: [`Ring::turn`] is called before its thread waits, and the thread waits for the ring's own descriptor, which is readable when a turn is due.
//!
//! This is one of the two crates that have unsafe code (the other is `resident`). What it promises the kernel: pieces for received bytes live as long as the process, and a send is done before
//! the call that asked for it returns, for each is told not to wait. Beside the ring stands what a read without one needs ([`direct`]).

pub mod direct;
mod pieces;

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use pieces::Pieces;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

/// Of submissions between two turns; a turn comes early when they are used up.
const ENTRIES: u32 = 256;
/// Of completions. More wait in the kernel until there is room.
const COMPLETIONS: u32 = 4096;
/// `IORING_RECVSEND_POLL_FIRST`: nothing is there yet, so that to try at once would be for nothing.
const POLL_FIRST: u16 = 1;

/// Of a turn at most.
const ROUNDS: usize = 8;

/// A socket's number in its ring. It means nothing to any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    at: u32,
    ring: u32,
}

/// How many rings there were.
static RINGS: AtomicU32 = AtomicU32::new(0);

/// Which operation a completion is of; the lowest two bits of what the kernel hands back.
const RECEIVED: u64 = 0;
const WRITABLE: u64 = 1;
const SENT: u64 = 2;
const CANCELLED: u64 = 3;

pub struct Ring {
    number: u32,
    uring: IoUring,
    pieces: Pieces,
    sockets: Vec<Option<Socket>>,
    free: Vec<u32>,
    /// Whom the kernel had no piece for.
    starved: Vec<u32>,
    woken: Vec<Waker>,
    /// How often the kernel began to be given what was asked for.
    entered: u64,
    /// How much each of the sends under way took, by its place.
    sent: Vec<Option<i32>>,
}

#[derive(Debug)]
struct Socket {
    fd: Arc<OwnedFd>,
    came: Came,
    /// The kernel had more than it gave.
    has_more: bool,
    receives: bool,
    /// How often it had been by then: it knows of this receive once it was again.
    asked: u64,
    awaits_room: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Its owner has gone: it is closed once the kernel has done with it.
    left: bool,
}

#[derive(Debug)]
enum Came {
    Nothing,
    Bytes(Piece),
    /// Who does not read what has come keeps no piece from the others: `from` of these on are not taken yet.
    Copied {
        bytes: Box<[u8]>,
        from: usize,
    },
    End,
    Failed(i32),
}

/// What came and was not yet taken, of a piece.
#[derive(Debug)]
struct Piece {
    number: u16,
    from: usize,
    to: usize,
}

impl Ring {
    /// For the thread that will use it, with so many pieces (a power of two) of so many bytes to receive in.
    ///
    /// # Errors
    /// Where the kernel has no io_uring of Linux 6.1 or forbids it.
    pub fn new(pieces: u16, bytes: usize) -> io::Result<Self> {
        let mut builder = IoUring::builder();
        // Not `defer_taskrun`: work that is put off makes the ring's descriptor readable only once somebody enters, so that a thread that waits for it is not woken.
        builder.dontfork().setup_single_issuer().setup_coop_taskrun().setup_taskrun_flag().setup_submit_all().setup_cqsize(COMPLETIONS);
        let uring = builder.build(ENTRIES)?;
        let pieces = Pieces::new(&uring.submitter(), pieces, bytes)?;
        let number = RINGS.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            number,
            uring,
            pieces,
            sockets: Vec::new(),
            free: Vec::new(),
            starved: Vec::new(),
            woken: Vec::new(),
            entered: 0,
            sent: Vec::new(),
        })
    }

    /// Takes a connected socket, which is kept open until it is removed and nothing of it is under way.
    ///
    /// # Errors
    /// Those of `ioctl(2)`.
    pub fn add(&mut self, fd: Arc<OwnedFd>) -> io::Result<Key> {
        // A receive is to wait where there is nothing, and a send says itself that it will not.
        rustix::io::ioctl_fionbio(&*fd, false)?;
        let socket = Socket {
            fd,
            came: Came::Nothing,
            has_more: true,
            receives: false,
            asked: 0,
            awaits_room: false,
            reader: None,
            writer: None,
            left: false,
        };
        let at = self.free.pop().unwrap_or_else(|| {
            self.sockets.push(None);
            self.sockets.len() as u32 - 1
        });
        self.sockets[at as usize] = Some(socket);
        Ok(self.key(at))
    }

    fn key(&self, at: u32) -> Key {
        Key { at, ring: self.number }
    }

    /// Lets go of it, once nothing of it is under way.
    pub fn remove(&mut self, key: Key) {
        let Some(socket) = self.sockets.get_mut(key.at as usize).and_then(Option::as_mut).filter(|_| key.ring == self.number) else {
            return;
        };
        socket.left = true;
        (socket.reader, socket.writer) = (None, None);
        self.starved.retain(|at| *at != key.at);
        if let Came::Bytes(piece) = std::mem::replace(&mut socket.came, Came::End) {
            self.pieces.release(piece.number);
        }
        let (receives, awaits_room) = (socket.receives, socket.awaits_room);
        for operation in [(receives, RECEIVED), (awaits_room, WRITABLE)].into_iter().filter_map(|(is, which)| is.then_some(which)) {
            self.push(opcode::AsyncCancel::new(data(key, operation)).build().user_data(data(key, CANCELLED)));
        }
        self.close_if_done(key);
    }

    fn of(&self, key: Key) -> &Socket {
        assert_eq!(key.ring, self.number, "a socket stays with its thread");
        self.sockets[key.at as usize].as_ref().expect("a key is of a socket until it is removed")
    }

    fn of_mut(&mut self, key: Key) -> &mut Socket {
        of_mut(&mut self.sockets, self.number, key)
    }

    /// Hands over what has come, of which `take` says how much it took; 0 is the end.
    ///
    /// # Errors
    /// Those of `recv(2)`.
    pub fn poll_receive(&mut self, key: Key, cx: &Context<'_>, take: impl FnOnce(&[u8]) -> usize) -> Poll<io::Result<usize>> {
        let socket = of_mut(&mut self.sockets, self.number, key);
        match &mut socket.came {
            Came::Bytes(piece) => {
                let taken = take(&self.pieces.filled(piece.number, piece.to)[piece.from..]);
                piece.from += taken;
                if piece.from == piece.to {
                    self.pieces.release(piece.number);
                    socket.came = Came::Nothing;
                    // The next is asked for at once, so that it is known of a socket that nobody reads whether something has come.
                    self.receive(key);
                }
                return Poll::Ready(Ok(taken));
            }
            Came::Copied { bytes, from } => {
                let taken = take(&bytes[*from..]);
                *from += taken;
                if *from == bytes.len() {
                    socket.came = Came::Nothing;
                    self.receive(key);
                }
                return Poll::Ready(Ok(taken));
            }
            Came::End => return Poll::Ready(Ok(0)),
            Came::Failed(error) => {
                let error = io::Error::from_raw_os_error(*error);
                socket.came = Came::End;
                return Poll::Ready(Err(error));
            }
            Came::Nothing => {}
        }
        match &socket.reader {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => socket.reader = Some(cx.waker().clone()),
        }
        self.receive(key);
        Poll::Pending
    }

    fn receive(&mut self, key: Key) {
        let socket = self.of_mut(key);
        if std::mem::replace(&mut socket.receives, true) {
            return;
        }
        let first = if socket.has_more { 0 } else { POLL_FIRST };
        let receive = opcode::Recv::new(types::Fd(socket.fd.as_raw_fd()), std::ptr::null_mut(), 0).ioprio(first).buf_group(pieces::GROUP);
        self.push(receive.build().flags(squeue::Flags::BUFFER_SELECT).user_data(data(key, RECEIVED)));
        // Not before: where the queue was full, what was in it went first.
        self.of_mut(key).asked = self.entered;
    }

    /// Whether something has come that nobody took yet: bytes, the end, an error.
    pub fn has_news(&mut self, key: Key) -> bool {
        let owed = self.is_owed();
        self.gather();
        if owed {
            // Now there is room for it.
            self.enter();
            self.gather();
        }
        let socket = self.of(key);
        if !matches!(socket.came, Came::Nothing) {
            return true;
        }
        if socket.receives && socket.asked < self.entered {
            return false;
        }
        let mut byte = [0; 1];
        let looked = rustix::net::recv(&*self.of(key).fd, &mut byte[..], rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT);
        !matches!(looked, Err(rustix::io::Errno::AGAIN))
    }

    /// Whether the kernel has something to tell that it tells only when it is entered.
    fn is_owed(&mut self) -> bool {
        let queue = self.uring.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    /// Has the task woken once the socket takes bytes again.
    pub fn wait_for_room(&mut self, key: Key, cx: &Context<'_>) {
        let socket = self.of_mut(key);
        socket.writer = Some(cx.waker().clone());
        if !std::mem::replace(&mut socket.awaits_room, true) {
            let fd = types::Fd(socket.fd.as_raw_fd());
            self.push(opcode::PollAdd::new(fd, rustix::event::PollFlags::OUT.bits().into()).build().user_data(data(key, WRITABLE)));
        }
    }

    /// Sends to many at once, as much as each takes without waiting, and tells of each by its place how much that was.
    pub fn send(&mut self, letters: &[(Key, &[u8])], mut told: impl FnMut(usize, io::Result<usize>)) {
        for (round, some) in letters.chunks(ENTRIES as usize / 2).enumerate() {
            self.sent.clear();
            self.sent.resize(some.len(), None);
            for (at, (key, bytes)) in some.iter().enumerate() {
                let fd = types::Fd(self.of(*key).fd.as_raw_fd());
                let flags = (rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL).bits() as i32;
                let send = opcode::Send::new(fd, bytes.as_ptr(), bytes.len().min(i32::MAX as usize) as u32).flags(flags);
                self.push(send.build().user_data((at as u64) << 2 | SENT));
            }
            // The kernel has looked at all of them when this returns, and none may wait.
            self.enter();
            self.gather();
            for at in 0..some.len() {
                // Where completions had no room they come with the next call.
                while self.sent[at].is_none() && self.uring.submission().cq_overflow() {
                    self.enter();
                    self.gather();
                }
                // The kernel never leaves out one. If it did, it might still read what is not there any more.
                let result = self.sent[at].unwrap_or_else(|| give_up("a send has no completion"));
                let result = if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result as usize) };
                told(round * (ENTRIES as usize / 2) + at, result);
            }
        }
    }

    /// Gives the kernel what was asked for since, and finds out what has come. Who waited for it is to be woken by who calls, for a task that is woken may drop
    /// what holds sockets of this ring.
    pub fn turn(&mut self, woken: &mut Vec<Waker>) {
        // What came may ask for more, which goes at once: nobody else may see to it before the thread waits. So many rounds are enough, for a socket that is
        // not read asks for nothing.
        for _ in 0..ROUNDS {
            for at in std::mem::take(&mut self.starved) {
                let key = self.key(at);
                self.receive(key);
            }
            let due = !self.uring.submission().is_empty() || self.is_owed();
            if due {
                self.enter();
            }
            self.gather();
            if !due && self.starved.is_empty() {
                break;
            }
        }
        woken.append(&mut self.woken);
    }

    fn push(&mut self, entry: squeue::Entry) {
        loop {
            // SAFETY: what an entry points to lives until the kernel has done with it: pieces for ever, bytes to be sent until `send` returns, and a socket
            // is closed only once its operations have ended.
            if unsafe { self.uring.submission().push(&entry) }.is_ok() {
                return;
            }
            self.enter();
            self.gather();
        }
    }

    fn enter(&mut self) {
        self.entered += 1;
        loop {
            match self.uring.submit().map_err(|error| rustix::io::Errno::from_io_error(&error)) {
                Ok(_) if self.uring.submission().is_empty() => return,
                Ok(_) | Err(Some(rustix::io::Errno::INTR)) => {}
                // No room for completions, or no memory for a moment: what has come is taken first.
                Err(Some(rustix::io::Errno::BUSY | rustix::io::Errno::AGAIN)) => {
                    self.gather();
                    std::thread::yield_now();
                }
                Err(error) => give_up(&format!("io_uring_enter fails: {error:?}")),
            }
        }
    }

    fn gather(&mut self) {
        // Completions are read one by one: what each brings about may ask for more.
        while let Some(completion) = { self.uring.completion().next() } {
            let (of, result) = (completion.user_data(), completion.result());
            let key = self.key((of >> 2) as u32);
            match of & 3 {
                RECEIVED => self.received(key, result, completion.flags()),
                WRITABLE => {
                    let socket = self.of_mut(key);
                    socket.awaits_room = false;
                    let writer = socket.writer.take();
                    self.woken.extend(writer);
                    self.close_if_done(key);
                }
                SENT => {
                    if let Some(sent) = self.sent.get_mut(key.at as usize) {
                        *sent = Some(result);
                    }
                }
                _ => {}
            }
        }
    }

    fn received(&mut self, key: Key, result: i32, flags: u32) {
        let piece = cqueue::buffer_select(flags);
        let socket = of_mut(&mut self.sockets, self.number, key);
        socket.receives = false;
        socket.has_more = cqueue::sock_nonempty(flags);
        match (piece, result) {
            (Some(number), bytes @ 1..) if !socket.left && self.pieces.is_plenty() => {
                self.pieces.hold();
                socket.came = Came::Bytes(Piece { number, from: 0, to: bytes as usize });
            }
            (Some(number), bytes @ 1..) if !socket.left => {
                socket.came = Came::Copied { bytes: self.pieces.filled(number, bytes as usize).into(), from: 0 };
                self.pieces.give(number);
            }
            (Some(number), _) => {
                self.pieces.give(number);
                return self.failed(key, result);
            }
            (None, _) => return self.failed(key, result),
        }
        self.tell(key);
    }

    /// A receive that brought no bytes.
    fn failed(&mut self, key: Key, result: i32) {
        let socket = of_mut(&mut self.sockets, self.number, key);
        match result {
            _ if socket.left => {}
            0 => socket.came = Came::End,
            error if -error == rustix::io::Errno::NOBUFS.raw_os_error() => {
                // Whoever has a piece gives it back when it is read.
                socket.has_more = true;
                self.starved.push(key.at);
                return;
            }
            error if -error == rustix::io::Errno::INTR.raw_os_error() || -error == rustix::io::Errno::AGAIN.raw_os_error() => {
                return self.receive(key);
            }
            error => socket.came = Came::Failed(-error),
        }
        self.tell(key);
    }

    fn tell(&mut self, key: Key) {
        let reader = of_mut(&mut self.sockets, self.number, key).reader.take();
        self.woken.extend(reader);
        self.close_if_done(key);
    }

    fn close_if_done(&mut self, key: Key) {
        let at = key.at as usize;
        if self.sockets[at].as_ref().is_some_and(|socket| socket.left && !socket.receives && !socket.awaits_room) {
            self.sockets[at] = None;
            self.free.push(key.at);
        }
    }
}

/// Kept until it was removed and its operations have ended.
fn of_mut(sockets: &mut [Option<Socket>], ring: u32, key: Key) -> &mut Socket {
    assert_eq!(key.ring, ring, "a socket stays with its thread");
    sockets[key.at as usize].as_mut().expect("a key is of a socket until it is removed")
}

/// What cannot go on without breaking what was promised to the kernel, or without end.
fn give_up(why: &str) -> ! {
    let _ = writeln!(io::stderr(), "uring: {why}: the process ends");
    std::process::abort()
}

fn data(key: Key, operation: u64) -> u64 {
    u64::from(key.at) << 2 | operation
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("sockets", &self.sockets.len()).finish_non_exhaustive()
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is the ring's and lives as long as it.
        unsafe { BorrowedFd::borrow_raw(self.uring.as_raw_fd()) }
    }
}

#[cfg(test)]
mod tests;
