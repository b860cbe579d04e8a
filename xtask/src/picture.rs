//! `cargo xtask picture`: runs the demo on a terminal of its own, edits a weight while it runs as a user would, and draws what the terminal shows
//! then as `docs/demo.svg`. Nothing in it is written by hand. Knows terminals and SVG (`picture/terminal.rs`), nothing of a mesh.

mod terminal;

use crate::process;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use terminal::Terminal;

const COLUMNS: usize = 92;
/// The demo runs so long ...
const LASTING: &str = "24s";
/// ... and its weights are edited after so long.
const EDIT_AFTER: Duration = Duration::from_secs(14);

/// `--organza FILE` takes a program that is built already.
pub fn run(arguments: &[String]) -> Result<()> {
    let program = match arguments {
        [] => {
            process::run(&process::cargo(), &["build", "--release", "--locked", "-p", "cli"])?;
            crate::root().join("target/release/organza")
        }
        [flag, file] if flag == "--organza" => std::path::absolute(file)?,
        _ => bail!("picture takes --organza FILE or nothing"),
    };
    let folder = std::env::temp_dir().join(format!("organza-picture-{}", std::process::id()));
    let shown = record(&program, &folder);
    std::fs::remove_dir_all(&folder).ok();
    let mut terminal = Terminal::new(COLUMNS);
    terminal.feed(&shown?);
    // What comes after the last table sums up a demo that has ended.
    let mut lines = terminal.lines_until("See for yourself");
    if let Some(end) = lines.iter().rposition(|line| line.text().is_empty()) {
        lines.truncate(end);
    }
    if !lines.iter().any(|line| line.text().contains("90/10 → 50/50")) {
        bail!("the edit is not to be seen; is port 8080 taken?\n{}", lines.iter().map(|line| line.text() + "\n").collect::<String>());
    }
    let path = crate::root().join("docs/demo.svg");
    std::fs::write(&path, terminal::svg("organza demo", &lines, COLUMNS)).with_context(|| path.display().to_string())?;
    println!("picture: {} lines in docs/demo.svg", lines.len());
    Ok(())
}

/// All that the demo writes to its terminal.
fn record(program: &Path, folder: &Path) -> Result<String> {
    let shop = copy_of_the_shop(folder)?;
    let mut command = Command::new("script");
    command.args(["-qec", &format!("'{}' demo --for {LASTING}", program.display()), "/dev/null"]);
    command.current_dir(folder).env("XDG_STATE_HOME", folder.join("state")).env("COLUMNS", COLUMNS.to_string()).env("TERM", "xterm");
    command.env_remove("NO_COLOR").stdin(Stdio::null()).stdout(Stdio::piped());
    let child = command.spawn().context("cannot run script, which makes a terminal (package bsdutils)")?;
    std::thread::sleep(EDIT_AFTER);
    let routes = shop.join("routes.yaml");
    let text = std::fs::read_to_string(&routes)?;
    std::fs::write(&routes, text.replace("weight: 90", "weight: 50").replace("weight: 10", "weight: 50"))?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("the demo ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stdout));
    }
    String::from_utf8(output.stdout).context("the demo did not write UTF-8")
}

/// Where the demo looks for it: below the folder that it runs in.
fn copy_of_the_shop(folder: &Path) -> Result<PathBuf> {
    let shop = folder.join("examples/shop");
    std::fs::create_dir_all(&shop)?;
    for entry in std::fs::read_dir(crate::root().join("examples/shop"))? {
        let path = entry?.path();
        std::fs::copy(&path, shop.join(path.file_name().unwrap_or_default()))?;
    }
    Ok(shop)
}
