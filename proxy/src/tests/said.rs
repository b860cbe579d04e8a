//! What the proxy's log says while a test runs, of what happens on its thread.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Until it is dropped.
pub struct Said {
    lines: Arc<Mutex<Vec<String>>>,
    _here: DefaultGuard,
}

impl Said {
    pub fn from_now_on() -> Self {
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        Self { _here: set_default(Listens(lines.clone())), lines }
    }

    /// The only line in which this stands.
    pub fn line(&self, words: &str) -> String {
        let lines = self.lines.lock().unwrap();
        let found: Vec<&String> = lines.iter().filter(|line| line.contains(words)).collect();
        assert_eq!(found.len(), 1, "{words:?} among {lines:#?}");
        found[0].clone()
    }
}

struct Listens(Arc<Mutex<Vec<String>>>);

impl Subscriber for Listens {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Words(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            write!(self.0, " {value:?}").unwrap();
        }
    }
}
