//! What is said of seats once a successor has the doors, for as long as its predecessor lives. Who may have one is the guards' affair.

use super::{Channel, Word, hear, say};
use crate::guard::{Held, Seat};
use crate::worker::Shared;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wire::handover::{self, Seats};

/// Nobody has to say anything for as long as processes live.
const EVER: Duration = Duration::from_secs(u32::MAX as u64);

/// The predecessor's side: it lends, gives back and asks, until it or the other process ends.
pub(super) async fn lend(channel: Channel, shared: Arc<Shared>) {
    let (outbox, mut said) = mpsc::unbounded_channel();
    let Ok(mut writer) = channel.writer() else { return };
    let told = shared.guards.lend(outbox);
    let written = async {
        say(&mut writer, &Word::Seats(told), &[]).await.ok()?;
        while let Some(word) = said.recv().await {
            say(&mut writer, &word, &[]).await.ok()?;
        }
        Some(())
    };
    let heard = listen(channel, |word| {
        if let Word::Have(seat) = word {
            shared.guards.granted(seat);
        }
    });
    select(pin!(written), pin!(heard)).await;
    shared.guards.take_back();
}

async fn listen(mut channel: Channel, mut take: impl FnMut(Word)) {
    while let Ok((word, _)) = hear(&mut channel, EVER).await {
        take(word);
    }
}

/// What a predecessor has, and its end of the conversation.
pub struct Elder {
    pub(super) channel: Channel,
    pub(super) told: Vec<Seats>,
}

impl Elder {
    /// Counts what the predecessor has from now on, and what it asks for and gives back until it ends.
    pub fn count(self, shared: Arc<Shared>) -> JoinHandle<()> {
        let mut held = Held::default();
        held.adopt(&shared, self.told);
        tokio::task::spawn_local(serve(self.channel, shared, held))
    }
}

async fn serve(channel: Channel, shared: Arc<Shared>, mut held: Held) {
    let Ok(mut writer) = channel.writer() else { return };
    let (words, mut heard) = mpsc::unbounded_channel();
    let listening = listen(channel, move |word| _ = words.send(word));
    let answering = async {
        let mut waiting = FuturesUnordered::new();
        loop {
            let came = match select(pin!(heard.recv()), pin!(some(&mut waiting))).await {
                Either::Left((word, _)) => Either::Left(word),
                Either::Right((given, _)) => Either::Right(given),
            };
            let given: Option<(handover::Seat, Seat)> = match came {
                Either::Left(None) => return,
                Either::Left(Some(Word::Seats(told))) => {
                    held.adopt(&shared, told);
                    None
                }
                Either::Left(Some(Word::Gave(seat))) => {
                    held.gave(&seat);
                    None
                }
                Either::Left(Some(Word::Want(named))) => match Held::want(&shared, &named) {
                    Some(Ok(seat)) => Some((named, seat)),
                    Some(Err(mut waits)) => {
                        // Some of our own may lie idle.
                        waits.ring();
                        waiting.push(async move { (named, poll_fn(|cx| waits.poll(cx.waker())).await) });
                        None
                    }
                    None => None,
                },
                Either::Left(_) => None,
                Either::Right(given) => Some(given),
            };
            if let Some((named, seat)) = given {
                held.keep(named.clone(), seat);
                if say(&mut writer, &Word::Have(named), &[]).await.is_err() {
                    return;
                }
            }
        }
    };
    select(pin!(listening), pin!(answering)).await;
}

/// The next that is done; where nobody waits, never.
async fn some<T>(waiting: &mut FuturesUnordered<impl Future<Output = T>>) -> T {
    match waiting.next().await {
        Some(done) => done,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
