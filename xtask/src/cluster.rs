//! `cargo xtask cluster`: a real Kubernetes for tests, on one machine and without a container engine. Its programs are built from Go modules
//! (`conformance/go.mod`), its nodes live in network, mount and process namespaces of their own, so that `down` leaves nothing behind and the
//! machine's own network is never touched. `--control-only` is etcd and the API server alone, on loopback, for whoever is not root.
//! It knows nothing of Organza.

mod certificates;
mod control;
mod ledger;
mod node;
mod programs;

use crate::{peers, process};
use anyhow::{Context, Result, bail};
use ledger::Ledger;
use node::Node;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub use programs::{ours, tests as tests_of, theirs};

/// What a machine has no program of, by (program, Debian package that brings it).
const TOOLS: &[(&str, &str)] = &[
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("openssl", "openssl"),
    ("go", "golang-go"),
];
/// For the API server to answer, a node to be ready, a name to resolve.
const PATIENCE: Duration = Duration::from_secs(120);
const USAGE: &str = "\
cluster up [--nodes 1|2] [--control-only] [--gateway-api v1.6|v1.7] [--name NAME]
cluster down | status [--name NAME]
cluster check [--name NAME]                 pods, Services and a load balancer, seen to work
cluster exec [--name NAME] COMMAND [ARGS]   beside the first node, in its network, with KUBECONFIG set
cluster load [--name NAME] IMAGE.tar        an image for every node";

/// A cluster that is there or may be: its name and its folder.
pub struct Cluster {
    name: String,
    folder: PathBuf,
}

pub fn run(arguments: &[String]) -> Result<()> {
    let (what, rest) = arguments.split_first().with_context(|| format!("which?\n{USAGE}"))?;
    let mut rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let named = rest.iter().position(|word| *word == "--name").filter(|at| *at == 0 || what != "exec");
    let name = match named {
        Some(at) if at + 1 < rest.len() => rest.drain(at..at + 2).nth(1).unwrap_or_default().to_owned(),
        Some(_) => bail!("--name needs a name"),
        None => "tests".into(),
    };
    let cluster = Cluster::named(&name)?;
    match (what.as_str(), rest.as_slice()) {
        ("up", flags) => cluster.up(Shape::read(flags)?),
        ("down", []) => cluster.down(),
        ("status", []) => cluster.status(),
        ("exec", [program, arguments @ ..]) => {
            let status = cluster.command(program)?.args(arguments).status().with_context(|| format!("cannot run {program}"))?;
            // Whoever asked gets the program's own answer.
            std::process::exit(status.code().unwrap_or(1));
        }
        ("check", []) => cluster.check(),
        ("load", [image]) => cluster.load(&fs::canonicalize(image).with_context(|| (*image).to_owned())?),
        _ => bail!("{USAGE}"),
    }
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Shape {
    /// None: etcd and the API server alone.
    nodes: u8,
    release: Release,
}

/// Whose definitions of the Gateway API the cluster has.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Release {
    V1_6,
    V1_7,
}

impl Release {
    fn read(text: &str) -> Result<Self> {
        match text {
            "v1.6" => Ok(Self::V1_6),
            "v1.7" => Ok(Self::V1_7),
            _ => bail!("{USAGE}"),
        }
    }

    /// Where they lie, from the root of the clone.
    pub fn folder(self) -> &'static str {
        match self {
            Self::V1_6 => "third_party/gateway-api/crd",
            Self::V1_7 => "third_party/gateway-api/crd-v1.7",
        }
    }
}

impl Shape {
    const ALONE: Self = Self { nodes: 0, release: Release::V1_6 };

    pub fn of(nodes: u8, release: Release) -> Self {
        Self { nodes, release }
    }

    fn read(flags: &[&str]) -> Result<Self> {
        let mut shape = Self { nodes: 1, release: Release::V1_6 };
        let mut rest = flags;
        while !rest.is_empty() {
            rest = match rest {
                ["--control-only", rest @ ..] => {
                    shape.nodes = 0;
                    rest
                }
                ["--nodes", count @ ("1" | "2"), rest @ ..] => {
                    shape.nodes = if *count == "1" { 1 } else { 2 };
                    rest
                }
                ["--gateway-api", release, rest @ ..] => {
                    shape.release = Release::read(release)?;
                    rest
                }
                _ => bail!("{USAGE}"),
            };
        }
        Ok(shape)
    }
}

