//! Hot restart: how a proxy gives its doors to a successor, and how a successor asks for them. The order of words is `wire::handover`'s; here they
//! are said. Nothing is lost at any of them: connections wait in the sockets, which both hold until the last word, and a predecessor whose
//! successor ends before that goes on. Knows no request and no route.

use crate::config::Config;
use crate::datagrams::{Given, Ports};
use crate::doors::{Door, Doors};
use crate::limits;
use crate::worker::Shared;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use transport::handover::{Channel, Frame};
use transport::rt;
use wire::handover::{Ask, Group, Offer, PROTOCOL, Serves, Word};

/// Why doors were not handed over. The predecessor has them.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    #[error("the other process ended")]
    Ended,
    #[error("nothing came from the other process in time")]
    Late,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the other process said what this release does not understand: {0}")]
    Unknown(String),
    #[error("the other process refused: {0}")]
    Refused(String),
}

use HandoverError as Error;

/// What a predecessor gives: doors, and what goes with them.
pub struct Inheritance {
    pub release: String,
    pub pid: u32,
    pub connections: u64,
    pub groups: Vec<rt::Group>,
    /// Where each of a gateway's ports really is.
    pub ports: Vec<(u16, SocketAddr)>,
    /// A gateway's ports for datagrams.
    pub datagrams: Vec<(u16, rt::DatagramGroup)>,
    pub metrics: Option<OwnedFd>,
}

impl std::fmt::Display for Inheritance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (addresses, sockets): (Vec<_>, Vec<_>) =
            self.groups.iter().map(|group| (group.address.to_string(), group.descriptors().count())).unzip();
        let (pid, release, connections) = (self.pid, &self.release, self.connections);
        let sockets: usize = sockets.iter().sum();
        write!(
            f,
            "{sockets} sockets of {} from process {pid}, organza {release}; {connections} connections go on there",
            addresses.join(", ")
        )
    }
}

/// The successor's end of the conversation.
pub struct Successor {
    channel: Channel,
    /// Whether the predecessor tells of its seats.
    seats: bool,
    /// Whether it gives its sessions of datagrams.
    datagrams: bool,
}

/// What comes after the predecessor's last word.
#[derive(Default)]
pub struct Rest {
    /// What it still has is told by this.
    pub elder: Option<Elder>,
    pub sessions: Vec<Given>,
}

