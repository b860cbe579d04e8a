//! `cargo xtask image`: the container image of Organza, an OCI layout in one tar. It holds one static program, authorities of the public web, a user who is
//! not root and a list of what the program is made of; the same commit gives the same bytes. The program is the release build linked once more
//! (`decisions/0016`): all crates but the last are the ones that tests and demo use.

mod sbom;

use crate::{oci, process};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// By which the image is asked for in `organza install` and in tests.
pub const NAME: &str = "ghcr.io/organza/organza";
/// Neither root nor anybody of a machine: what distroless images call `nonroot`.
const USER: &str = "65532:65532";
/// No image is larger.
const MOST: usize = 30 << 20;
const TARGET: &str = "target/static";
/// Where Debian has what `ca-certificates` made; the program reads it there when TLS to a backend believes the system's authorities.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How the program is built: as it is given to others, or quickly and large.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Release,
    Dev,
}

pub fn run(arguments: &[String]) -> Result<()> {
    let profile = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Profile::Release,
        ["--dev"] => Profile::Dev,
        _ => bail!("cargo xtask image [--dev]"),
    };
    let image = build(profile)?;
    println!("{} {} bytes, sha256:{}", image.display(), fs::metadata(&image)?.len(), oci::digest(&fs::read(&image)?));
    println!("ctr -n k8s.io images import {}", image.display());
    Ok(())
}

/// Where the list of parts lies once the image was built.
pub fn parts() -> PathBuf {
    crate::root().join(TARGET).join("organza.cdx.json")
}

/// The version of the workspace; also the image's tag.
pub fn version() -> Result<String> {
    let text = fs::read_to_string(crate::root().join("Cargo.toml"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("version = \"")).context("Cargo.toml states no version")?;
    Ok(line.trim_end_matches('"').to_owned())
}

/// Builds program and image; gives the image's file. Beside it lies the list of parts.
fn build(profile: Profile) -> Result<PathBuf> {
    of(&program(profile)?, profile)
}

/// The image of a static program that was built before.
pub fn of(program: &Path, profile: Profile) -> Result<PathBuf> {
    if !is_static(&fs::read(program)?) {
        bail!("{} asks for a loader: it is not static", program.display());
    }
    let program = fs::read(program)?;
    let version = version()?;
    let parts = sbom::cyclonedx(&version)?;
    let folder = crate::root().join(TARGET);
    fs::create_dir_all(&folder)?;
    fs::write(self::parts(), &parts)?;
    let mut layer = vec![
        oci::Entry::program("usr/bin/organza", program),
        // Names are looked for in /etc/hosts first, as everywhere; a C library that finds no such file asks the network first.
        oci::Entry::file("etc/nsswitch.conf", b"hosts: files dns\n".to_vec()),
        oci::Entry::file("etc/passwd", b"nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n".to_vec()),
        oci::Entry::file("etc/group", b"nonroot:x:65532:\n".to_vec()),
        oci::Entry::file("usr/share/doc/organza/organza.cdx.json", parts.into_bytes()),
        oci::Entry::file("usr/share/doc/organza/LICENSE", fs::read(crate::root().join("LICENSE"))?),
    ];
    if let Ok(authorities) = fs::read(AUTHORITIES) {
        layer.push(oci::Entry::file(&AUTHORITIES[1..], authorities));
    }
    let labels = [
        ("org.opencontainers.image.title", "Organza"),
        ("org.opencontainers.image.version", version.as_str()),
        ("org.opencontainers.image.licenses", "Apache-2.0"),
    ];
    let config = oci::Config { entrypoint: &["/usr/bin/organza"], user: USER, labels: &labels };
    let image = oci::packed_image(&layer, &config, &[&format!("{NAME}:{version}")])?;
    if profile == Profile::Release && image.len() > MOST {
        bail!("the image would be {} bytes, and may be {MOST}", image.len());
    }
    let file = folder.join("organza-image.tar");
    fs::write(&file, image)?;
    Ok(file)
}

/// The static program: the last crate compiled and linked with the C library inside, no symbols.
pub fn program(profile: Profile) -> Result<PathBuf> {
    let (flag, folder): (&[&str], _) = match profile {
        Profile::Release => (&["--release"], "release"),
        Profile::Dev => (&[], "debug"),
    };
    let target = crate::root().join(TARGET);
    let target = target.to_str().context("a path that is not UTF-8")?;
    let first = ["rustc", "--locked", "-p", "cli", "--bin", "organza", "--target-dir", target];
    let last = ["--", "-C", "target-feature=+crt-static", "-C", "strip=symbols"];
    process::run(&process::cargo(), &[&first[..], flag, &last[..]].concat())?;
    Ok(Path::new(target).join(folder).join("organza"))
}

/// Whether an ELF file of 64 bits names no loader (program header of type PT_INTERP).
fn is_static(program: &[u8]) -> bool {
    let number = |at: usize, length: usize| -> usize {
        program.get(at..at + length).unwrap_or_default().iter().rev().fold(0, |all, byte| all << 8 | usize::from(*byte))
    };
    let (headers, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    program.starts_with(b"\x7fELF\x02\x01") && count > 0 && (0..count).all(|n| number(headers + n * size, 4) != 3)
}

#[cfg(test)]
mod tests;
