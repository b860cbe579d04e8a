//! A busy thread waits for company. Where many answers are awaited and come one at a time, each is sent on by itself and wakes its receiver, and to wake somebody costs
//! more than to send; and the thread that is woken for each takes the processor from who makes the next. A thread to which that happens rests a moment before it
//! looks for more, as network cards do before they interrupt, and what came meanwhile goes out together. Who is not busy, or has few callers, never
//! rests. Knows no protocol.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// Rounds after which is judged anew. A round is what a thread does between two looks at its sockets.
const ROUNDS: u32 = 64;
/// A round of so many messages has company enough.
const COMPANY: u32 = 24;
/// Messages for which to rest: some that would come within one rest.
const PER_MILLISECOND: u32 = 50;
/// Answers that must be awaited at a time: who has fewer callers would wait for those who wait for it.
const AWAITED: u32 = 24;
/// What one answer counts at most. One that is long in coming is none that a rest could bring.
const SOON: Duration = Duration::from_millis(5);
/// To it comes by how much the kernel lets timers be late (`timerslack_ns`: 50 µs, where nobody says otherwise).
const REST: Duration = Duration::from_micros(50);

thread_local! {
    /// On a thread of [`super::run`].
    static PACE: RefCell<Option<Pace>> = const { RefCell::new(None) };
    /// How long answers that have come were awaited, all together, since that was last judged.
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static RESTS: Cell<u64> = const { Cell::new(0) };
}

/// What happened since it was last judged.
#[derive(Debug)]
struct Pace {
    since: Instant,
    rounds: u32,
    messages: u32,
    /// Rounds without company are followed by a rest.
    rests: bool,
}

pub(super) fn open() {
    PACE.set(Some(Pace::new(Instant::now())));
}

pub(super) fn close() {
    PACE.set(None);
}

/// Somebody on this thread awaits an answer no more, after so long: it came, or was given up.
pub fn answered(after: Duration) {
    WAITED.set(WAITED.get().saturating_add(after.min(SOON)));
}

/// How often this thread rested.
pub fn rests() -> u64 {
    RESTS.get()
}

/// Before the thread waits, after a round in which so many messages went out.
pub(super) fn round(messages: u32) {
    let rests = PACE.with_borrow_mut(|pace| pace.as_mut().is_some_and(|pace| pace.round(messages, || (Instant::now(), WAITED.take()))));
    if rests {
        RESTS.set(RESTS.get() + 1);
        std::thread::sleep(REST);
    }
}

impl Pace {
    fn new(since: Instant) -> Self {
        Self { since, rounds: 0, messages: 0, rests: false }
    }

    /// Whether to rest after this round; what time it is, and how long answers were awaited, is asked where it is judged.
    fn round(&mut self, messages: u32, told: impl FnOnce() -> (Instant, Duration)) -> bool {
        self.rounds += 1;
        self.messages = self.messages.saturating_add(messages);
        if self.rounds == ROUNDS {
            let (now, waited) = told();
            let time = now.saturating_duration_since(self.since);
            // Little's law: of those who were answered so many waited at a time.
            let many = waited >= time.saturating_mul(AWAITED);
            let often = Duration::from_millis(1).saturating_mul(self.messages) >= time.saturating_mul(PER_MILLISECOND);
            *self = Self { rests: many && often, ..Self::new(now) };
        }
        self.rests && messages < COMPANY
    }
}

#[cfg(test)]
mod tests;