/// `None` where nobody answers: then there is nothing to take over.
///
/// # Errors
/// Where somebody answers and does not hand over.
pub async fn ask(config: &Config) -> Result<Option<(Successor, Inheritance)>, Error> {
    let stream = match UnixStream::connect(config.handover_socket()).await {
        Ok(stream) => stream,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let mut channel = Channel::new(stream);
    let ask = Ask {
        protocol: PROTOCOL,
        proxy: config.proxy.clone(),
        release: config.release.clone(),
        pid: std::process::id(),
        seats: true,
        datagrams: true,
    };
    say(&mut channel, &Word::Ask(ask), &[]).await?;
    let (word, descriptors) = hear(&mut channel, limits::SUCCESSOR_READY).await?;
    let Word::Offer(offer) = word else { return Err(Error::Unknown(format!("{word:?}"))) };
    let (seats, datagrams) = (offer.seats, offer.datagrams);
    Ok(Some((Successor { channel, seats, datagrams }, inheritance(offer, descriptors)?)))
}

fn inheritance(offer: Offer, descriptors: Vec<OwnedFd>) -> Result<Inheritance, Error> {
    let mut all = Inheritance {
        release: offer.release,
        pid: offer.pid,
        connections: offer.connections,
        groups: Vec::new(),
        ports: Vec::new(),
        datagrams: Vec::new(),
        metrics: None,
    };
    let mut descriptors = descriptors.into_iter();
    for group in offer.groups {
        let sockets: Vec<_> = descriptors.by_ref().take(group.sockets as usize).collect();
        if sockets.len() != group.sockets as usize {
            return Err(Error::Unknown(format!("{} sockets of {} are missing", group.sockets, group.address)));
        }
        match group.serves {
            Serves::Gateway { port } => {
                all.ports.push((port, group.address));
                all.groups.push(rt::Group::adopt(sockets)?);
            }
            Serves::Datagrams { port } => all.datagrams.push((port, rt::DatagramGroup::adopt(sockets)?)),
            Serves::Named => all.groups.push(rt::Group::adopt(sockets)?),
            Serves::Metrics => all.metrics = sockets.into_iter().next(),
            // Who waits there is closed with the last process that holds it.
            Serves::Unknown => {}
        }
    }
    Ok(all)
}

impl Successor {
    /// All is prepared but for what only one of two can have. Once this returns the predecessor accepts no more and writes no file.
    pub async fn ready(&mut self) -> Result<(), Error> {
        self.exchange(Word::Ready, Word::Released).await
    }

    /// The names are ours. Once this returns the doors are too; where it fails the predecessor goes on, and this process must end.
    pub async fn taken(mut self) -> Result<Rest, Error> {
        self.exchange(Word::Taken, Word::Yours).await?;
        // The doors are ours, whatever comes now: a predecessor that is gone has no connections and no sessions either.
        let mut rest = Rest::default();
        if self.datagrams {
            rest.sessions = self.sessions().await;
        }
        if !self.seats {
            return Ok(rest);
        }
        match hear(&mut self.channel, limits::HANDOVER_WORD).await {
            Ok((Word::Seats(told), _)) => rest.elder = Some(Elder { channel: self.channel, told }),
            other => tracing::warn!("the connections of the process before are not counted: {other:?}"),
        }
        Ok(rest)
    }

    async fn sessions(&mut self) -> Vec<Given> {
        let mut all = Vec::new();
        loop {
            match hear(&mut self.channel, limits::HANDOVER_WORD * 2).await {
                Ok((Word::Sessions(told), _)) if told.is_empty() => return all,
                Ok((Word::Sessions(told), sockets)) => {
                    all.extend(told.into_iter().zip(sockets).map(|(told, socket)| Given { told, socket }));
                }
                other => {
                    tracing::warn!("clients of the process before begin anew: {other:?}");
                    return all;
                }
            }
        }
    }

    async fn exchange(&mut self, said: Word, expected: Word) -> Result<(), Error> {
        say(&mut self.channel, &said, &[]).await?;
        let (word, _) = hear(&mut self.channel, limits::HANDOVER_WORD * 2).await?;
        if word == expected { Ok(()) } else { Err(Error::Unknown(format!("{word:?}"))) }
    }
}

/// The predecessor's end, from the moment in which a successor has asked.
pub struct Predecessor {
    channel: Channel,
    pub successor: Ask,
    /// Our own.
    release: String,
}

/// The next successor that asks: of this user, for this proxy, and in words that are known here.
pub async fn asked(listener: &UnixListener, config: &Config) -> Predecessor {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match greet(stream, config).await {
                Ok(predecessor) => return predecessor,
                Err(why) => tracing::warn!("a handover was not begun: {why}"),
            },
            Err(e) => {
                tracing::warn!("handover socket: {e}");
                rt::sleep(limits::RECONNECT_MIN).await;
            }
        }
    }
}

async fn greet(stream: UnixStream, config: &Config) -> Result<Predecessor, Error> {
    let theirs = stream.peer_cred()?.uid();
    let mut channel = Channel::new(stream);
    if theirs != rustix::process::geteuid().as_raw() {
        return Err(refuse(&mut channel, format!("user {theirs} is not this proxy's")).await);
    }
    let (word, _) = hear(&mut channel, limits::HANDOVER_WORD).await?;
    match word {
        Word::Ask(ask) if ask.protocol != PROTOCOL => {
            Err(refuse(&mut channel, format!("handover protocol {} is not known to organza {}", ask.protocol, config.release)).await)
        }
        Word::Ask(ask) if ask.proxy != config.proxy => Err(refuse(&mut channel, format!("this is proxy {}", config.proxy)).await),
        Word::Ask(successor) => Ok(Predecessor { channel, successor, release: config.release.clone() }),
        other => Err(Error::Unknown(format!("{other:?}"))),
    }
}

async fn refuse(channel: &mut Channel, why: String) -> Error {
    // The other end learns it by the end of the conversation otherwise.
    let _ = say(channel, &Word::Refused(why.clone()), &[]).await;
    Error::Refused(why)
}

