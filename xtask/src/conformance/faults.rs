//! `cargo xtask conformance faults`: on a real cluster of two nodes its parts are lost one after another, under callers that never ask again. Each request that
//! got no answer of 200 is told with its time, and one is too many.

mod bad_input;

use super::{Options, gateway, is_true};
use crate::cluster::{self, Cluster, ECHO, Release, Shape};
use crate::running::Running;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

const USAGE: &str = "cargo xtask conformance faults [--dev | --organza FILE] [--only NAME,…] [--keep] [--name CLUSTER]";
/// What `ci` runs: all but `node`, for which its minutes do not suffice.
pub const HELD: &str = "control-plane,leader,pod,rolling-update,hot-restart,resize,api-server,bad-input";
const NAMESPACE: &str = "faults";
const HOST: &str = "faults.example";
/// At each Gateway.
const CALLERS: &str = "6";
/// Seconds that they wait for an answer: longer than it takes until a proxy holds that an endpoint is not reached (5 s), and asks another.
const PATIENCE: &str = "15";
/// How long something is away.
const OUTAGE: Duration = Duration::from_secs(60);
/// Calls before something is lost, and after all is as it was.
const CALM: Duration = Duration::from_secs(3);
/// The backends', each Gateway's, Organza's and that of names.
const DEPLOYMENTS: usize = 5;
/// Routes that are written while the leader is lost.
const ROUTES: usize = 30;

/// What is lost, which Gateway's callers must not notice, and how it is lost and comes back.
struct Fault {
    name: &'static str,
    gateways: &'static [&'static str],
    happens: fn(&Cluster) -> Result<()>,
}

const FAULTS: &[Fault] = &[
    Fault { name: "control-plane", gateways: &["pair", "here"], happens: control_plane },
    Fault { name: "leader", gateways: &["pair", "here"], happens: leader_writes },
    Fault { name: "pod", gateways: &["pair", "here"], happens: pod },
    Fault { name: "rolling-update", gateways: &["pair", "here"], happens: rolling_update },
    Fault { name: "hot-restart", gateways: &["pair", "here"], happens: hot_restart },
    Fault { name: "resize", gateways: &["here"], happens: resize },
    Fault { name: "api-server", gateways: &["pair", "here"], happens: api_server },
    Fault { name: "bad-input", gateways: &["pair", "here"], happens: bad_input::happens },
    // What is inside of the proxy on the other side is lost: callers do not reach it.
    Fault { name: "node", gateways: &["here"], happens: node },
];

pub fn run(arguments: &[String]) -> Result<()> {
    let options = Options::read(arguments, &["--dev", "--organza", "--only", "--keep", "--name"], USAGE)?;
    let only: Option<Vec<&str>> = options.only.as_deref().map(|names| names.split(',').collect());
    let chosen: Vec<&Fault> = FAULTS.iter().filter(|fault| only.as_ref().is_none_or(|names| names.contains(&fault.name))).collect();
    if chosen.is_empty() {
        bail!("--only is of: {}", FAULTS.iter().map(|fault| fault.name).collect::<Vec<_>>().join(", "));
    }
    cluster::theirs(ECHO.0, ECHO.1)?;
    let cluster = Cluster::named(options.name.as_deref().unwrap_or(NAMESPACE))?;
    let checked = cluster.up(Shape::of(2, Release::V1_6)).and_then(|()| check(&cluster, &options, &chosen));
    if !options.keep {
        cluster.down()?;
    }
    checked
}

fn check(cluster: &Cluster, options: &Options, chosen: &[&Fault]) -> Result<()> {
    let program = options.program()?;
    gateway::install(cluster, &program, options.is_other(), &[])?;
    cluster.bring(ECHO.0, "localhost/echo-basic:1")?;
    let manifest = crate::root().join("conformance/cluster/faults.yaml");
    cluster.kubectl(&["apply", "--server-side", "-f", &manifest.to_string_lossy()])?;
    settle(cluster)?;
    let mut lost = Vec::new();
    for fault in chosen {
        let begun = Instant::now();
        let callers = fault.gateways.iter().map(|gateway| Callers::start(cluster, gateway)).collect::<Result<Vec<_>>>()?;
        std::thread::sleep(CALM);
        (fault.happens)(cluster).with_context(|| fault.name)?;
        settle(cluster).with_context(|| fault.name)?;
        std::thread::sleep(CALM);
        for callers in callers {
            let gateway = callers.gateway;
            let told = callers.stop()?;
            let (count, summary) = (told.lines().filter(|line| line.starts_with("lost ")).count(), told.lines().last().unwrap_or_default());
            println!("{} at {gateway}: {count} lost of {summary} ({:.0} s)", fault.name, begun.elapsed().as_secs_f64());
            if count > 0 {
                print!("{told}");
                lost.push(format!("{count} with {} at {gateway}", fault.name));
            }
        }
    }
    ensure!(lost.is_empty(), "lost: {}", lost.join("; "));
    Ok(())
}

