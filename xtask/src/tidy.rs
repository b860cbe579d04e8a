//! `cargo xtask tidy`: the habits of the project that a machine can check. Each check gives complaints, one line each, with a place; any
//! complaint fails. Knows the shape of the workspace, nothing of what the code does.

mod dependencies;
mod limits;
mod links;
mod source;
mod suite;
mod walls;

use crate::process;
use anyhow::{Context, Result, bail};
use serde_json::Value;

pub fn run() -> Result<()> {
    let files = crate::files()?;
    let metadata = metadata()?;
    let mut complaints = walls::check(&metadata);
    complaints.extend(dependencies::check(&metadata)?);
    complaints.extend(limits::check(&files)?);
    complaints.extend(links::check(&files)?);
    complaints.extend(source::check(&files)?);
    complaints.extend(suite::check(&files)?);
    for complaint in &complaints {
        println!("{complaint}");
    }
    match complaints.len() {
        0 => {
            println!("tidy: {} files, no complaint", files.len());
            Ok(())
        }
        n => bail!("tidy: {n} complaints"),
    }
}

fn metadata() -> Result<Value> {
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let text = process::output(&process::cargo(), &arguments)?;
    serde_json::from_str(&text).context("cargo metadata")
}

fn texts<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    value[field].as_array().into_iter().flatten().filter_map(Value::as_str)
}