impl Predecessor {
    /// Gives copies of the sockets, and waits until the successor is ready. Both hold them from now on; only we accept.
    pub async fn offer(&mut self, doors: &Doors, ports: &Ports, metrics: Option<&TcpListener>, about: (u64, u64)) -> Result<(), Error> {
        let (generation, connections) = about;
        let datagrams = self.successor.datagrams;
        let pid = std::process::id();
        let mut offer = Offer { release: self.release.clone(), pid, generation, connections, groups: Vec::new(), seats: true, datagrams };
        let mut descriptors: Vec<BorrowedFd<'_>> = Vec::new();
        for (door, group) in doors.groups() {
            let before = descriptors.len();
            descriptors.extend(group.descriptors());
            let serves = match door {
                Door::Gateway { port, .. } => Serves::Gateway { port: *port },
                Door::Inbound(_) | Door::ExplicitProxy { .. } | Door::Named { .. } => Serves::Named,
            };
            let sockets = u32::try_from(descriptors.len() - before).unwrap_or(u32::MAX);
            offer.groups.push(Group { address: group.address, sockets, serves });
        }
        for (port, group) in ports.groups().filter(|_| datagrams) {
            let before = descriptors.len();
            descriptors.extend(group.descriptors());
            let sockets = u32::try_from(descriptors.len() - before).unwrap_or(u32::MAX);
            offer.groups.push(Group { address: group.address, sockets, serves: Serves::Datagrams { port } });
        }
        if let Some((listener, address)) = metrics.and_then(|listener| Some((listener, listener.local_addr().ok()?))) {
            descriptors.push(listener.as_fd());
            offer.groups.push(Group { address, sockets: 1, serves: Serves::Metrics });
        }
        say(&mut self.channel, &Word::Offer(offer), &descriptors).await?;
        self.await_word(&Word::Ready, limits::SUCCESSOR_READY).await
    }

    /// Says that nobody accepts here any more, and waits until the successor has the names.
    pub async fn released(&mut self) -> Result<(), Error> {
        say(&mut self.channel, &Word::Released, &[]).await?;
        self.await_word(&Word::Taken, limits::HANDOVER_WORD).await
    }

    /// The last word: from here on the successor is the proxy.
    pub async fn yours(&mut self) -> Result<(), Error> {
        say(&mut self.channel, &Word::Yours, &[]).await
    }

    /// Has the successor go on with these sessions, where it can.
    pub async fn sessions(&mut self, all: &[Given]) -> Result<(), Error> {
        if !self.successor.datagrams {
            return Ok(());
        }
        for some in all.chunks(limits::SESSIONS_AT_ONCE) {
            let told = some.iter().map(|given| given.told.clone()).collect();
            let sockets: Vec<_> = some.iter().map(|given| given.socket.as_fd()).collect();
            say(&mut self.channel, &Word::Sessions(told), &sockets).await?;
        }
        say(&mut self.channel, &Word::Sessions(Vec::new()), &[]).await
    }

    /// Has the successor count what goes on here, where it can.
    pub fn lend(self, shared: Arc<Shared>) {
        if self.successor.seats {
            tokio::task::spawn_local(seats::lend(self.channel, shared));
        }
    }

    async fn await_word(&mut self, expected: &Word, patience: std::time::Duration) -> Result<(), Error> {
        let (word, _) = hear(&mut self.channel, patience).await?;
        if word == *expected { Ok(()) } else { Err(Error::Unknown(format!("{word:?}"))) }
    }
}

async fn say(channel: &mut Channel, word: &Word, descriptors: &[BorrowedFd<'_>]) -> Result<(), Error> {
    let said = rt::timeout(limits::HANDOVER_WORD, channel.send(&word.to_bytes(), descriptors)).await.ok_or(Error::Late)?;
    said.map_err(|e| if matches!(e.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) { Error::Ended } else { e.into() })
}

async fn hear(channel: &mut Channel, patience: std::time::Duration) -> Result<(Word, Vec<OwnedFd>), Error> {
    let heard = match rt::timeout(patience, channel.recv()).await.ok_or(Error::Late)? {
        Ok(heard) => heard,
        Err(e) if matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => None,
        Err(e) => return Err(e.into()),
    };
    let Frame { message, descriptors } = heard.ok_or(Error::Ended)?;
    match Word::from_bytes(&message).map_err(Error::Unknown)? {
        Word::Refused(why) => Err(Error::Refused(why)),
        word => Ok((word, descriptors)),
    }
}

mod seats;
pub use seats::Elder;

#[cfg(test)]
mod tests;
