//! `xtask floor PORT BACKEND`: the floor below every proxy: two paired sockets, epoll, no parsing, no policy, one thread. Bytes of one side go to the other
//! as they come. It is no proxy that anybody should use.

use anyhow::{Context, Result};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

const LISTENER: u64 = u64::MAX;
const EDGES: EventFlags = EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP).union(EventFlags::ET);
const ENDS: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);
/// As much as a proxy reads at once.
const BUFFER: usize = 64 * 1024;

struct Side {
    stream: TcpStream,
    /// The other side's number.
    to: u64,
    /// Read from the other side and not yet taken by this one.
    waiting: Vec<u8>,
}

pub fn serve(arguments: &[String]) -> Result<()> {
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u16>().ok()).context("floor PORT BACKEND");
    let (port, backend) = (number(0)?, number(1)?);
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let (mut sides, mut next) = (HashMap::new(), 0);
    let mut events = Vec::with_capacity(256);
    let mut buffer = vec![0; BUFFER];
    loop {
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let (number, flags) = (event.data.u64(), event.flags);
            if number == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    for (stream, number, to) in [(stream, next, next + 1), (TcpStream::connect(("127.0.0.1", backend))?, next + 1, next)] {
                        stream.set_nodelay(true)?;
                        stream.set_nonblocking(true)?;
                        epoll::add(&poll, &stream, EventData::new_u64(number), EDGES)?;
                        sides.insert(number, Side { stream, to, waiting: Vec::new() });
                    }
                    next += 2;
                }
            } else if !served(&mut sides, number, flags, &mut buffer) {
                let to = sides.remove(&number).map_or(number, |side| side.to);
                sides.remove(&to);
            }
        }
    }
}

/// What an event of one side asks for; false ends both.
fn served(sides: &mut HashMap<u64, Side>, number: u64, flags: EventFlags, buffer: &mut [u8]) -> bool {
    let Some(side) = sides.get_mut(&number) else { return true };
    let to = side.to;
    let held_up = !side.waiting.is_empty();
    // Edges: what was not read because this side was full is read now, for no event will come of it again.
    if held_up && flags.contains(EventFlags::OUT) && !(flush(side) && carry(sides, to, true, buffer)) {
        return false;
    }
    !flags.intersects(EventFlags::IN.union(ENDS)) || carry(sides, number, flags.intersects(ENDS), buffer)
}

/// What this side has to say goes to the other, until there is no more or the other takes no more. With `to_end` a short read is not the last one: an end
/// may stand behind it.
fn carry(sides: &mut HashMap<u64, Side>, number: u64, to_end: bool, buffer: &mut [u8]) -> bool {
    let Some(to) = sides.get(&number).map(|side| side.to) else { return true };
    loop {
        if sides.get(&to).is_none_or(|other| !other.waiting.is_empty()) {
            return sides.contains_key(&to);
        }
        let Some(side) = sides.get_mut(&number) else { return true };
        let read = match side.stream.read(buffer) {
            Ok(0) => return false,
            Ok(read) => read,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        };
        let Some(other) = sides.get_mut(&to) else { return false };
        other.waiting.extend_from_slice(&buffer[..read]);
        if !flush(other) {
            return false;
        }
        // A short read has emptied the socket.
        if read < buffer.len() && !to_end {
            return true;
        }
    }
}

fn flush(side: &mut Side) -> bool {
    while !side.waiting.is_empty() {
        match side.stream.write(&side.waiting) {
            Ok(written) => drop(side.waiting.drain(..written)),
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
    true
}
