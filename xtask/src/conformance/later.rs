//! `cargo xtask conformance later`: a cluster that has the definitions of Gateway API v1.7, whose suite wants a newer Go: what that release adds is asked of it by
//! hand, each command of `organza` that knows a cluster is given one, and the API server asks before it takes objects. It fails at the first thing that is not so.

mod commands;
mod webhook;

use super::{Options, gateway, is_true};
use crate::cluster::{self, Cluster, ECHO, Release, Shape};
use crate::peers;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

const USAGE: &str = "cargo xtask conformance later [--organza FILE] [--name CLUSTER] [--keep]";
const NAMESPACE: &str = "later";

pub fn run(arguments: &[String]) -> Result<()> {
    let options = Options::read(arguments, &["--organza", "--name", "--keep"], USAGE)?;
    cluster::theirs(ECHO.0, ECHO.1)?;
    let cluster = Cluster::named(options.name.as_deref().unwrap_or(NAMESPACE))?;
    let checked = cluster.up(Shape::of(1, Release::V1_7)).and_then(|()| check(&cluster, &options));
    if !options.keep {
        cluster.down()?;
    }
    checked
}

fn check(cluster: &Cluster, options: &Options) -> Result<()> {
    let program = options.program()?;
    gateway::install(cluster, &program, options.is_other(), &["--webhook"])?;
    cluster.bring(ECHO.0, "localhost/echo-basic:1")?;
    let manifest = peers::filled(&crate::root().join("conformance/cluster/later.yaml"), cluster.folder(), &[])?;
    cluster.kubectl(&["apply", "--server-side", "-f", &manifest.to_string_lossy()])?;
    let known =
        cluster.kubectl(&["get", "gatewayclass", "organza", "-o=jsonpath={.status.conditions[?(@.type==\"SupportedVersion\")]}"])?;
    ensure!(known.contains("v1.7") && known.contains("\"True\""), "GatewayClass says {known}");
    let address = programmed(cluster)?;
    ancestors(cluster)?;
    session(cluster, &address)?;
    commands::check(cluster, &program, &address)?;
    webhook::check(cluster, &program)
}

fn read(cluster: &Cluster, kind: &str, name: &str) -> Result<Value> {
    Ok(serde_json::from_str(&cluster.kubectl(&["-n", NAMESPACE, "get", kind, name, "-o", "json"])?)?)
}

/// Where the Gateway is reached from inside of the cluster alone, as it asks.
fn programmed(cluster: &Cluster) -> Result<String> {
    let mut address = String::new();
    cluster.until("the Gateway is programmed at an address of the cluster's own", || {
        let status = read(cluster, "gateway", "edge")?["status"].take();
        address = status["addresses"][0]["value"].as_str().unwrap_or_default().to_owned();
        let reach = status["addresses"][0]["routability"] == "Cluster";
        Ok(reach && ["Accepted", "Programmed", "AddressesAssigned"].iter().all(|kind| is_true(&status["conditions"], kind)))
    })?;
    println!("the Gateway is programmed at {address}, of routability Cluster");
    Ok(address)
}

/// XBackends say who leads to them, by the word of this release.
fn ancestors(cluster: &Cluster) -> Result<()> {
    cluster.until("XBackend picked says that the Gateway leads to it", || {
        let status = read(cluster, "xbackend", "picked")?["status"].take();
        let one = &status["ancestors"][0];
        Ok(one["ancestorRef"]["name"] == "edge" && one["ancestorRef"]["kind"] == "Gateway" && is_true(&one["conditions"], "Accepted"))
    })?;
    let alone = read(cluster, "xbackend", "alone")?["status"].take();
    ensure!(alone["ancestors"].as_array().is_none_or(Vec::is_empty), "nobody leads to XBackend alone, which says {alone}");
    println!("XBackend picked: status.ancestors names the Gateway; alone: nobody");
    Ok(())
}

/// Pods that the XBackend selects answer; who brings its word is led to the one that gave it.
fn session(cluster: &Cluster, address: &str) -> Result<()> {
    let ask = |word: Option<&str>| -> Result<(String, Option<String>)> {
        let mut command = cluster.command("curl")?;
        command.args(["-sS", "-i", "-m", "10", &format!("http://{address}/")]);
        command.args(word.iter().flat_map(|word| ["-H".to_owned(), format!("X-Picked: {word}")]));
        let text = String::from_utf8_lossy(&command.output().context("cannot run curl")?.stdout).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("{address} answered {text:?}"))?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{address} answered {head}");
        let word = head.lines().find_map(|line| line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("x-picked")));
        let pod = serde_json::from_str::<Value>(body)?["pod"].as_str().unwrap_or_default().to_owned();
        Ok((pod, word.map(|(_, word)| word.trim().to_owned())))
    };
    let mut answered = std::collections::BTreeSet::new();
    cluster.until("both pods that XBackend picked selects answer", || {
        answered.extend(ask(None).ok().map(|(pod, _)| pod));
        Ok(answered.len() == 2)
    })?;
    let (pod, word) = ask(None)?;
    let word = word.context("no session was given")?;
    for _ in 0..20 {
        let (again, _) = ask(Some(&word))?;
        ensure!(again == pod, "a session of {pod} was led to {again}");
    }
    let others = (0..40).map(|_| Ok(ask(None)?.0)).collect::<Result<std::collections::BTreeSet<_>>>()?;
    ensure!(others.len() == 2, "without a session {others:?} answer");
    println!("both pods answer; a session stays with {pod}");
    Ok(())
}
