//! `cargo xtask ci`: what a green change has passed. Installs by package name what tests use, then runs every check in the one release
//! profile, so that nothing is built twice, and says how long each took.

use crate::{cluster, conformance, peers, process, test, tidy};
use anyhow::{Context, Result, anyhow, bail};
use std::time::{Duration, Instant};

/// (program, Debian package that brings it).
const TOOLS: &[(&str, &str)] = &[
    ("cc", "gcc"),
    ("chromium", "chromium"),
    ("curl", "curl"),
    ("go", "golang-go"),
    ("java", "default-jdk-headless"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("ip", "iproute2"),
    ("openssl", "openssl"),
    ("prometheus", "prometheus"),
    ("python3", "python3"),
    ("tcpdump", "tcpdump"),
];

/// `--gateway`: with the Gateway API's suite on a real cluster, which takes root and namespaces.
pub fn run(arguments: &[String]) -> Result<()> {
    let gateway = match arguments {
        [] => false,
        [flag] if flag == "--gateway" => true,
        _ => bail!("cargo xtask ci [--gateway]"),
    };
    let cargo = process::cargo();
    let begun = Instant::now();
    let mut steps = Steps::default();
    steps.step("install", install)?;
    // Kubernetes' programs take as long to build as ours: beside them.
    let programs = gateway.then(|| std::thread::spawn(cluster::prepare));
    steps.step("fmt", || process::run(&cargo, &["fmt", "--all", "--check"]))?;
    steps.step("clippy", || {
        process::run(&cargo, &["clippy", "--release", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
    })?;
    steps.step("tidy", tidy::run)?;
    // A feature of this very program, so that nobody else builds a compiler of protobuf.
    let codegen = ["run", "--release", "--locked", "-p", "xtask", "--features", "codegen", "--", "codegen", "--check"];
    steps.step("codegen", || process::run(&cargo, &codegen))?;
    steps.step("test", || test::run(&["--locked".into()]))?;
    steps.step("demo", || process::run(&cargo, &["run", "--release", "--locked", "-p", "cli", "--", "demo", "--for", "20s"]))?;
    steps.step("pins", || crate::pins::run(&[]))?;
    steps.step("conformance h2", || conformance::run(&["h2".into()]))?;
    steps.step("dashboard", || crate::dashboard::test(&[]))?;
    if let Some(programs) = programs {
        steps.step("cluster's programs", || programs.join().map_err(|_| anyhow!("what builds them panicked"))?)?;
        steps.step("conformance gateway", || conformance::run(&["gateway".into()]))?;
    }
    for (name, took) in &steps.0 {
        println!("{name:>19} {:>7.1} s", took.as_secs_f64());
    }
    println!("{} passed, 0 failed ({:.1} s)", steps.0.len(), begun.elapsed().as_secs_f64());
    Ok(())
}

#[derive(Default)]
struct Steps(Vec<(&'static str, Duration)>);

impl Steps {
    fn step(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("== {name}");
        let begun = Instant::now();
        let done = step();
        if done.is_err() {
            println!("{} passed, 1 failed ({name})", self.0.len());
        }
        done.with_context(|| name.to_owned())?;
        self.0.push((name, begun.elapsed()));
        Ok(())
    }
}

/// Without the right to install, the tests that need what is missing fail under CI=true and say which.
fn install() -> Result<()> {
    let folder = process::python_modules();
    let modules = if folder.join("grpc").exists() { Ok(()) } else { peers::python(&folder, &["grpcio==1.85.3"]) };
    for error in [peers::install(TOOLS), modules].into_iter().filter_map(Result::err) {
        println!("{error:#}");
    }
    Ok(())
}
