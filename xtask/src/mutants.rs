//! `cargo xtask mutants`: puts known bugs back, one at a time, and shows which test catches each. It works in a copy of the tree under the build
//! folder, in the dev profile and a build folder of its own, so that only the crates that a bug touches are built again, and nobody else's build has a bug. A bug that no longer fits the source, that does not
//! build, or that its test lets pass is a failure. What the bugs are stands in [`bugs`].

mod bugs;

use crate::process;
use anyhow::{Context, Result, bail};
use bugs::{BUGS, Bug};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// One test may take so long; a bug that hangs it was not caught by what it asserts.
const TEST_TIME: Duration = Duration::from_secs(120);

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Caught,
    Survived,
    /// Neither: it does not build, its test is not there, or it hangs.
    Broken(&'static str),
}

pub fn run(arguments: &[String]) -> Result<()> {
    let known = |name: &String| BUGS.iter().any(|bug| bug.name == name);
    if let Some(name) = arguments.iter().find(|name| !known(name)) {
        bail!("no bug is called {name:?}; there are {}", BUGS.map(|bug| bug.name).join(", "));
    }
    let chosen: Vec<&Bug> = BUGS.iter().filter(|bug| arguments.is_empty() || arguments.iter().any(|name| name == bug.name)).collect();
    let tree = copy()?;
    for bug in &chosen {
        bug.applied(&tree)?;
    }
    // A test that fails anyway catches nothing.
    for bug in &chosen {
        let (verdict, said) = judge(&tree, bug)?;
        if verdict != Verdict::Survived {
            bail!("{} of {} does not pass without the bug {:?}: {verdict:?}\n{said}", bug.test, bug.package, bug.name);
        }
    }
    let mut missed = 0;
    println!("{:<24} {:<10}{:>8}  test", "bug", "verdict", "seconds");
    for bug in chosen {
        let begun = Instant::now();
        let changed = bug.applied(&tree)?;
        let before = changed.iter().map(|(file, _)| Ok((file, fs::read(file)?))).collect::<Result<Vec<_>>>()?;
        for (file, text) in &changed {
            fs::write(file, text)?;
        }
        let judged = judge(&tree, bug);
        for (file, bytes) in before {
            fs::write(file, bytes)?;
        }
        let (verdict, said) = judged?;
        let word = match verdict {
            Verdict::Caught => "caught",
            Verdict::Survived => "SURVIVED",
            Verdict::Broken(why) => why,
        };
        missed += usize::from(verdict != Verdict::Caught);
        println!("{:<24} {word:<10}{:>8.1}  {} {}", bug.name, begun.elapsed().as_secs_f64(), bug.package, bug.test);
        if verdict != Verdict::Caught {
            println!("{said}");
        }
    }
    match missed {
        0 => Ok(()),
        n => bail!("{n} bugs were not caught"),
    }
}

impl Bug {
    /// The files with the bug in them, each of its edits made exactly once.
    fn applied(&self, tree: &Path) -> Result<Vec<(PathBuf, String)>> {
        let mut changed: Vec<(PathBuf, String)> = Vec::new();
        for edit in self.edits {
            let file = tree.join(edit.file);
            let known = changed.iter().position(|(path, _)| *path == file);
            let text = match known {
                Some(at) => changed.swap_remove(at).1,
                None => fs::read_to_string(&file).with_context(|| format!("bug {}: {}", self.name, edit.file))?,
            };
            let text = replaced(&text, edit.from, edit.to).with_context(|| format!("bug {}: {}", self.name, edit.file))?;
            changed.push((file, text));
        }
        Ok(changed)
    }
}

fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    match text.matches(from).count() {
        1 => Ok(text.replacen(from, to, 1)),
        n => bail!("this stands there {n} times, not once; the bug must be written anew:\n{from}"),
    }
}

/// Brings the copy up to date: what is the same is left alone, so that it is not built again.
fn copy() -> Result<PathBuf> {
    let text = process::output(&process::cargo(), &["metadata", "--format-version", "1", "--no-deps", "--locked"])?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("cargo metadata")?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target_directory")?;
    let tree = Path::new(folder).join("mutants");
    for file in crate::files()? {
        let (from, to) = (crate::root().join(&file), tree.join(&file));
        // With who may run it: cargo runs a wrapper of ours.
        let about = |file: &Path| Ok::<_, std::io::Error>((fs::metadata(file)?.permissions(), fs::read(file)?));
        if about(&to).is_ok_and(|there| about(&from).is_ok_and(|is| is == there)) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(&from, &to).with_context(|| to.display().to_string())?;
    }
    Ok(tree)
}

fn cargo(tree: &Path, bug: &Bug, last: &[&str]) -> Result<Child> {
    let mut arguments = vec!["test", "--quiet", "--locked", "-p", bug.package];
    arguments.extend(bug.suite);
    arguments.extend(last);
    let mut command = process::cargo_apart(tree);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot run cargo")
}

fn judge(tree: &Path, bug: &Bug) -> Result<(Verdict, String)> {
    let built = cargo(tree, bug, &["--no-run"])?.wait_with_output()?;
    if !built.status.success() {
        return Ok((Verdict::Broken("no build"), String::from_utf8_lossy(&built.stderr).into_owned()));
    }
    let mut child = cargo(tree, bug, &["--", "--exact", bug.test])?;
    let said = [child.stdout.take().map(listen), child.stderr.take().map(listen)];
    let end = Instant::now() + TEST_TIME;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() < end => std::thread::sleep(Duration::from_millis(50)),
            None => {
                child.kill()?;
                child.wait()?;
                break None;
            }
        }
    };
    let said: String = said.into_iter().flatten().filter_map(|thread| thread.join().ok()).collect();
    let verdict = match status {
        None => Verdict::Broken("hangs"),
        Some(status) => verdict(status.success(), &said),
    };
    Ok((verdict, said))
}

/// Reads one pipe to its end beside the other.
fn listen(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What cannot be read was not said.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Exactly one test ran, and it says how it went.
fn verdict(good: bool, said: &str) -> Verdict {
    match (good, crate::test::count(said)) {
        (true, counts) if counts.passed == 1 => Verdict::Survived,
        (false, counts) if counts.failed == 1 => Verdict::Caught,
        _ => Verdict::Broken("no test"),
    }
}

#[cfg(test)]
mod tests;
