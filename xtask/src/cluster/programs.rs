//! The programs of a cluster, built from `conformance/go.mod` into a cache outside the clone: those of others under the hash of `go.sum`, our own
//! under the hash of their source too. And images that hold one static program each.

use crate::{oci, process};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// (program, Go package); the first two are enough for an API server.
const PROGRAMS: &[(&str, &str)] = &[
    ("etcd", "go.etcd.io/etcd/server/v3"),
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
    ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
];
/// Ours: packages below `conformance/`.
const OURS: &[(&str, &str)] =
    &[("pause", "./cluster/pause"), ("balancer", "./cluster/balancer"), ("coredns", "./cluster/dns"), ("calls", "./cluster/calls")];
const KUBECTL: (&str, &str) = ("kubectl", "k8s.io/kubernetes/cmd/kubectl");

/// Builds what is missing.
pub fn build(control_only: bool) -> Result<()> {
    let count = if control_only { 2 } else { PROGRAMS.len() };
    for (name, package) in &PROGRAMS[..count] {
        theirs(name, package)?;
    }
    kubectl()?;
    if !control_only {
        for (name, package) in OURS {
            ours(name, package)?;
        }
    }
    Ok(())
}

/// The one on the path, or one built.
pub fn kubectl() -> Result<String> {
    if process::present("kubectl") {
        return Ok("kubectl".into());
    }
    Ok(theirs(KUBECTL.0, KUBECTL.1)?.to_string_lossy().into_owned())
}

/// The folder of what is built by the sum of these files' contents.
pub fn folder(more: &[PathBuf]) -> Result<PathBuf> {
    let conformance = crate::root().join("conformance");
    let mut bytes = fs::read(conformance.join("go.sum"))?;
    for file in more {
        bytes.extend(fs::read(file).with_context(|| file.display().to_string())?);
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = match (cache, std::env::var_os("HOME")) {
        (Some(cache), _) => cache,
        (None, Some(home)) => Path::new(&home).join(".cache"),
        (None, None) => bail!("neither XDG_CACHE_HOME nor HOME says where built programs are kept"),
    };
    let folder = cache.join("organza/cluster").join(&oci::digest(&bytes)[..16]);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A program of a module that we only name.
pub fn theirs(name: &str, package: &str) -> Result<PathBuf> {
    go(&["build"], &folder(&[])?.join(name), package)
}

/// A program whose source is below `conformance/`.
pub fn ours(name: &str, package: &str) -> Result<PathBuf> {
    go(&["build"], &folder(&sources(package)?)?.join(name), package)
}

/// A program that runs the tests of a package below `conformance/`.
pub fn tests(name: &str, package: &str) -> Result<PathBuf> {
    go(&["test", "-c"], &folder(&sources(package)?)?.join(name), package)
}

fn sources(package: &str) -> Result<Vec<PathBuf>> {
    let folder = crate::root().join("conformance").join(package);
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        files.push(entry?.path());
    }
    files.retain(|file| file.extension().is_some_and(|e| e == "go"));
    files.sort();
    Ok(files)
}

fn go(how: &[&str], program: &Path, package: &str) -> Result<PathBuf> {
    if program.exists() {
        return Ok(program.to_owned());
    }
    println!("building {package}");
    let unfinished = program.with_extension(format!("unfinished-{}", std::process::id()));
    // Without a version told by the linker, Kubernetes calls itself v0.0.0 and refuses to judge its own age.
    let version = version_of("k8s.io/kubernetes")?;
    let flags = format!("-s -w -X k8s.io/component-base/version.gitVersion={version} -X k8s.io/client-go/pkg/version.gitVersion={version}");
    let status = Command::new("go")
        .args(how)
        .args(["-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", &flags, "-o"])
        .arg(&unfinished)
        .arg(package)
        .current_dir(crate::root().join("conformance"))
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .status()
        .context("cannot run go, which builds the cluster's programs")?;
    if !status.success() {
        bail!("{package} was not built");
    }
    fs::rename(&unfinished, program)?;
    Ok(program.to_owned())
}

/// What `go.mod` requires of a module.
fn version_of(module: &str) -> Result<String> {
    let text = fs::read_to_string(crate::root().join("conformance/go.mod"))?;
    let line = text.lines().filter_map(|line| line.trim().strip_prefix(module)?.strip_prefix(' ')).next();
    Ok(line.with_context(|| format!("conformance/go.mod does not name {module}"))?.split(' ').next().unwrap_or_default().to_owned())
}

/// An image that holds nothing but the program, at its root.
pub fn image_of_program(name: &str, tag: &str) -> Result<PathBuf> {
    let program = match OURS.iter().find(|(ours, _)| *ours == name) {
        Some((_, package)) => ours(name, package)?,
        None => folder(&[])?.join(name),
    };
    let image = program.with_extension(format!("{}.tar", &oci::digest(tag.as_bytes())[..8]));
    if !image.exists() {
        let layer = [oci::Entry::program(name, fs::read(&program).with_context(|| program.display().to_string())?)];
        let config = oci::Config { entrypoint: &[&format!("/{name}")], ..oci::Config::default() };
        let unfinished = image.with_extension(format!("unfinished-{}", std::process::id()));
        fs::write(&unfinished, oci::image(&layer, &config, &[tag]))?;
        fs::rename(&unfinished, &image)?;
    }
    Ok(image)
}
