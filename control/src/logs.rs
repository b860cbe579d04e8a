//! The last lines that a process of the mesh and its proxy wrote, as they lie in the mesh's own folder on this machine. Reads the ends of files that the
//! supervisors write, bounded, and by plain names alone: nobody who asks chooses a place.

use crate::limits;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use wire::api::{Log, LogList};

/// Of a process and of its proxy, as far as there are such files; `None` where the name is none.
pub fn of(folder: &Path, name: &str) -> Option<LogList> {
    if !model::telemetry::is_plain_name(name, model::limits::HOSTNAME_BYTES) {
        return None;
    }
    let names = [name.to_owned(), format!("proxy-{name}")];
    let read = |name: String| {
        let lines = last(&folder.join(format!("{name}.log"))).ok()?;
        Some(Log { name, lines })
    };
    Some(LogList { items: names.into_iter().filter_map(read).collect() })
}

/// The last lines; one that began before what is read is left out.
fn last(path: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(limits::LOG_TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(limits::LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().skip(usize::from(from > 0)).collect();
    let skipped = lines.len().saturating_sub(limits::LOG_TAIL_LINES);
    Ok(lines.into_iter().skip(skipped).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests;
