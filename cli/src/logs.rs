//! `organza logs [-f] [SERVICE]`: what the mesh's processes have said, each line with its process's name; of a cluster what its control planes and gateways have.

mod pods;

use crate::ask_flag::AskFlag;
use crate::failure::{Failure, Outcome};
use crate::lifeline::Lifeline;
use crate::place::Place;
use clap::Args;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  organza logs\n  organza logs -f catalog\n  organza logs gateway-shop --tail 100\n  organza logs -f edge --context prod"
)]
pub struct LogsArgs {
    /// A service or a process; all of them when left out
    name: Option<String>,
    /// Go on as lines come
    #[arg(short, long)]
    follow: bool,
    /// Show so many of the last lines of each
    #[arg(long, default_value_t = 20)]
    tail: usize,
    /// In a cluster: of the gateways of one namespace
    #[arg(short, long)]
    namespace: Option<String>,
    #[command(flatten)]
    ask: AskFlag,
}

pub async fn run(args: LogsArgs) -> Outcome {
    if let Some(cluster) = args.ask.cluster() {
        return pods::run(&args, &cluster).await;
    }
    let place = args.ask.mesh.place()?;
    let files = logs(&place, args.name.as_deref());
    if files.is_empty() {
        let known: Vec<String> = logs(&place, None).iter().map(|path| name_of(path)).collect();
        return Err(match (&args.name, known.is_empty()) {
            (_, true) => Failure::unreachable(format!("mesh {:?} has no logs", place.mesh)).remedy(place.remedy()),
            (name, false) => Failure::problem(format!("nothing is called {:?}", name.as_deref().unwrap_or_default()))
                .remedy(format!("one of: {}", known.join(" "))),
        });
    }
    let mut readers: HashMap<PathBuf, Tail> = HashMap::new();
    for path in files {
        if let Some(tail) = Tail::open(&path, args.tail) {
            readers.insert(path, tail);
        }
    }
    if args.follow { follow(&place, args.name.as_deref(), readers).await } else { Ok(()) }
}

async fn follow(place: &Place, name: Option<&str>, mut readers: HashMap<PathBuf, Tail>) -> Outcome {
    let mut lifeline = Lifeline::new(false).map_err(|error| Failure::problem("cannot listen to signals").why(error))?;
    loop {
        tokio::select! {
            biased;
            () = lifeline.ended() => return Ok(()),
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
        for path in logs(place, name) {
            match readers.get_mut(&path) {
                Some(tail) => tail.more(&path),
                // A process that came later is shown from its start.
                None => drop(Tail::open(&path, usize::MAX).map(|tail| readers.insert(path, tail))),
            }
        }
    }
}

/// Logs whose process is called `name` or belongs to the service of that name (`catalog-v1`, `proxy-catalog-v1`).
fn logs(place: &Place, name: Option<&str>) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place.logs()).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .filter(|path| name.is_none_or(|name| belongs(&name_of(path), name)))
        .collect();
    found.sort();
    found
}

fn belongs(process: &str, name: &str) -> bool {
    let bare = process.strip_prefix("proxy-").unwrap_or(process);
    process == name || bare == name || bare.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

struct Tail {
    name: String,
    inode: u64,
    reader: BufReader<File>,
    /// The start of a line whose end is not written yet.
    begun: Vec<u8>,
}

impl Tail {
    fn open(path: &Path, lines: usize) -> Option<Self> {
        let file = File::open(path).ok()?;
        let inode = file.metadata().ok()?.ino();
        let mut this = Self { name: name_of(path), inode, reader: BufReader::new(file), begun: Vec::new() };
        let mut all = Vec::new();
        this.read(|line| all.push(line.to_vec()));
        for line in all.iter().skip(all.len().saturating_sub(lines)) {
            show(&this.name, line);
        }
        Some(this)
    }

    fn more(&mut self, path: &Path) {
        let name = self.name.clone();
        self.read(|line| show(&name, line));
        let rotated = std::fs::metadata(path).is_ok_and(|now| now.ino() != self.inode);
        if rotated && let Ok(file) = File::open(path) {
            self.inode = file.metadata().map_or(0, |m| m.ino());
            self.reader = BufReader::new(file);
        }
    }

    fn read(&mut self, mut line: impl FnMut(&[u8])) {
        while self.reader.read_until(b'\n', &mut self.begun).is_ok_and(|n| n > 0) {
            if self.begun.last() != Some(&b'\n') {
                return;
            }
            line(&self.begun[..self.begun.len() - 1]);
            self.begun.clear();
        }
    }
}

fn show(name: &str, line: &[u8]) {
    println!("{name:<20} {}", String::from_utf8_lossy(line));
}
