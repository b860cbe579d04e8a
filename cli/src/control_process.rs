//! The control plane is a process of its own, kept by `up` and the demo: it may be killed, replaced or upgraded while proxies, which are children
//! of the same supervisor and not of it, go on. `organza control` is that process; it is never typed.

use crate::client::Client;
use crate::descriptors;
use crate::failure::{Context, Failure, Outcome};
use crate::lifeline::Lifeline;
use crate::limits;
use crate::mesh::ControlPlane;
use crate::patience;
use crate::place::Place;
use crate::program;
use crate::supervise::{Program, Released, Restart, State, Supervised};
use clap::Args;
use control::kubernetes::{Cluster, Deployment};
use control::{Beyond, Control, ControlConfig};
use model::{BaseUrl, TrustDomain};
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use wire::api::{LinkTemplate, Status};

/// What a user may say of the control plane; `up` hands it on.
#[derive(Debug, Clone, Args)]
pub struct ControlFlags {
    /// Name of the root of trust, the first part of every identity
    #[arg(long, default_value = "organza.local", value_name = "NAME")]
    pub trust_domain: String,
    /// Where proxies connect; name an address of this machine to let others join
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Where browsers find the dashboard; an address of loopback
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT", value_parser = loopback)]
    pub dashboard: SocketAddr,
    /// Life of workloads' certificates, in seconds
    #[arg(long, default_value_t = 86_400, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(10..))]
    pub svid_life: u64,
    /// Sign with an authority of your own: its chain, PEM, the issuing certificate first
    #[arg(long, requires = "ca_key", value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,
    /// The key of that authority, PEM
    #[arg(long, requires = "ca_cert", value_name = "FILE")]
    pub ca_key: Option<PathBuf>,
    /// Where the dashboard reads of more than the last hour: a Prometheus that scrapes the proxies
    #[arg(long, value_name = "URL", value_parser = base_url)]
    pub prometheus: Option<BaseUrl>,
    /// A link that the dashboard shows: NAME=URL with {service} (and {namespace}) or with {trace} in it; may be repeated
    #[arg(long = "link", value_name = "NAME=URL", value_parser = link)]
    pub links: Vec<LinkTemplate>,
}

fn base_url(text: &str) -> Result<BaseUrl, String> {
    BaseUrl::parse(text).map_err(|e| format!("it {e}"))
}

/// Only what a browser opens as a page of the web: what else a URL may be could run in ours.
fn link(text: &str) -> Result<LinkTemplate, String> {
    let (name, url) = text.split_once('=').ok_or("it is not of the form NAME=URL")?;
    let is_web = ["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
    if name.trim().is_empty() || name.len() > 64 {
        return Err("its name has 1 to 64 characters".to_owned());
    }
    if !is_web || url.len() > 1024 || !url.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("it leads to no http:// or https:// URL of at most 1024 plain characters".to_owned());
    }
    if url.contains("{service}") == url.contains("{trace}") {
        return Err("it has either {service} or {trace} in it".to_owned());
    }
    Ok(LinkTemplate { name: name.trim().to_owned(), url: url.to_owned() })
}

#[derive(Debug, Args)]
pub struct ControlArgs {
    #[arg(long)]
    mesh: String,
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    flags: ControlFlags,
    /// Show numbers about the control plane itself, for Prometheus, at /metrics; to whoever reaches it
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    #[command(flatten)]
    cluster: ClusterFlags,
    /// End when standard input closes
    #[arg(long)]
    tethered: bool,
}