/// Everything that a cluster and the suite on it are made of, so that what comes later only starts it.
///
/// # Errors
/// Before anything is built, where the machine lets nobody make namespaces: then no cluster can be raised on it, and nothing is said of conformance.
pub fn prepare() -> Result<()> {
    let tried = process::output("unshare", &["--net", "--mount", "--pid", "--fork", "true"]);
    tried.context("this machine lets this user make no namespaces, which a cluster lives in (run as root, with CAP_SYS_ADMIN)")?;
    install()?;
    programs::build(false)?;
    theirs(ECHO.0, ECHO.1)?;
    tests_of("gateway.test", "./gateway").map(drop)
}

fn install() -> Result<()> {
    peers::install(TOOLS)?;
    if !Path::new("/usr/lib/cni/bridge").exists() {
        peers::install(&[("/usr/lib/cni/bridge", "containernetworking-plugins")])?;
    }
    Ok(())
}

impl Cluster {
    pub fn named(name: &str) -> Result<Self> {
        // A cgroup, a folder and the name of a node.
        if name.is_empty() || name.len() > 20 || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            bail!("a cluster's name is of at most 20 lower-case letters, digits and dashes, not {name:?}");
        }
        Ok(Self { name: name.into(), folder: Path::new("/var/tmp/organza-cluster").join(name) })
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn ledger(&self) -> Ledger {
        Ledger::at(self.folder.join("processes"))
    }

    /// A command that reaches the API server, and the addresses of pods and Services if there are nodes.
    pub fn command(&self, program: &str) -> Result<Command> {
        let Some(first) = self.ledger().alive("node-1") else {
            if self.ledger().alive("kube-apiserver").is_none() {
                bail!("no cluster {} is up: cargo xtask cluster up", self.name);
            }
            let mut command = Command::new(program);
            command.env("KUBECONFIG", self.kubeconfig());
            return Ok(command);
        };
        let mut command = Command::new("nsenter");
        command.args(["--target", &first.to_string(), "--net", "--", program]).env("KUBECONFIG", self.kubeconfig());
        Ok(command)
    }

    /// Runs kubectl, and gives back what it wrote.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(&programs::kubectl()?)?.args(arguments).output().context("cannot run kubectl")?;
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Raises one with one node unless one with nodes stands; tells whether one stood.
    pub fn ensure(&self) -> Result<bool> {
        if self.ledger().alive("node-1").is_some() && self.kubectl(&["get", "--raw", "/readyz"]).is_ok() {
            return Ok(true);
        }
        self.up(Shape::of(1, Release::V1_6))?;
        Ok(false)
    }

    /// Raises etcd and the API server, and nothing else.
    pub fn alone(&self) -> Result<()> {
        self.up(Shape::ALONE)
    }

    /// Raises one of that shape, unless it stands.
    pub fn up(&self, shape: Shape) -> Result<()> {
        if self.stands(shape)? {
            return self.status();
        }
        self.down()?;
        if shape.nodes > 0 {
            install()?;
        }
        let built = Instant::now();
        programs::build(shape.nodes == 0)?;
        println!("programs: {:.1} s", built.elapsed().as_secs_f64());
        let begun = Instant::now();
        let raised = self.raise(shape);
        if raised.is_err() {
            println!("what its programs wrote is in {}; `cargo xtask cluster down` takes it away", self.folder.join("log").display());
        }
        raised?;
        println!("up after {:.1} s", begun.elapsed().as_secs_f64());
        self.status()
    }

