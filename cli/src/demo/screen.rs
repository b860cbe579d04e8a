//! Draws the demo: anew each second on a terminal, a line each five seconds elsewhere, or an object per line.

use super::Output;
use super::view::{self, Moment};
use crate::load::Load;
use crate::mesh::{ControlPlane, Mesh};
use crate::place::Place;
use crate::table;
use std::collections::VecDeque;
use std::io::Write;
use std::time::Duration;

/// How many of the latest events stay below the table.
const EVENTS: usize = 6;
/// Without a terminal, seconds from line to line.
const LINE_EVERY: u64 = 5;

pub struct Screen {
    output: Output,
    live: bool,
    mesh: String,
    address: String,
    drawn: usize,
    ticks: u64,
    events: VecDeque<String>,
}

impl Screen {
    pub fn new(output: Output, place: &Place, address: &str) -> Self {
        let live = output == Output::Text && table::is_terminal();
        Self { output, live, mesh: place.mesh.clone(), address: address.into(), drawn: 0, ticks: 0, events: VecDeque::new() }
    }

    pub fn event(&mut self, event: &str) {
        match (self.output, self.live) {
            (Output::Json, _) => println!("{}", serde_json::json!({"event": event})),
            (Output::Text, false) => println!("{event}"),
            (Output::Text, true) => {
                self.events.extend(event.lines().map(str::to_owned));
                while self.events.len() > EVENTS {
                    self.events.pop_front();
                }
            }
        }
    }

    pub async fn tick<C: ControlPlane>(&mut self, mesh: &Mesh<C>, load: &Load, elapsed: Duration) {
        self.ticks += 1;
        if self.live || self.ticks.is_multiple_of(LINE_EVERY) {
            self.draw(mesh, load, elapsed).await;
        }
    }

    /// The last picture stays.
    pub async fn last<C: ControlPlane>(&mut self, mesh: &Mesh<C>, load: &Load, elapsed: Duration) {
        if self.live {
            self.draw(mesh, load, elapsed).await;
        }
    }

    async fn draw<C: ControlPlane>(&mut self, mesh: &Mesh<C>, load: &Load, elapsed: Duration) {
        let rows = mesh.rows().await;
        let tally = load.tally();
        let (proxies, generation) = (mesh.applied(), mesh.generation());
        let moment = Moment { mesh: &self.mesh, address: &self.address, elapsed, rows: &rows, load: &tally, proxies, generation };
        match (self.output, self.live) {
            (Output::Json, _) => println!("{}", view::object(&moment)),
            (Output::Text, false) => println!("{}", view::line(&moment)),
            (Output::Text, true) => self.redraw(&view::screen(&moment, table::width())),
        }
    }

    fn redraw(&mut self, text: &str) {
        let width = table::width();
        let events = self.events.iter().map(|event| event.chars().take(width).collect::<String>() + "\n").collect::<String>();
        let whole = format!("{text}\n{events}");
        let mut out = std::io::stdout().lock();
        // Back to the first line of the last picture, then everything below it is cleared.
        let back = if self.drawn > 0 { format!("\x1b[{}A\r\x1b[J", self.drawn) } else { String::new() };
        self.drawn = whole.lines().count();
        // A terminal that is gone ends us by SIGHUP; there is nobody to tell before that.
        let _ = write!(out, "{back}{whole}").and_then(|()| out.flush());
    }
}
