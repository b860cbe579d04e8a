//! `organza gateway`: a pod of a Gateway. It joins by the pod's own token, writes the page of data that a proxy is started with, and keeps that proxy; where
//! it is asked to (`organza renew`), or the pod may use another number of processors, a new process takes over from it without a connection lost
//! (`decisions/0049`). Typed by nobody: the control plane writes the pod (`control/kubernetes/deploy`).

use crate::client::Client;
use crate::failure::{Context, Failure, Outcome};
use crate::join::{token, write_private};
use crate::lifeline::Lifeline;
use crate::limits;
use crate::place::make_folder;
use crate::program;
use crate::proxy_process;
use crate::succession;
use crate::supervise::{Program, Restart, State, Supervised};
use crate::upgrade::desk::Desk;
use clap::Args;
use model::{Key, Kind, Source, SpiffeId};
use proxy::config::{Config, Control, GatewayPorts, Log, Role};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wire::api::Registration;

#[derive(Debug, Args)]
pub struct GatewayArgs {
    #[arg(long)]
    mesh: String,
    #[arg(long)]
    trust_domain: String,
    /// Where the control plane is
    #[arg(long, value_name = "ADDRESS:PORT")]
    control: SocketAddr,
    #[arg(long)]
    namespace: String,
    /// The Gateway's name
    #[arg(long)]
    gateway: String,
    /// The pod's name
    #[arg(long)]
    pod: String,
    /// The node's name
    #[arg(long)]
    node: String,
    /// Roots by which the control plane is believed, PEM
    #[arg(long, value_name = "FILE")]
    roots: PathBuf,
    /// The pod's token
    #[arg(long, value_name = "FILE")]
    token: PathBuf,
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,
    /// Where scrapers find the proxy's metrics; whoever reaches it may read them
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
}

/// Where the pod is asked for another process, below the folder of its state.
pub const DESK: &str = "/state/pod.sock";

pub async fn run(args: GatewayArgs) -> Outcome {
    proxy_process::log_to(&Log::default())?;
    let mut lifeline = Lifeline::new(false).doing(|| "listen to signals".into())?;
    let (registration, svid) = loop {
        match join(&args).await {
            Ok(joined) => break joined,
            Err(failure) => tracing::warn!("not in the mesh yet: {failure}"),
        }
        tokio::select! {
            biased;
            () = lifeline.ended() => return Ok(()),
            () = tokio::time::sleep(limits::JOIN_AGAIN) => {}
        }
    };
    let config = config(&args, registration, &svid)?;
    let file = args.state.join("config.json");
    let text = serde_json::to_vec_pretty(&config).doing(|| "write the proxy's configuration".into())?;
    write_private(&file, &text)?;
    let first = Supervised::start(program(&config.proxy, &file, false)?)?;
    let admin = Client::admin(&config.admin, &config.proxy);
    let pod = Pod { succeeded: program(&config.proxy, &file, true)?, admin, proxy: first };
    let mut desk = Desk::at(args.state.join("pod.sock"))?;
    let ended = pod.keep(&mut desk, &mut lifeline, processors).await;
    pod.proxy.stop().await;
    ended
}

/// As long as a proxy may drain and a little more: it says what it did, too. The kubelet waits for longer.
const PATIENCE: Duration = limits::DRAIN.saturating_mul(2);

/// It ends with its container when it ends by itself, and the kubelet starts both anew.
fn program(name: &str, config: &Path, takes_over: bool) -> Outcome<Program> {
    let command = proxy_process::command(program::own()?, config, takes_over);
    Ok(Program { name: name.into(), command, environment: Vec::new(), log: None, restart: Restart::Never, patience: PATIENCE })
}

struct Pod {
    proxy: Supervised,
    admin: Client,
    /// What takes over.
    succeeded: Program,
}

impl Pod {
    /// Until the pod is to go, or its proxy ended. `processors`: how many the pod may use now.
    async fn keep(&self, desk: &mut Desk, lifeline: &mut Lifeline, processors: impl Fn() -> usize) -> Outcome {
        let mut state = self.proxy.state.clone();
        let mut before = processors();
        let mut look = tokio::time::interval(limits::LOOK_AT_PROCESSORS);
        loop {
            tokio::select! {
                biased;
                () = lifeline.ended() => return Ok(()),
                _ = state.wait_for(|state| *state == State::Ended) => {
                    return Err(Failure::problem("the proxy ended").why("its last words say why").remedy("the kubelet starts it again"));
                }
                (_, mut caller) = desk.asked() => {
                    let took = self.succeed("it was asked for").await;
                    if let Ok(took) = &took {
                        caller.step(took.as_str()).await;
                    }
                    caller.end(&took.map(drop)).await;
                }
                _ = look.tick() => {
                    let now = processors();
                    if now != before && self.succeed(&format!("there are {now} processors where there were {before}")).await.is_ok() {
                        before = now;
                    }
                }
            }
        }
    }

    async fn succeed(&self, why: &str) -> Outcome<String> {
        tracing::info!("another process takes over: {why}");
        let took = succession::of(&self.proxy, &self.admin, self.succeeded.clone()).await;
        match &took {
            Ok(took) => tracing::info!("{took}"),
            Err(failure) => tracing::warn!("{failure}"),
        }
        took
    }
}

/// So many workers a proxy starts with; a pod may be resized while it runs.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// By whichever of the roots the control plane shows: one is on its way out while they are exchanged.
async fn join(args: &GatewayArgs) -> Outcome<(Registration, String)> {
    let pem = std::fs::read(&args.roots).doing(|| format!("read {}", args.roots.display()))?;
    let secret = std::fs::read_to_string(&args.token).doing(|| format!("read {}", args.token.display()))?;
    let roots = identity::pem::roots(&pem).doing(|| format!("read {}", args.roots.display()))?;
    let mut last = Failure::problem(format!("{} holds no root", args.roots.display()));
    for root in roots {
        match token::join_pod(identity::pem::sha256(&root), args.control, secret.trim(), &args.pod).await {
            Ok(joined) => return Ok(joined),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

fn config(args: &GatewayArgs, registration: Registration, svid_pem: &str) -> Outcome<Config> {
    make_folder(&args.state)?;
    let identity = SpiffeId::parse(&registration.identity).doing(|| format!("read the identity {}", registration.identity))?;
    if identity.trust_domain().as_str() != args.trust_domain {
        return Err(Failure::problem(format!("{identity} is of another trust domain than {}", args.trust_domain)));
    }
    let svid = args.state.join("svid");
    write_private(&svid, svid_pem.as_bytes())?;
    let gateway = Key::new(Source::files(), Kind::Gateway, &args.namespace, &args.gateway);
    Ok(Config {
        mesh: args.mesh.clone(),
        proxy: registration.proxy,
        namespace: args.namespace.clone(),
        control: Control {
            addresses: vec![args.control],
            trust_roots: registration.trust_roots,
            trust_domain: identity.trust_domain().clone(),
        },
        identity,
        role: Role::Gateway { gateway, ports: GatewayPorts::Exact },
        locality: None,
        state: args.state.clone(),
        svid,
        admin: args.state.join("admin.sock"),
        metrics: args.metrics,
        workers: None,
        log: Log::default(),
        drain_seconds: limits::DRAIN.as_secs(),
        linger_seconds: proxy::limits::LINGER.as_secs(),
        release: proxy::config::release(),
    })
}

#[cfg(test)]
mod tests;