/// In the first node's network, until they are stopped.
struct Callers {
    gateway: &'static str,
    running: Running,
}

impl Callers {
    fn start(cluster: &Cluster, gateway: &'static str) -> Result<Self> {
        let address = cluster.kubectl(&["-n", NAMESPACE, "get", "gateway", gateway, "-o=jsonpath={.status.addresses[0].value}"])?;
        let program = crate::process::own()?;
        let mut command = cluster.command(&program.to_string_lossy())?;
        command.args(["callers", CALLERS, &format!("{}:80", address.trim()), HOST, PATIENCE]).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self { gateway, running: Running::start(&mut command)? })
    }

    fn stop(mut self) -> Result<String> {
        let child = self.running.child();
        drop(child.stdin.take());
        let mut told = String::new();
        child.stdout.take().context("callers say nothing")?.read_to_string(&mut told)?;
        ensure!(told.trim_end().ends_with("the slowest"), "callers at {} ended early: {told}", self.gateway);
        Ok(told)
    }
}

/// Until all is as it was: what runs is ready, and the Gateways say so.
fn settle(cluster: &Cluster) -> Result<()> {
    cluster.until("everything is ready", || {
        let deployments = read(cluster, &["get", "deployments", "-A"])?;
        let all = deployments["items"].as_array().context("a list")?;
        let pods = read(cluster, &["get", "pods", "-A"])?;
        let leaving = pods["items"].as_array().into_iter().flatten().any(|pod| pod["metadata"]["deletionTimestamp"].is_string());
        let gateways = read(cluster, &["-n", NAMESPACE, "get", "gateways"])?;
        let programmed =
            gateways["items"].as_array().context("a list")?.iter().all(|gateway| is_true(&gateway["status"]["conditions"], "Programmed"));
        let nodes = read(cluster, &["get", "nodes"])?;
        let here = nodes["items"].as_array().context("a list")?.iter().all(|node| is_true(&node["status"]["conditions"], "Ready"));
        Ok(here && !leaving && programmed && all.len() >= DEPLOYMENTS && all.iter().all(is_rolled_out))
    })
}

fn is_rolled_out(deployment: &Value) -> bool {
    let (status, wanted) = (&deployment["status"], &deployment["spec"]["replicas"]);
    status["observedGeneration"] == deployment["metadata"]["generation"]
        && ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|count| status[count] == *wanted)
}

fn read(cluster: &Cluster, arguments: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&cluster.kubectl(&[arguments, &["-o", "json"]].concat())?)?)
}

/// All replicas at once, without a word.
fn control_plane(cluster: &Cluster) -> Result<()> {
    cluster.kubectl(&["-n", "organza-system", "delete", "pods", "--all", "--force", "--grace-period=0"]).map(drop)
}

/// The pod of the control plane that leads. One that was killed is named by the lease until that ends.
fn leader(cluster: &Cluster) -> Result<String> {
    let mut holder = String::new();
    cluster.until("a control plane that is there leads", || {
        holder = cluster.kubectl(&["-n", "organza-system", "get", "lease", "organza-control", "-o=jsonpath={.spec.holderIdentity}"])?;
        Ok(cluster
            .kubectl(&["-n", "organza-system", "get", "pods", "-o=jsonpath={.items[*].metadata.name}"])?
            .split(' ')
            .any(|pod| pod == holder))
    })?;
    Ok(holder)
}

/// How often containers of Organza's were started again.
fn restarts(cluster: &Cluster) -> Result<u64> {
    let mut count = 0;
    for namespace in [NAMESPACE, "organza-system"] {
        let pods = read(cluster, &["-n", namespace, "get", "pods"])?;
        let all = pods["items"].as_array().into_iter().flatten();
        let containers = all.flat_map(|pod| pod["status"]["containerStatuses"].as_array().into_iter().flatten());
        count += containers.filter_map(|one| one["restartCount"].as_u64()).sum::<u64>();
    }
    Ok(count)
}

