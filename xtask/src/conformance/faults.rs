//! `cargo xtask conformance faults`: on a real cluster of two nodes its parts are lost one after another, under callers that never ask again. Each request that
//! got no answer of 200 is told with its time, and one is too many.

mod bad_input;

use super::{Options, gateway, is_true};
use crate::cluster::{self, CALLS, Cluster, ECHO, Release, Shape};
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
/// Its backends are spoken to by HTTP/2.
const HOST_H2: &str = "h2.faults.example";
/// Its backends speak gRPC.
const HOST_GRPC: &str = "grpc.faults.example";
/// At each Gateway.
const CALLERS: &str = "6";
/// Seconds that they wait for an answer: longer than it takes until a proxy holds that an endpoint is not reached (5 s), and asks another.
const PATIENCE: &str = "15";
/// How long something is away.
const OUTAGE: Duration = Duration::from_secs(60);
/// Calls before something is lost, and after all is as it was.
const CALM: Duration = Duration::from_secs(3);
/// The backends' two, each Gateway's, Organza's and that of names.
const DEPLOYMENTS: usize = 6;
/// Routes that are written while the leader is lost.
const ROUTES: usize = 30;

/// What is lost, which callers must not notice, and how it is lost and comes back.
struct Fault {
    name: &'static str,
    calls: &'static [Calls],
    happens: fn(&Cluster) -> Result<()>,
}

/// Whom callers ask for what, and how many of their requests may be inside of what is lost.
struct Calls {
    gateway: &'static str,
    host: &'static str,
    /// A method of HTTP, or a kind of gRPC's.
    method: &'static str,
    inside: usize,
}

const fn gets(gateway: &'static str) -> Calls {
    Calls { gateway, host: HOST, method: "GET", inside: 0 }
}

const fn grpc(method: &'static str, inside: usize) -> Calls {
    Calls { gateway: "here", host: HOST_GRPC, method, inside }
}

/// By gRPC: one question and its answer, and a stream of some seconds.
const UNARY: &str = "unary";
const STREAM: &str = "stream";
const BOTH: &[Calls] = &[gets("pair"), gets("here")];
const DRAINED: &[Calls] = &[gets("pair"), gets("here"), grpc(UNARY, 0), grpc(STREAM, 0)];
const FAULTS: &[Fault] = &[
    Fault { name: "control-plane", calls: BOTH, happens: control_plane },
    Fault { name: "leader", calls: BOTH, happens: leader_writes },
    Fault { name: "pod", calls: BOTH, happens: pod },
    Fault { name: "rolling-update", calls: DRAINED, happens: rolling_update },
    Fault { name: "hot-restart", calls: DRAINED, happens: hot_restart },
    Fault { name: "resize", calls: &[gets("here")], happens: resize },
    Fault { name: "api-server", calls: BOTH, happens: api_server },
    Fault { name: "bad-input", calls: BOTH, happens: bad_input::happens },
    // What is inside of the proxy on the other side is lost: callers do not reach it. So is what has an effect and was sent to an endpoint there: nobody knows
    // whether it was done, and one for each of six callers may be at each of two endpoints.
    Fault {
        name: "node",
        calls: &[
            gets("here"),
            Calls { gateway: "here", host: HOST_H2, method: "GET", inside: 0 },
            Calls { gateway: "here", host: HOST, method: "POST", inside: 12 },
            grpc(UNARY, 12),
            grpc(STREAM, 12),
        ],
        happens: node,
    },
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
    cluster.bring(CALLS.0, "localhost/calls:1")?;
    let manifest = crate::root().join("conformance/cluster/faults.yaml");
    cluster.kubectl(&["apply", "--server-side", "-f", &manifest.to_string_lossy()])?;
    settle(cluster)?;
    let mut lost = Vec::new();
    for fault in chosen {
        let begun = Instant::now();
        let callers = fault.calls.iter().map(|calls| Callers::start(cluster, calls)).collect::<Result<Vec<_>>>()?;
        std::thread::sleep(CALM);
        (fault.happens)(cluster).with_context(|| fault.name)?;
        let happened = begun.elapsed();
        let last = settle(cluster).with_context(|| fault.name)?;
        let settled = begun.elapsed() - happened;
        std::thread::sleep(CALM);
        for callers in callers {
            let Calls { gateway, host, method, inside } = callers.calls;
            let told = callers.stop()?;
            let (count, summary) = (told.lines().filter(|line| line.starts_with("lost ")).count(), told.lines().last().unwrap_or_default());
            let (all, settled) = (begun.elapsed().as_secs_f64(), settled.as_secs_f64());
            let took = format!("{all:.0} s, {settled:.0} of them until all was as before{last}");
            println!("{} at {gateway}, {method} {host}: {count} lost of {summary} ({took})", fault.name);
            // Who is told that nobody knows what became of it, is told; who waits for nothing is lost.
            let untold = told.lines().any(|line| line.contains(": status 0"));
            if count > 0 {
                print!("{told}");
            }
            if count > *inside || untold {
                lost.push(format!("{count} with {} at {gateway}, {method} {host}", fault.name));
            }
        }
    }
    ensure!(lost.is_empty(), "lost: {}", lost.join("; "));
    Ok(())
}

