//! `organza bug-report`: one text file with what whoever looks into a problem needs, and no secret: no key, token, certificate, no user's YAML, and
//! no line of a log that looks as if it held one.

use crate::client::Client;
use crate::failure::{Context, Outcome};
use crate::mesh_flag::MeshFlag;
use crate::place::Place;
use clap::Args;
use std::fmt::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use wire::api::path;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  organza bug-report\n  organza bug-report -o - | less")]
pub struct BugReportArgs {
    /// Where to write it; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "organza-bug-report.txt")]
    output: PathBuf,
    /// Lines of each log
    #[arg(long, default_value_t = 200)]
    tail: usize,
    #[command(flatten)]
    mesh: MeshFlag,
}

/// What is asked of the control plane, in this order.
const QUESTIONS: [&str; 7] = [path::STATUS, path::OBJECTS, path::ROUTES, path::SERVICES, path::PROXIES, path::EDGES, path::CERTIFICATES];

pub async fn run(args: BugReportArgs) -> Outcome {
    let place = args.mesh.place()?;
    let mut report = String::new();
    section(&mut report, "organza", &format!("{} on {}", env!("CARGO_PKG_VERSION"), system()));
    let client = Client::control(&place);
    for question in QUESTIONS {
        let answer = match client.get::<serde_json::Value>(question).await {
            Ok(value) => serde_json::to_string_pretty(&value).unwrap_or_default(),
            // A mesh that does not answer is a finding, not a reason to give up.
            Err(failure) => failure.to_string(),
        };
        section(&mut report, question, &answer);
    }
    section(&mut report, "files", &listing(place.root(), 0));
    section(&mut report, "logs", &logs(&place, args.tail));
    if args.output == Path::new("-") {
        print!("{report}");
        return Ok(());
    }
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&args.output);
    opened.and_then(|mut file| file.write_all(report.as_bytes())).doing(|| format!("write {}", args.output.display()))?;
    println!("wrote {}: read it before you send it", args.output.display());
    Ok(())
}

fn section(report: &mut String, title: &str, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(report, "== {title}\n{}\n", text.trim_end());
}

fn system() -> String {
    let name = rustix::system::uname();
    let part = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} {} {}, {processors} processors", part(name.sysname()), part(name.release()), part(name.machine()))
}

/// Names, sizes and modes; never contents.
fn listing(folder: &Path, depth: usize) -> String {
    let mut text = String::new();
    let mut entries: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let Ok(metadata) = entry.metadata() else { continue };
        let _ =
            writeln!(text, "{:o} {:>10} {}{}", metadata.mode() & 0o777, metadata.len(), "  ".repeat(depth), entry.file_name().display());
        if metadata.is_dir() && depth < 3 {
            text.push_str(&listing(&entry.path(), depth + 1));
        }
    }
    text
}

fn logs(place: &Place, tail: usize) -> String {
    let mut files: Vec<PathBuf> = std::fs::read_dir(place.logs()).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    let mut text = String::new();
    for path in files {
        let bytes = std::fs::read(&path).unwrap_or_default();
        let whole = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = whole.lines().collect();
        let _ = writeln!(text, "-- {}", path.file_name().unwrap_or_default().display());
        for line in lines.iter().skip(lines.len().saturating_sub(tail)) {
            let _ = writeln!(text, "{}", without_secrets(line));
        }
    }
    text
}

/// Logs hold no secrets by design; the user's own programs may have other habits.
fn without_secrets(line: &str) -> &str {
    const SUSPECT: [&str; 9] =
        ["authorization", "cookie", "password", "passwd", "secret", "token", "api_key", "-----begin", "organza-join-"];
    let lower = line.to_lowercase();
    if SUSPECT.iter().any(|word| lower.contains(word)) { "(a line that may hold a secret)" } else { line }
}

#[cfg(test)]
mod tests;