/// Where objects come from, if not from files.
#[derive(Debug, Args)]
pub struct ClusterFlags {
    /// Objects are those of a Kubernetes cluster: of the pod's own, or of the kubeconfig
    #[arg(long, conflicts_with = "files")]
    kubernetes: bool,
    /// The kubeconfig's context
    #[arg(long, requires = "kubernetes", value_name = "CONTEXT")]
    context: Option<String>,
    /// The control plane's own namespace, where its lease stands
    #[arg(long, requires = "kubernetes", value_name = "NAMESPACE", default_value = frontends::organza::settings::ROOT_NAMESPACE)]
    namespace: String,
    /// This process among the replicas of the control plane; the machine's name when left out, which in a pod is the pod's
    #[arg(long, requires = "kubernetes", value_name = "NAME")]
    replica: Option<String>,
    /// Image of the proxies of Gateways; without it none are deployed
    #[arg(long, requires = "kubernetes", value_name = "IMAGE")]
    image: Option<String>,
    /// Type of the Services before them
    #[arg(long, requires = "image", default_value = "LoadBalancer", value_parser = ["LoadBalancer", "NodePort", "ClusterIP"])]
    service_type: String,
    /// Where they find the control plane, if not by the Service organza-control of its namespace
    #[arg(long, requires = "image", value_name = "ADDRESS:PORT")]
    advertise: Option<SocketAddr>,
    /// The address of this pod, for that Service
    #[arg(long, requires = "image", value_name = "ADDRESS")]
    pod_ip: Option<IpAddr>,
    /// Tell the API server what is wrong with objects before it takes them, by the Service organza-webhook (organza install --webhook)
    #[arg(long, requires = "pod_ip")]
    webhook: bool,
}

impl ClusterFlags {
    async fn cluster(self) -> Outcome<Option<Cluster>> {
        if !self.kubernetes {
            return Ok(None);
        }
        let connected = control::kubernetes::connect(self.context.as_deref()).await;
        let client = connected
            .map_err(|e| Failure::problem("no cluster is reached").why(e).remedy("name a context of your kubeconfig with --context"))?;
        let machine = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        let deployment =
            self.image.map(|image| Deployment { image, service_type: self.service_type, control: self.advertise, pod_ip: self.pod_ip });
        let webhook = self.webhook.then(|| SocketAddr::new(any(self.pod_ip), control::kubernetes::WEBHOOK_PORT));
        let replica = self.replica.unwrap_or_else(machine);
        Ok(Some(Cluster { client, namespace: self.namespace, replica, deployment, webhook }))
    }
}

/// Every address of the pod's family.
fn any(pod: Option<IpAddr>) -> IpAddr {
    match pod {
        Some(IpAddr::V6(_)) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        _ => std::net::Ipv4Addr::UNSPECIFIED.into(),
    }
}

/// The process itself.
pub async fn run(args: ControlArgs) -> Outcome {
    tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::INFO).init();
    descriptors::raise();
    let mut lifeline = Lifeline::new(args.tethered).doing(|| "listen to signals".into())?;
    let config = ControlConfig {
        mesh: args.mesh,
        state: args.state,
        paths: args.files,
        trust_domain: trust_domain(&args.flags.trust_domain)?,
        listen: args.flags.listen,
        dashboard: args.flags.dashboard,
        metrics: args.metrics,
        svid_life: Duration::from_secs(args.flags.svid_life),
        own_ca: args.flags.ca_cert.zip(args.flags.ca_key),
        cluster: args.cluster.cluster().await?,
        beyond: Beyond { prometheus: args.flags.prometheus, links: args.flags.links },
    };
    let control = Control::start(config).await.map_err(|e| Failure::problem("the control plane does not start").why(e))?;
    tracing::info!("control plane serves proxies on {}", control.xds_address);
    let is_ended = tokio::select! {
        biased;
        () = lifeline.ended() => true,
        // It serves no more: another replica does.
        () = control.core.ending() => false,
    };
    control.stop().await;
    if is_ended { Ok(()) } else { Err(Failure::problem("another replica of the control plane leads")) }
}

/// Without TLS there is no dashboard beyond this machine.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "it is not of the form ADDRESS:PORT".to_owned())?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err("the dashboard is served on loopback alone: name 127.0.0.1 and tunnel to it from elsewhere (ssh -L)".into()),
    }
}

fn trust_domain(text: &str) -> Outcome<TrustDomain> {
    TrustDomain::parse(text).map_err(|e| Failure::usage(format!("--trust-domain {text:?}")).why(e))
}

/// A control plane that is kept running.
pub struct Kept {
    child: Supervised,
    program: Program,
    log: PathBuf,
    client: Client,
}

impl ControlPlane for Kept {
    async fn stop(self) {
        self.child.stop().await;
    }

