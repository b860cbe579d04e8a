//! `organza diff -f`: what would be another way in a running mesh if these were its files, or in a cluster's if they were applied. The control plane works it out, with its
//! registrations and the code that makes its worlds; nothing is changed.

use crate::ask_flag::AskFlag;
use crate::events;
use crate::failure::{Failure, Outcome};
use crate::files::{self, For};
use crate::output::Output;
use crate::table::{self, Tone};
use clap::Args;
use std::path::PathBuf;
use wire::api::{ChangeKind, Diff, DiffRequest, Severity, path};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  organza diff -f DIR\n  organza diff -f gateway.yaml -f routes.yaml -o json\n  organza diff -f routes.yaml --context prod   as if it were applied there"
)]
pub struct DiffArgs {
    /// A file or a folder, as given to `organza up`: all of the configuration, not a part of it. Of a cluster, what would be applied to it
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    /// For people or for programs
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    ask: AskFlag,
}

pub async fn run(args: DiffArgs) -> Outcome {
    // Named as the mesh names them that was started with the same paths.
    let name = |path: String| frontends::file::name_among(&args.files, std::path::Path::new(&path));
    let (loaded, passed_over) = files::read_for(&args.files, For::asked(&args.ask))?;
    if !passed_over.0.is_empty() {
        eprintln!("organza: {passed_over}");
    }
    let request = DiffRequest { files: loaded.texts.into_iter().map(|(path, text)| (name(path), text)).collect() };
    let diff: Diff = args.ask.client().await?.post(path::DIFF, &request).await?;
    match args.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&diff).map_err(|e| Failure::problem("cannot write JSON").why(e))?),
        Output::Text => print!("{}", text(&diff)),
    }
    // A difference is what one asks for; a new error is a problem.
    match diff.problems.iter().any(|problem| problem.severity == Severity::Error) {
        true => Err(Failure::silent()),
        false => Ok(()),
    }
}

fn text(diff: &Diff) -> String {
    if diff.changes.is_empty() && diff.problems.is_empty() {
        return format!("no difference from generation {}\n", diff.generation);
    }
    let mut text = String::new();
    for change in &diff.changes {
        let (sign, tone) = match change.change {
            ChangeKind::Added => ('+', Tone::Good),
            ChangeKind::Changed => ('~', Tone::Strong),
            ChangeKind::Removed => ('-', Tone::Bad),
        };
        let place =
            if ["", "default"].contains(&&*change.namespace) { String::new() } else { format!(" (namespace {})", change.namespace) };
        text.push_str(&table::paint(tone, &format!("{sign} {}: {}{place}", change.file, change.summary)));
        text.push('\n');
    }
    for problem in &diff.problems {
        text.push_str(&format!("! {}\n", events::located(problem)));
    }
    text
}

#[cfg(test)]
mod tests;
