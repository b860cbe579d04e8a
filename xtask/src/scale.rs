//! `cargo xtask scale`: a control plane before a large cluster and a thousand proxies. Raises etcd and an API server, runs `bench/scale.rs` on them, and takes
//! them down again. It measures and shows; what is good enough is for who reads to say, for times go by how busy the machine is.

use crate::cluster::Cluster;
use crate::process;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// `--organza FILE` (else the release build), `--size SERVICES,ENDPOINTS,ROUTES,PROXIES`.
pub fn run(arguments: &[String]) -> Result<()> {
    let value = |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
    let size = value("--size").map_or("1000,10000,5000,1000", String::as_str);
    let size: Vec<&str> = size.split(',').collect();
    if size.len() != 4 || size.iter().any(|number| number.parse::<usize>().is_err()) {
        bail!("--size is SERVICES,ENDPOINTS,ROUTES,PROXIES");
    }
    let organza = match value("--organza") {
        Some(file) => std::path::absolute(file)?,
        None => {
            process::run(&process::cargo(), &["build", "--release", "--locked", "-p", "cli"])?;
            crate::root().join("target/release/organza")
        }
    };
    process::run(&process::cargo(), &["build", "--release", "--locked", "-p", "control", "--example", "scale"])?;
    let cluster = Cluster::named("scale")?;
    // What another run left there would be measured too.
    cluster.down()?;
    let measured = cluster.alone().and_then(|()| measure(&cluster, &organza, &size));
    cluster.down()?;
    measured
}

fn measure(cluster: &Cluster, organza: &PathBuf, size: &[&str]) -> Result<()> {
    let mut command = Command::new(crate::root().join("target/release/examples/scale"));
    let status = command.arg(organza).args(size).env("KUBECONFIG", cluster.kubeconfig()).status().context("cannot run scale")?;
    match status.success() {
        true => Ok(()),
        false => bail!(
            "scale ended with {status}; what the control plane wrote is in {}",
            std::env::temp_dir().join("organza-scale.log").display()
        ),
    }
}