    /// One ends and the other starts: they have one store. Proxies carry traffic meanwhile, and come back to the port of before.
    async fn upgrade(&self, program: &Path) -> Outcome<String> {
        let before = match *self.child.state.borrow() {
            State::Running { pid } => format!("process {pid}"),
            _ => "nothing".to_owned(),
        };
        let mut newer = self.program.clone();
        if let Some(first) = newer.command.first_mut() {
            *first = program.into();
        }
        let pid = self.child.replace(newer).await?;
        let (client, child) = (&self.client, &self.child);
        let answers = || async move {
            match client.get::<Status>(wire::api::path::STATUS).await {
                Ok(status) if status.pid == pid => Some(Some(status)),
                _ if *child.state.borrow() != (State::Running { pid }) => Some(None),
                _ => None,
            }
        };
        if let Some(Some(Status { version, generation, .. })) = patience::until_ready(answers).await {
            return Ok(format!("control plane: {before} → process {pid}, organza {version}; generation {generation}, same store and port"));
        }
        Err(Failure::problem("the new control plane does not start; it is tried again and again, and proxies go on without it")
            .why(last_line(&self.log))
            .remedy(format!("read {}", self.log.display())))
    }

    async fn release(self) -> Released {
        self.child.release().await
    }
}

fn last_line(log: &Path) -> String {
    let said = std::fs::read_to_string(log).unwrap_or_default();
    said.lines().last().unwrap_or("it said nothing").to_owned()
}

/// Starts a control plane for a place, or goes on with one that was kept before; returns when its socket answers.
pub async fn keep(place: &Place, files: &[PathBuf], flags: &ControlFlags, before: Option<Released>) -> Outcome<Kept> {
    trust_domain(&flags.trust_domain)?;
    let program = program::own()?;
    let mut command: Vec<OsString> =
        vec![program.into(), "control".into(), "--tethered".into(), "--mesh".into(), place.mesh.clone().into()];
    command.extend(["--state".into(), place.root().into()]);
    command.extend(["--trust-domain".into(), flags.trust_domain.clone().into(), "--listen".into(), flags.listen.to_string().into()]);
    command.extend(["--dashboard".into(), flags.dashboard.to_string().into()]);
    command.extend(["--svid-life".into(), flags.svid_life.to_string().into()]);
    command.extend(flags.prometheus.iter().flat_map(|url| ["--prometheus".into(), url.to_string().into()]));
    command.extend(flags.links.iter().flat_map(|link| ["--link".into(), format!("{}={}", link.name, link.url).into()]));
    for (flag, file) in [("--ca-cert", &flags.ca_cert), ("--ca-key", &flags.ca_key)] {
        if let Some(file) = file {
            command.extend([flag.into(), whole(file)?.into()]);
        }
    }
    for file in files {
        command.extend(["-f".into(), whole(file)?.into()]);
    }
    let log = place.log("control");
    let name = "control plane".to_owned();
    let program =
        Program { name, command, environment: Vec::new(), log: Some(log.clone()), restart: Restart::Always, patience: limits::DRAIN };
    let client = Client::control(place);
    if let Some(before) = before {
        let child = Supervised::adopt(program.clone(), before)?;
        return Ok(Kept { child, program, log, client });
    }
    let kept = Supervised::start(program.clone())?;
    if !answers(&client, &kept.state).await {
        kept.stop().await;
        return Err(Failure::problem("the control plane does not start").why(last_line(&log)).remedy(format!("read {}", log.display())));
    }
    Ok(Kept { child: kept, program, log, client })
}

/// Waits until a control plane that was started answers; whether it does.
async fn answers(client: &Client, state: &watch::Receiver<State>) -> bool {
    let (begun, mut told) = (Instant::now(), false);
    while client.text(wire::api::path::STATUS).await.is_err() {
        let running = matches!(*state.borrow(), State::Running { .. });
        if running && begun.elapsed() > limits::READY && !told {
            told = true;
            eprintln!("organza: the control plane is there and does not answer yet; it reads its files first, and many take a while");
        }
        if !running || begun.elapsed() > limits::READING {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}

#[cfg(test)]
mod tests;

fn whole(file: &std::path::Path) -> Outcome<PathBuf> {
    std::path::absolute(file).doing(|| format!("find {}", file.display()))
}
