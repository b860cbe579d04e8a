//! Callers of several kinds side by side, each under a name that people read, and what became of all of them. It never says what they call.

use crate::streams::Streams;
use crate::{Counter, Loss, Tally};

/// Counts from its first to its last call; a test fills it with what it wants to know of.
pub struct Load {
    pub counters: Vec<(&'static str, Counter)>,
    pub streams: Vec<(&'static str, Streams)>,
}

impl Load {
    /// What was lost so far and whose it was, in order.
    pub fn losses(&self) -> Vec<(&'static str, Loss)> {
        let counted = self.counters.iter().map(|(what, counter)| (*what, counter.losses()));
        let streamed = self.streams.iter().map(|(what, streams)| (*what, streams.losses()));
        let mut all: Vec<_> = counted.chain(streamed).flat_map(|(what, losses)| losses.into_iter().map(move |loss| (what, loss))).collect();
        all.sort_by_key(|(_, loss)| loss.ended);
        all
    }

    /// Ends all callers, prints a line for each kind, and gives the sum.
    ///
    /// # Panics
    /// If nothing of some kind came through: then it was not under load.
    pub async fn finish(self) -> Tally {
        let mut tallies = Vec::new();
        for (what, counter) in self.counters {
            tallies.push((what, counter.finish().await));
        }
        for (what, streams) in self.streams {
            tallies.push((what, streams.finish().await));
        }
        let mut all = Tally::default();
        for (what, tally) in tallies {
            println!("{what}: {} whole, {} lost", tally.of("200"), tally.lost());
            assert!(tally.of("200") > 0, "{what}: none came through: {tally:?}");
            all.add(&tally);
        }
        all
    }
}