/// In the first node's network, until they are stopped.
struct Callers {
    calls: &'static Calls,
    running: Running,
}

impl Callers {
    fn start(cluster: &Cluster, calls: &'static Calls) -> Result<Self> {
        let to = entrance(cluster, calls.gateway)?;
        let (program, arguments) = match calls.method {
            UNARY | STREAM => (cluster::ours(CALLS.0, CALLS.1)?, vec![calls.method, CALLERS, &to, calls.host, PATIENCE]),
            method => (crate::process::own()?, vec!["callers", CALLERS, &to, calls.host, PATIENCE, method]),
        };
        let mut command = cluster.command(&program.to_string_lossy())?;
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self { calls, running: Running::start(&mut command)? })
    }

    fn stop(mut self) -> Result<String> {
        let child = self.running.child();
        drop(child.stdin.take());
        let mut told = String::new();
        child.stdout.take().context("callers say nothing")?.read_to_string(&mut told)?;
        ensure!(told.trim_end().ends_with("the slowest"), "callers at {} ended early: {told}", self.calls.gateway);
        Ok(told)
    }
}

/// Until all is as it was; gives back what was waited for last.
fn settle(cluster: &Cluster) -> Result<String> {
    let mut last = String::new();
    cluster.until("everything is ready", || {
        let looked = as_it_was(cluster);
        if let Err(why) = &looked {
            last = format!(", last for this: {why}");
        }
        looked.map(|()| true)
    })?;
    Ok(last)
}

/// What runs is ready, and the Gateways say so.
fn as_it_was(cluster: &Cluster) -> Result<()> {
    let is_so = |object: &Value, kind: &str| is_true(&object["status"]["conditions"], kind);
    // The first of a kind that is not as it should be.
    let all = |arguments: &[&str], fewest: usize, is_well: &dyn Fn(&Value) -> bool| -> Result<()> {
        let list = read(cluster, arguments)?;
        let list = list["items"].as_array().context("a list")?;
        ensure!(list.len() >= fewest, "of {} there are {}", arguments.join(" "), list.len());
        let bad = list.iter().find(|object| !is_well(object));
        bad.map_or(Ok(()), |object| bail!("{} {} is not as it was", object["kind"], object["metadata"]["name"]))
    };
    all(&["get", "deployments", "-A"], DEPLOYMENTS, &is_rolled_out)?;
    all(&["get", "pods", "-A"], DEPLOYMENTS, &|pod| !pod["metadata"]["deletionTimestamp"].is_string())?;
    all(&["-n", NAMESPACE, "get", "gateways"], 2, &|gateway| is_so(gateway, "Programmed"))?;
    all(&["get", "nodes"], 2, &|node| is_so(node, "Ready"))
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
    let pods = read(cluster, &["-n", NAMESPACE, "get", "pods", "-l", label])?;
    for pod in pods["items"].as_array().context("a list")? {
        let port = pod["metadata"]["annotations"]["prometheus.io/port"].as_str().context("no port for scrapers")?;
        let entrance = entrance(cluster, pod["metadata"]["labels"][label].as_str().context("a pod of no Gateway")?)?;
        cluster.until(&format!("the process that took over tells of requests at port {port}"), || {
            // Callers keep their connections, and all of them may have come to another pod.
            curl(cluster, &["-H", &format!("Host: {HOST}"), &format!("http://{entrance}/")])?;
            Ok(scraped(cluster, &pod["status"]["podIP"], port)?.contains("istio_requests_total{"))
        })?;
    }
    Ok(())
}

/// What a pod tells a scraper.
fn scraped(cluster: &Cluster, address: &Value, port: &str) -> Result<String> {
    let address = address.as_str().context("a pod without an address")?;
    curl(cluster, &[&format!("http://{address}:{port}/metrics")])
}

/// One question over a connection of its own, from the first node.
fn curl(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    let output = cluster.command("curl")?.args(["-sS", "-f", "-m", "10"]).args(arguments).output()?;
    ensure!(output.status.success(), "{}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where a Gateway is asked.
fn entrance(cluster: &Cluster, gateway: &str) -> Result<String> {
    let address = cluster.kubectl(&["-n", NAMESPACE, "get", "gateway", gateway, "-o=jsonpath={.status.addresses[0].value}"])?;
    Ok(format!("{}:80", address.trim()))
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
