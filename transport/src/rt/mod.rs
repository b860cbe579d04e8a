//! The runtime as the data path sees it: tasks of one thread, time, sockets. The only room that names tokio on the request path, so that
//! another driver (io_uring, virtual time) can take its place.

mod alarm;
mod coalesce;
mod cut;
mod datagram;
mod diag;
mod direct;
mod doubt;
mod listener;
mod machine;
mod post;
mod ring;
mod room;
mod stream;
mod timeout;

pub use alarm::Alarm;
pub use coalesce::{answered, rests};
pub use datagram::{DatagramGroup, Datagrams};
pub use doubt::{Doubt, is_gone, silent};
pub use listener::{Bound, Group, Listener};
pub use machine::{Accept, Connecting, Here, Machine, Wire, on};
pub use ring::{Ringed, choose as choose_ring, is_open as has_ring};
pub use stream::{Recv, Send, Socket, Stream};
pub use timeout::{Timeout, timeout};

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

thread_local! {
    static TASKS: Cell<usize> = const { Cell::new(0) };
    /// The clock's last reading on a thread of [`run`], and how often it may still be given out.
    static CLOCK: Cell<Option<(Instant, u32)>> = const { Cell::new(None) };
    /// On a thread of [`run`]: how many went behind the others since the thread last waited, and between two waits before that when anybody last did.
    static BEHIND: Cell<Option<(u32, u32)>> = const { Cell::new(None) };
}

/// How often one reading of the clock is given out at most. A request asks a dozen times; reading the clock each time costs more than most
/// of what it does in between, and what two of them take is less than anybody tells apart.
const READINGS: u32 = 24;

/// A task that has not ended.
struct Alive;

impl Alive {
    fn new() -> Self {
        TASKS.with(|tasks| tasks.set(tasks.get() + 1));
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        // A task that outlives its thread's own storage is counted by nobody.
        let _ = TASKS.try_with(|tasks| tasks.set(tasks.get() - 1));
    }
}

/// A future in a box of its own, made where it will lie. Who makes it first has it copied into the box, all of it: the request path's are kilobytes of
/// which at the start hardly anything means something. (Between making it and keeping it nothing may fail, else the compiler needs it twice.)
#[inline(always)]
pub fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    let place = Box::new_uninit();
    Box::into_pin(Box::write(place, make()))
}

/// Runs a task on this thread beside the others.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    spawn_made(|| task);
}

/// As [`spawn`], of a task that is made where it will lie.
#[inline(always)]
pub fn spawn_made<F: Future<Output = ()> + 'static>(make: impl FnOnce() -> F) {
    let alive = Alive::new();
    // A block that awaits what it was given has room for it twice, and a task is copied several times before it runs.
    let mut task = boxed(make);
    tokio::task::spawn_local(async move {
        task.as_mut().await;
        drop(alive);
    });
}

/// Tasks of this thread that were spawned and have not ended, however they end.
pub fn tasks() -> usize {
    TASKS.with(Cell::get)
}

pub async fn sleep(duration: Duration) {
    // A timer lies at a multiple of 128 bytes, and so would whatever might ever sleep: the allocator's slow way for each request.
    Box::pin(tokio::time::sleep(duration)).await;
}

