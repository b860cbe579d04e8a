//! `cargo xtask dist`: what is given to people: a tarball with the static program, completions, manual pages, systemd's unit and the list of parts; the
//! container image; the Helm chart; and the checksums of all. The same commit gives the same bytes.

mod chart;

use crate::image::{self, Profile};
use crate::{oci, process};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

const FOLDER: &str = "target/dist";
/// (shell, file by which it is found).
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "share/bash-completion/completions/organza"),
    ("zsh", "share/zsh/site-functions/_organza"),
    ("fish", "share/fish/vendor_completions.d/organza.fish"),
];
/// (file of the clone, file of the tarball).
const FILES: &[(&str, &str)] = &[
    ("LICENSE", "share/doc/organza/LICENSE"),
    ("README.md", "share/doc/organza/README.md"),
    ("CHANGELOG.md", "share/doc/organza/CHANGELOG.md"),
    ("deploy/systemd/organza.service", "lib/systemd/system/organza.service"),
    ("deploy/systemd/organza.sysusers", "lib/sysusers.d/organza.conf"),
];

pub fn run(arguments: &[String]) -> Result<()> {
    let profile = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Profile::Release,
        ["--dev"] => Profile::Dev,
        ["chart"] => {
            process::run(&process::cargo(), &["build", "--release", "--locked", "-p", "cli"])?;
            return chart::check(&crate::root().join("target/release/organza"));
        }
        ["chart", "--organza", file] => return chart::check(&std::path::absolute(file)?),
        _ => bail!("cargo xtask dist [--dev | chart [--organza FILE]]"),
    };
    let version = image::version()?;
    // One program for all: a tree that changes meanwhile would make another.
    let program = image::program(profile)?;
    let built = image::of(&program, profile)?;
    let folder = crate::root().join(FOLDER);
    fs::create_dir_all(&folder)?;
    let tarball = format!("organza-{version}-x86_64-linux.tar.gz");
    fs::write(folder.join(&tarball), oci::gzip(&oci::tar(&content(&version, &program)?))?)?;
    let packed = format!("organza-{version}-image.tar");
    fs::copy(&built, folder.join(&packed))?;
    let chart = format!("organza-chart-{version}.tgz");
    fs::write(folder.join(&chart), chart::package()?)?;
    let mut sums = String::new();
    for name in [&chart, &packed, &tarball] {
        let bytes = fs::read(folder.join(name))?;
        println!("{FOLDER}/{name} {} bytes", bytes.len());
        sums += &format!("{}  {name}\n", oci::digest(&bytes));
    }
    fs::write(folder.join("SHA256SUMS"), &sums)?;
    print!("{sums}");
    Ok(())
}

fn content(version: &str, organza: &Path) -> Result<Vec<oci::Entry>> {
    let program = organza.to_string_lossy();
    let root = format!("organza-{version}");
    let file = |path: &str, bytes: Vec<u8>| oci::Entry::file(&format!("{root}/{path}"), bytes);
    let mut entries = vec![oci::Entry::program(&format!("{root}/bin/organza"), fs::read(organza)?)];
    for (shell, path) in COMPLETIONS {
        entries.push(file(path, process::output(&program, &["completions", shell])?.into_bytes()));
    }
    let pages = crate::root().join(FOLDER).join("man");
    process::output(&program, &["man", &pages.to_string_lossy()])?;
    let written = sorted(&pages)?;
    if !written.iter().any(|(name, _)| name == "organza.1") {
        bail!("organza man wrote no page about organza");
    }
    for (name, bytes) in written {
        entries.push(file(&format!("share/man/man1/{name}"), bytes));
    }
    fs::remove_dir_all(&pages)?;
    for (from, to) in FILES {
        entries.push(file(to, fs::read(crate::root().join(from)).with_context(|| (*from).to_owned())?));
    }
    entries.push(file("share/doc/organza/organza.cdx.json", fs::read(image::parts())?));
    Ok(entries)
}

/// Files of a folder by name, since a folder has no order that can be relied on.
fn sorted(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
    }
    files.sort();
    Ok(files)
}
