//! `organza man FOLDER`: manual pages, one for each command, for those who make packages.

use crate::failure::{Context, Outcome};
use clap::{Args, CommandFactory};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Where they are written; made if it is not there
    folder: PathBuf,
}

pub fn run(args: &ManArgs) -> Outcome {
    let write = || {
        std::fs::create_dir_all(&args.folder)?;
        clap_mangen::generate_to(crate::args::Organza::command(), &args.folder)
    };
    write().doing(|| format!("write manual pages to {}", args.folder.display()))
}