/// While it writes: it is killed in the middle of the statuses of many routes, and the next one must get them right.
fn leader_writes(cluster: &Cluster) -> Result<()> {
    let route = |number| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{ name: filler-{number}, namespace: {NAMESPACE}, labels: {{ filler: \"yes\" }} }}\nspec:\n  parentRefs: [{{ name: pair }}]\n  hostnames: [filler-{number}.example]\n  rules: [{{ backendRefs: [{{ name: echo, port: 80 }}] }}]\n"
        )
    };
    let file = cluster.folder().join("fillers.yaml");
    std::fs::write(&file, (0..ROUTES).map(route).collect::<String>())?;
    let holder = leader(cluster)?;
    cluster.kubectl(&["apply", "--server-side", "-f", &file.to_string_lossy()])?;
    cluster.kubectl(&["-n", "organza-system", "delete", "pod", &holder, "--force", "--grace-period=0"])?;
    cluster.until("all routes say that they are accepted", || {
        let routes = read(cluster, &["-n", NAMESPACE, "get", "httproutes", "-l", "filler=yes"])?;
        Ok(routes["items"]
            .as_array()
            .context("a list")?
            .iter()
            .all(|route| is_true(&route["status"]["parents"][0]["conditions"], "Accepted")))
    })?;
    cluster.kubectl(&["-n", NAMESPACE, "delete", "httproutes", "-l", "filler=yes"]).map(drop)
}

/// One of two proxies is asked to go.
fn pod(cluster: &Cluster) -> Result<()> {
    let label = "gateway.networking.k8s.io/gateway-name=pair";
    let name = cluster.kubectl(&["-n", NAMESPACE, "get", "pods", "-l", label, "-o=jsonpath={.items[0].metadata.name}"])?;
    cluster.kubectl(&["-n", NAMESPACE, "delete", "pod", name.trim()]).map(drop)
}

fn rolling_update(cluster: &Cluster) -> Result<()> {
    cluster.kubectl(&["-n", NAMESPACE, "rollout", "restart", "deployment", "pair-organza", "here-organza"]).map(drop)
}

/// In each pod another process takes over, twice, so that one that took over hands over too.
fn hot_restart(cluster: &Cluster) -> Result<()> {
    let before = restarts(cluster)?;
    let label = "gateway.networking.k8s.io/gateway-name";
    let names = cluster.kubectl(&["-n", NAMESPACE, "get", "pods", "-l", label, "-o=jsonpath={.items[*].metadata.name}"])?;
    for pod in names.split_whitespace().chain(names.split_whitespace()) {
        let said = cluster.kubectl(&["-n", NAMESPACE, "exec", pod, "--", "organza", "renew"])?;
        ensure!(said.contains("took over") && !said.contains("none was running"), "{pod}: {said}");
    }
    ensure!(restarts(cluster)? == before, "containers were started again");
    Ok(())
}

/// A pod may use two processors, and one again, and stays; its proxy takes over each time with as many workers.
fn resize(cluster: &Cluster) -> Result<()> {
    let label = "gateway.networking.k8s.io/gateway-name=here";
    let name = cluster.kubectl(&["-n", NAMESPACE, "get", "pods", "-l", label, "-o=jsonpath={.items[0].metadata.name}"])?;
    let before = restarts(cluster)?;
    // How often a process took over for that reason.
    let takeovers = |why: &str| -> Result<usize> {
        let log = cluster.kubectl(&["-n", NAMESPACE, "logs", &name])?;
        Ok(log.split(why).skip(1).filter(|since| since.contains(" → process ")).count())
    };
    for (now, was) in [(2, 1), (1, 2)] {
        let why = format!("takes over: there are {now} processors where there were {was}");
        let so_far = takeovers(&why)?;
        let change = json!({"spec": {"containers": [{"name": "proxy", "resources": {"limits": {"cpu": now.to_string()}}}]}});
        cluster.kubectl(&["-n", NAMESPACE, "patch", "pod", &name, "--subresource=resize", "-p", &change.to_string()])?;
        cluster.until(&format!("another process {why}"), || Ok(takeovers(&why)? > so_far))?;
    }
    ensure!(restarts(cluster)? == before, "containers were started again");
    Ok(())
}

/// The controller manager goes too, as everywhere: without an API server it loses its lease. One that stayed would take the nodes for lost, since it heard
/// nothing of them, and Kubernetes itself would lead nobody to their pods.
fn api_server(cluster: &Cluster) -> Result<()> {
    let first = cluster.node(1)?;
    let [server, controllers] = ["kube-apiserver", "kube-controller-manager"].map(|program| first.kill(program));
    std::thread::sleep(OUTAGE);
    first.start("kube-apiserver", &server?)?;
    cluster.until("the API server is ready", || cluster.kubectl(&["get", "--raw", "/readyz"]).map(|_| true))?;
    first.start("kube-controller-manager", &controllers?)
}

fn node(cluster: &Cluster) -> Result<()> {
    let second = cluster.node(2)?;
    second.cut()?;
    std::thread::sleep(OUTAGE);
    second.join()
}