    /// Whether it is up already, and in this shape.
    fn stands(&self, shape: Shape) -> Result<bool> {
        let Ok(has) = fs::read_to_string(self.folder.join("shape")) else { return Ok(false) };
        if self.ledger().all()?.iter().any(|process| !process.is_alive()) || self.kubectl(&["get", "--raw", "/readyz"]).is_err() {
            println!("a cluster {} was there and is broken; it is made anew", self.name);
            return Ok(false);
        }
        if has != format!("{shape:?}") {
            bail!("a cluster {} is up as {has}: cargo xtask cluster down", self.name);
        }
        Ok(true)
    }

    fn raise(&self, shape: Shape) -> Result<()> {
        fs::create_dir_all(self.folder.join("log"))?;
        let ledger = self.ledger();
        let nodes = match shape.nodes {
            0 => {
                control::alone(&self.folder, &ledger)?;
                Vec::new()
            }
            count => self.raise_nodes(&ledger, count)?,
        };
        self.until("the API server is ready", || self.kubectl(&["get", "--raw", "/readyz"]).map(|_| true))?;
        let crds = crate::root().join(shape.release.folder());
        self.kubectl(&["apply", "--server-side", "-f", &crds.to_string_lossy()])?;
        if !nodes.is_empty() {
            self.settle(&nodes)?;
        }
        fs::write(self.folder.join("shape"), format!("{shape:?}"))?;
        Ok(())
    }

    fn raise_nodes(&self, ledger: &Ledger, count: u8) -> Result<Vec<Node>> {
        let nodes = (1..=count).map(|number| Node::create(&self.name, &self.folder, number, ledger)).collect::<Result<Vec<_>>>()?;
        node::connect(&nodes)?;
        let pki = control::beside(&self.folder, &nodes[0])?;
        for node in &nodes {
            node.start_runtime()?;
        }
        // Kubelets give up at once on a server that is not there yet, controllers after 20 s.
        self.until("the API server is ready", || self.kubectl(&["get", "--raw", "/readyz"]).map(|_| true))?;
        control::controllers(&self.folder, &nodes[0], &pki)?;
        for node in &nodes {
            node.start_kubelet(&pki)?;
        }
        for node in &nodes {
            node.import(&programs::image_of_program("pause", "localhost/pause:1")?)?;
            node.import(&programs::image_of_program("coredns", DNS_IMAGE)?)?;
        }
        Ok(nodes)
    }

    /// Until nodes are ready and names resolve.
    fn settle(&self, nodes: &[Node]) -> Result<()> {
        let values = [("image", DNS_IMAGE.to_owned()), ("dns", node::DNS.to_owned())];
        let manifest = peers::filled(&crate::root().join("conformance/cluster/dns.yaml"), &self.folder, &values)?;
        self.kubectl(&["apply", "-f", &manifest.to_string_lossy()])?;
        let path = "-o=jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Ready\")].status} {end}";
        self.until("all nodes are ready", || {
            let ready = self.kubectl(&["get", "nodes", path])?;
            Ok(ready.split_whitespace().filter(|status| *status == "True").count() == nodes.len())
        })?;
        self.until("cluster DNS is ready", || {
            let ready = self.kubectl(&["-n", "kube-system", "get", "deployment", "coredns", "-o=jsonpath={.status.readyReplicas}"])?;
            Ok(ready.trim() == "1")
        })
    }

    pub fn load(&self, image: &Path) -> Result<()> {
        let mut loaded = 0;
        for number in 1..=2 {
            if let Some(node) = Node::standing(&self.folder, number, &self.ledger()) {
                node.import(image)?;
                loaded += 1;
            }
        }
        match loaded {
            0 => bail!("no node of a cluster {} is up", self.name),
            _ => Ok(()),
        }
    }

    /// One that stands.
    pub fn node(&self, number: u8) -> Result<Node> {
        Node::standing(&self.folder, number, &self.ledger()).with_context(|| format!("no node {number} of a cluster {} is up", self.name))
    }

    /// An image that tests need, for every node.
    pub fn bring(&self, program: &str, tag: &str) -> Result<()> {
        self.load(&programs::image_of_program(program, tag)?)
    }

