//! Lines of the access log on their way from workers to where they are written: the proxy's output, as it was started, and a file, as policies have it. A
//! thread of its own writes; no request waits for its line, and what comes faster than it is written is dropped and counted.

use crate::limits;
use crate::rotated::Rotated;
use model::telemetry::{LineFile, LineFormat};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use telemetry::{Gauge, Metrics, Tell, access_log};
use transport::rt;

/// One line, with its end, and where it goes.
#[derive(Debug)]
pub struct Line {
    pub text: String,
    pub output: bool,
    pub file: Option<Arc<LineFile>>,
}

/// Where lines wait for the thread that writes them.
pub fn queue() -> (SyncSender<Line>, Receiver<Line>) {
    sync_channel(limits::LOG_LINES)
}

/// The workers' end.
pub struct LogSink {
    /// With a thread that writes, from the first line on: few proxies have any, and room for all that may wait is 400 KB.
    lines: OnceLock<SyncSender<Line>>,
    /// For the files.
    folder: PathBuf,
    dropped: Gauge,
    /// As it was started: whether its own output has lines, and in what form where no policy says so.
    output: bool,
    format: access_log::Format,
}

impl LogSink {
    /// Writes files into `folder`.
    pub fn new(output: bool, format: access_log::Format, metrics: &Metrics, folder: PathBuf) -> Self {
        Self { lines: OnceLock::new(), folder, dropped: dropped(metrics), output, format }
    }

    /// The same with a writer of the caller's.
    pub fn to(lines: SyncSender<Line>, output: bool, format: access_log::Format, metrics: &Metrics) -> Self {
        Self { lines: lines.into(), ..Self::new(output, format, metrics, PathBuf::new()) }
    }

    fn start(&self) -> SyncSender<Line> {
        let (lines, receiver) = queue();
        let (folder, lost) = (self.folder.clone(), self.dropped.clone());
        let writer = std::thread::Builder::new().name("access-log".into()).spawn(move || write(&receiver, io::stdout(), &folder, &lost));
        if let Err(e) = writer {
            tracing::error!("no access log: {e}");
        }
        lines
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> f64 {
        self.dropped.get()
    }

    pub fn write(&self, line: &access_log::Once<'_>, tell: &Tell) {
        if !self.output && tell.file.is_none() {
            return;
        }
        let format = match tell.format {
            Some(LineFormat::Json) => access_log::Format::Json,
            Some(LineFormat::Text) => access_log::Format::Text,
            None => self.format,
        };
        let sent = self.lines.get_or_init(|| self.start()).try_send(Line {
            text: line.text(format),
            output: self.output,
            file: tell.file.clone(),
        });
        if matches!(sent, Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) {
            self.dropped.add(1.0);
        }
    }
}

fn dropped(metrics: &Metrics) -> Gauge {
    let help = "Lines of the access log that were dropped because the writer was behind, or could not write";
    metrics.counter("organza_access_log_dropped", help, &[])
}

/// Writes until nobody sends any more. A full disk loses lines, never requests.
fn write(lines: &Receiver<Line>, output: impl Write, folder: &Path, lost: &Gauge) {
    let (mut out, mut file) = (io::BufWriter::new(output), Written::default());
    while let Ok(first) = lines.recv() {
        for line in std::iter::once(first).chain(lines.try_iter()) {
            if line.output && out.write_all(line.text.as_bytes()).is_err() {
                lost.add(1.0);
            }
            if !file.line(line.text.trim_end_matches('\n'), line.file, folder, rt::now()) {
                lost.add(1.0);
            }
        }
        let _ = out.flush();
    }
}

/// The file that is written now.
#[derive(Debug, Default)]
struct Written {
    wanted: Option<Arc<LineFile>>,
    open: Option<Rotated>,
    /// When it was last tried in vain, which was said once; until a line is written again.
    failed: Option<Instant>,
}

impl Written {
    /// Whether the line is where it should be.
    fn line(&mut self, line: &str, wanted: Option<Arc<LineFile>>, folder: &Path, now: Instant) -> bool {
        if self.wanted != wanted {
            *self = Self { wanted, ..Self::default() };
        }
        let Some(wanted) = self.wanted.clone() else { return true };
        // A full disk can be opened and takes nothing: what fails is not tried anew for each line.
        if self.failed.is_some_and(|at| now.saturating_duration_since(at) < limits::LOG_FILE_AGAIN) {
            return false;
        }
        let written = self.open(wanted, folder).and_then(|open| open.line(line.as_bytes()));
        match &written {
            Ok(()) => self.failed = None,
            Err(e) => {
                self.open = None;
                if self.failed.replace(now).is_none() {
                    tracing::warn!(
                        "the access log {} cannot be written: {e}; its lines are dropped and counted",
                        wanted_name(&self.wanted)
                    );
                }
            }
        }
        written.is_ok()
    }

    fn open(&mut self, wanted: Arc<LineFile>, folder: &Path) -> io::Result<&mut Rotated> {
        if self.open.is_none() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            self.open = Some(Rotated::open(&folder.join(&*wanted.name), wanted.bytes, wanted.kept)?);
        }
        self.open.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn wanted_name(wanted: &Option<Arc<LineFile>>) -> &str {
    wanted.as_deref().map_or("", |file| &file.name)
}

#[cfg(test)]
mod tests;
