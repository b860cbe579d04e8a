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

/// What each step may take on a cold machine of two cores, in minutes; Kubernetes' programs are built beside the others.
const BUDGET: &[(&str, u64)] = &[
    ("install", 4),
    ("fmt", 1),
    ("clippy", 8),
    ("tidy", 1),
    ("codegen", 2),
    ("test", 22),
    ("demo", 2),
    ("pins", 2),
    ("conformance h2", 2),
    ("dashboard", 4),
    ("cluster's programs", 14),
    ("conformance gateway", 15),
    ("conformance faults", 5),
];
/// Of all together, in minutes: over the first it is said, over the second it has failed.
const TOTAL: (u64, u64) = (55, 75);

/// `--without-gateway`: for who cannot make namespaces; the Gateway API's suite and faults on a real cluster are left out, and that is said.
pub fn run(arguments: &[String]) -> Result<()> {
    let gateway = match arguments {
        [] => true,
        [flag] if flag == "--without-gateway" => false,
        _ => bail!("cargo xtask ci [--without-gateway]"),
    };
    let cargo = process::cargo();
    let mut steps = Steps::begin();
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
    match programs {
        Some(programs) => {
            steps.step("cluster's programs", || programs.join().map_err(|_| anyhow!("what builds them panicked"))?)?;
            steps.step("conformance gateway", || conformance::run(&["gateway".into()]))?;
            steps.step("conformance faults", || conformance::run(&["faults".into(), "--only".into(), conformance::faults::HELD.into()]))?;
        }
        None => println!(
            "the Gateway API's suite and faults of a real cluster were left out, as asked: this is not all that a change has to pass"
        ),
    }
    steps.end()
}

struct Steps {
    begun: Instant,
    took: Vec<(&'static str, Duration)>,
}

impl Steps {
    fn begin() -> Self {
        Self { begun: Instant::now(), took: Vec::new() }
    }

    fn step(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("== {name}");
        let begun = Instant::now();
        let done = step();
        if done.is_err() {
            println!("{} passed, 1 failed ({name})", self.took.len());
        }
        done.with_context(|| name.to_owned())?;
        self.took.push((name, begun.elapsed()));
        Ok(())
    }

    /// Prints what each took beside what it may take.
    fn end(self) -> Result<()> {
        for (name, took) in &self.took {
            let budget = BUDGET.iter().find(|(of, _)| of == name).with_context(|| format!("{name} has no budget"))?.1 * 60;
            let over = if took.as_secs() > budget { "  over its budget" } else { "" };
            println!("{name:>19} {:>7.1} s of {budget:>4}{over}", took.as_secs_f64());
        }
        let (all, (warn, fail)) = (self.begun.elapsed(), TOTAL);
        if all.as_secs() > fail * 60 {
            println!("{} passed, 1 failed (time)", self.took.len());
            bail!("it took {:.0} minutes, and may take {fail}", all.as_secs_f64() / 60.0);
        }
        if all.as_secs() > warn * 60 {
            println!("warning: it took {:.0} minutes, and should take {warn}", all.as_secs_f64() / 60.0);
        }
        println!("{} passed, 0 failed ({:.1} s)", self.took.len(), all.as_secs_f64());
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