    /// Pods run, and answer by the Service's address and by the load balancer's.
    fn check(&self) -> Result<()> {
        theirs(ECHO.0, ECHO.1)?;
        self.bring(ECHO.0, "localhost/echo-basic:1")?;
        let manifest = crate::root().join("conformance/cluster/check.yaml");
        self.kubectl(&["apply", "-f", &manifest.to_string_lossy()])?;
        let checked = self.answers();
        self.kubectl(&["delete", "namespace", "check", "--wait=false"])?;
        checked
    }

    fn answers(&self) -> Result<()> {
        let field = |kind: &str, path: &str| self.kubectl(&["-n", "check", "get", kind, "echo", &format!("-o=jsonpath={{{path}}}")]);
        self.until("both pods are ready", || Ok(field("deployment", ".status.readyReplicas")?.trim() == "2"))?;
        self.until("there is an address of a load balancer", || Ok(!field("service", ".status.loadBalancer.ingress[0].ip")?.is_empty()))?;
        let service = field("service", ".spec.clusterIP")?;
        for address in [service, field("service", ".status.loadBalancer.ingress[0].ip")?] {
            let mut pods = std::collections::BTreeSet::new();
            // Each request goes to one of the two by chance: that one is never chosen is less likely than 1 in 10^9.
            for _ in 0..30 {
                let output = self.command("curl")?.args(["-sS", "-m", "10", &format!("http://{address}/")]).output()?;
                let answer: serde_json::Value = serde_json::from_slice(&output.stdout)
                    .with_context(|| format!("http://{address}/: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
                pods.insert(answer["pod"].as_str().unwrap_or_default().to_owned());
            }
            println!("http://{address}/ is answered by {}", pods.iter().cloned().collect::<Vec<_>>().join(", "));
            if pods.len() != 2 {
                bail!("{address} leads to {} of 2 pods", pods.len());
            }
        }
        Ok(())
    }

    pub fn down(&self) -> Result<()> {
        self.ledger().end_all()?;
        for number in 1..=2 {
            node::remove_cgroups(&self.name, number)?;
        }
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        }
        Ok(())
    }

    fn status(&self) -> Result<()> {
        let processes = self.ledger().all()?;
        if processes.is_empty() {
            println!("no cluster {} is up", self.name);
            return Ok(());
        }
        for process in &processes {
            println!("{:<24}{:>8}  {}", process.name, process.id, if process.is_alive() { "alive" } else { "GONE" });
        }
        match self.kubectl(&["get", "--raw", "/readyz"]) {
            Ok(_) => println!("API server              {}", self.kubectl(&["version"])?.lines().last().unwrap_or_default()),
            Err(error) => println!("API server               {error:#}"),
        }
        if processes.iter().any(|process| process.name == "node-1") {
            print!("{}", self.kubectl(&["get", "nodes,pods", "-A"]).unwrap_or_default());
            println!("try: cargo xtask cluster exec{} kubectl get pods -A", self.name_flag());
        }
        println!("KUBECONFIG={}", self.kubeconfig().display());
        Ok(())
    }

    fn name_flag(&self) -> String {
        if self.name == "tests" { String::new() } else { format!(" --name {}", self.name) }
    }

    /// Asks again and again; what was answered last is told when time is up.
    pub fn until(&self, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(ended) = self.ledger().all()?.iter().find(|process| !process.is_alive()) {
                bail!("{} ended; what it wrote is in {}", ended.name, self.folder.join("log").display());
            }
            match holds() {
                Ok(true) => return Ok(()),
                Ok(false) if Instant::now() > end => bail!("not within {} s: {what}", PATIENCE.as_secs()),
                Err(error) if Instant::now() > end => {
                    return Err(error).with_context(|| format!("not within {} s: {what}", PATIENCE.as_secs()));
                }
                _ => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }
}

/// The suite's program behind Services.
pub const ECHO: (&str, &str) = ("echo-basic", "sigs.k8s.io/gateway-api/conformance/echo-basic");
/// Ours, by gRPC: who answers and who asks.
pub const CALLS: (&str, &str) = ("calls", "./cluster/calls");
/// The name by which the conformance suite asks for CoreDNS too.
const DNS_IMAGE: &str = "registry.k8s.io/coredns/coredns:v1.12.2";

#[cfg(test)]
mod tests;
