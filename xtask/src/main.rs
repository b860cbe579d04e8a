//! `cargo xtask`: the project's chores in Rust, so that a clone needs no make, no script interpreter and no second language. Small on
//! purpose: standard library, serde_json, anyhow. It never knows how a mesh works; it runs programs and reads files.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "chores report on standard output")]

mod bench;
mod ci;
mod cluster;
mod codegen;
mod conformance;
mod dashboard;
mod dist;
mod faults;
mod fuzz;
mod image;
mod jaeger;
mod mutants;
mod oci;
mod peers;
mod picture;
mod pins;
mod process;
mod profile;
mod releases;
mod running;
mod scale;
mod soak;
mod telemetry;
mod test;
mod tidy;

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask CHORE

  test [ARGS]   every test, hermetic, no root needed (ARGS go to cargo test)
  test dashboard [--organza FILE]
                the page: types, the committed build byte for byte, and a browser on a demo
  test jaeger [--organza FILE] [--jaeger FILE]
                spans in a real Jaeger, by gRPC and HTTP (builds it once, which takes a while; not part of ci)
  test telemetry [--organza FILE]
                Gateway API's policy of telemetry on a real API server (etcd and it alone; not part of ci)
  test releases --older COMMIT
                a mesh of this program and of the one that a commit makes: each as control plane
                with proxies of the other, and the way there and back (builds that commit)
  tidy          walls between crates, sizes, names, licences, links
  codegen [--check]
                Rust from wire/proto/*.proto (with --features codegen)
  cluster up [--nodes 1|2] [--control-only] | down | status | exec COMMAND | load IMAGE.tar
                a real Kubernetes for tests, in namespaces of its own (conformance/README.md)
  conformance h2
                h2spec, whole, against a gateway that carries the demo's traffic
  image [--dev] the container image: static, not root, with its list of parts (target/static)
  conformance gateway [--dev | --organza FILE] [--keep] [--test NAME] [--name CLUSTER]
                the Gateway API's own suite, whole, against Organza on a real cluster
  conformance later [--organza FILE] [--name CLUSTER] [--keep]
                what its next release adds, every command that knows a cluster, and what
                an API server is told before it takes objects, on one
  conformance faults [--dev | --organza FILE] [--only NAME,…] [--keep] [--name CLUSTER]
                control plane, API server, proxies and a node of a real cluster lost under
                load: who never asks again loses nothing
  dist [--dev]  what is given to people: tarball, image, Helm chart, checksums (target/dist)
  dist chart [--organza FILE]
                whether Helm makes of the chart what `organza install` prints
  picture [--organza FILE]
                docs/demo.svg, drawn from what the demo writes to a terminal
  bench [--case NAME] [--rounds N] [--json FILE] [--with traced,policies]
                what one proxied request costs, beside HAProxy, nginx and Envoy
  pins [--keep] [--pin NAME] [--profile FOLDER] [--layout]
                instructions, allocations and system calls per request, held to what they were
  profile       cli/profile anew: what a program that counts runs while the bench uses it, for
                the compiler (decisions/0053; takes as long as a build from nothing)
  faults [--scenario NAME] [--json FILE]
                backends killed, slowed, half-broken and overloaded under load, behind
                Organza and behind Envoy with the same policy
  scale [--organza FILE] [--size SERVICES,ENDPOINTS,ROUTES,PROXIES]
                a control plane before a large cluster (on a real API server) and a thousand proxies
  soak [--seconds N | --seeds N] [--from SEED] [--twice N] [--log]
                a whole mesh on virtual time, seed after seed; a seed that fails is
                named, with how to play it again
  soak --real [--minutes N]
                a mesh of real processes at half its load for ten minutes: losses, memory,
                descriptors, threads and tasks of each process
  soak --access [--cases N]
                verdicts of access against their slow reference, and what must hold whatever
                anyone writes: each property over a million worlds of policies
  fuzz [TARGET] [--seconds N] [--minimise]
                strangers' bytes invented by libFuzzer, for each target (fuzz/README.md)
  fuzz --all [--for TIME] [--jobs N]
                all of them within that time (1h), several at once; what they took is added
                to fuzz/README.md, and corpora keep a sample of what was found
  fuzz TARGET FILE
                one input once more
  mutants [NAME]
                puts known bugs back, one at a time, and shows which test catches each
  ci [--without-gateway]
                install what tests need, then format, clippy, tidy, codegen, test, demo, pins, dashboard, conformance;
                the Gateway API's suite takes root and namespaces
";

fn main() -> ExitCode {
    match chore() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let chore = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    // What follows `--` and what `test` and `cluster exec` are given is other programs' business.
    let asked = !matches!(chore.as_str(), "test" | "cluster") && rest.iter().any(|argument| argument == "--help" || argument == "-h");
    match chore.as_str() {
        _ if asked => {
            print!("{HELP}");
            Ok(())
        }
        "test" if rest.first().is_some_and(|what| what == "dashboard") => dashboard::test(&rest[1..]),
        "test" if rest.first().is_some_and(|what| what == "jaeger") => jaeger::test(&rest[1..]),
        "test" if rest.first().is_some_and(|what| what == "telemetry") => telemetry::test(&rest[1..]),
        "test" if rest.first().is_some_and(|what| what == "releases") => releases::test(&rest[1..]),
        "test" => test::run(&rest),
        "tidy" => tidy::run(),
        "bench" => bench::run(&rest),
        "ci" => ci::run(&rest),
        "cluster" => cluster::run(&rest),
        "codegen" => codegen::run(&rest),
        "dist" => dist::run(&rest),
        "fuzz" => fuzz::run(&rest),
        "image" => image::run(&rest),
        "mutants" => mutants::run(&rest),
        "conformance" => conformance::run(&rest),
        "caller" => bench::caller::serve(&rest),
        "floor" => bench::floor::serve(&rest),
        "source" => bench::source(&rest),
        "sink" => bench::sink(&rest),
        "backend" => faults::serve(&rest),
        "callers" => faults::call(&rest),
        "faults" => faults::run(&rest),
        "scale" => scale::run(&rest),
        "picture" => picture::run(&rest),
        "pins" => pins::run(&rest),
        "profile" => profile::run(),
        "soak" => soak::run(&rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        "" => bail!("which chore?\n{HELP}"),
        other => bail!("no chore is called {other:?}\n{HELP}"),
    }
}

/// The root of the clone: the folder above this crate.
///
/// Asked when it runs: clones share one build folder, so what was true when this was compiled may be true of another clone.
fn root() -> &'static Path {
    static ROOT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    ROOT.get_or_init(|| {
        let crate_folder = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        crate_folder.and_then(|folder| folder.parent().map(Path::to_owned)).unwrap_or_else(|| PathBuf::from("."))
    })
}

/// All files below the root that git knows or would know.
fn files() -> Result<Vec<PathBuf>> {
    let listed = process::output("git", &["ls-files", "--cached", "--others", "--exclude-standard"])?;
    Ok(listed.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect())
}