/// Goes on behind all tasks of this thread that are ready now, without a look at the sockets meanwhile. What is sent by many at once so goes out one after
/// another, and a peer on this machine is woken once for all of it: to wake somebody costs the sender more than to write. Who is the first since the
/// thread last waited, where the last before was alone, is taken to be alone too and goes on at once.
pub async fn behind() {
    let mut waited = is_alone();
    counted();
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Counts who goes behind the others, unless nobody else does.
fn joins() -> bool {
    let alone = is_alone();
    if !alone {
        counted();
    }
    !alone
}

fn is_alone() -> bool {
    BEHIND.get().is_some_and(|(now, before)| now == 0 && before <= 1)
}

fn counted() {
    BEHIND.set(BEHIND.get().map(|(now, before)| (now.saturating_add(1), before)));
}

/// Lets other tasks of this thread have their turn.
pub async fn turn() {
    ring::turn();
    tokio::task::yield_now().await;
}

/// Monotone time; virtual where the runtime's is. On a thread of [`run`] it is what the clock said after the thread last waited, or a few readings ago.
pub fn now() -> Instant {
    CLOCK.with(|clock| match clock.get() {
        Some((at, left)) if left > 0 => {
            clock.set(Some((at, left - 1)));
            at
        }
        kept => {
            let at = tokio::time::Instant::now().into_std();
            clock.set(kept.map(|_| (at, READINGS)));
            at
        }
    })
}

/// So long from now; what is beyond all clocks is in thirty years.
pub fn after(limit: Duration) -> Instant {
    let now = now();
    now.checked_add(limit).unwrap_or_else(|| now + Duration::from_secs(30 * 365 * 86_400))
}

/// Time of day, for records and certificates.
pub fn wall() -> SystemTime {
    Here::now().wall()
}

/// Runs `work` on a runtime of this thread's own until it ends.
///
/// # Errors
/// If the kernel gives no event queue.
pub fn run<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    run_by(ring::is_wanted(), work)
}

/// As [`run`]: by io_uring where that is asked for and the kernel has it, else by epoll.
fn run_by<T>(ring: bool, work: impl Future<Output = T>) -> std::io::Result<T> {
    // A reading from before a wait is worth nothing after it.
    let spent = || {
        CLOCK.with(|clock| clock.set(clock.get().map(|(at, _)| (at, 0))));
        BEHIND.with(|behind| behind.set(behind.get().map(|(now, before)| (0, if now > 0 { now } else { before }))));
    };
    // A runtime whose tasks are of this thread from the start: a `LocalSet` inside another would schedule each wake-up twice.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    if ring && ring::open() {
        builder.on_thread_park(ring::turn);
    } else {
        builder.on_thread_park(|| coalesce::round(BEHIND.get().map_or(0, |(now, _)| now)));
    }
    let runtime = builder.enable_io().enable_time().on_thread_unpark(spent).build_local(tokio::runtime::LocalOptions::default())?;
    CLOCK.with(|clock| clock.set(Some((now(), 0))));
    BEHIND.with(|behind| behind.set(Some((0, 0))));
    coalesce::open();
    post::open();
    let closing = ring::Closing;
    let ended = runtime.block_on(async {
        if ring::is_open() {
            match ring::waited_for() {
                Ok(fd) => spawn(ring::serve(fd)),
                Err(_) => ring::close(),
            }
        }
        work.await
    });
    post::close();
    coalesce::close();
    drop(closing);
    CLOCK.with(|clock| clock.set(None));
    BEHIND.with(|behind| behind.set(None));
    Ok(ended)
}

/// Runs `work` on a thread and a runtime of its own; where the thread stands for a whole machine, as one of its tasks.
///
/// `lost` hears where the thread has no event queue.
///
/// # Errors
/// If the thread cannot be made.
pub fn start<F>(name: String, work: F, lost: impl FnOnce(std::io::Error) + std::marker::Send + 'static) -> std::io::Result<()>
where
    F: AsyncFnOnce() + std::marker::Send + 'static,
{
    if Here::now().machine().is_some() {
        spawn(async move { work().await });
        return Ok(());
    }
    // Threads end with the process; waiting for one that hangs would help nobody.
    std::thread::Builder::new().name(name).spawn(move || {
        if let Err(e) = run(async move { work().await }) {
            lost(e);
        }
    })?;
    Ok(())
}

/// Addresses of a host outside the mesh, by the system's resolver, off this thread.
///
/// # Errors
/// If the name is not known or the resolver does not answer.
pub async fn lookup(host: &str, port: u16) -> std::io::Result<Vec<std::net::SocketAddr>> {
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

/// A seed for draws that need not be secret.
pub fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    if let Some(machine) = Here::now().machine() {
        return machine.seed();
    }
    // The standard library keys each `RandomState` from the system's randomness.
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
pub(crate) use doubt::tests::Gone;

#[cfg(test)]
mod tests;
