//! `organza gateway`: the proxy of a Gateway, in a pod. It joins by the pod's own token, writes the page of data that a proxy is started with, and is that
//! proxy. Typed by nobody: the control plane writes the pod (`control/kubernetes/deploy`).

use crate::failure::{Context, Failure, Outcome};
use crate::join::{token, write_private};
use crate::lifeline::Lifeline;
use crate::limits;
use crate::place::make_folder;
use crate::proxy_process;
use clap::Args;
use model::{Key, Kind, Source, SpiffeId};
use proxy::config::{Config, Control, GatewayPorts, Log, Role};
use std::net::SocketAddr;
use std::path::PathBuf;
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
}

pub async fn run(args: GatewayArgs) -> Outcome {
    let set_level = proxy_process::log_to(&Log::default())?;
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
    proxy_process::serve(config, proxy::Begin::Alone, set_level, lifeline).await
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
        metrics: None,
        workers: None,
        log: Log::default(),
        drain_seconds: limits::DRAIN.as_secs(),
        linger_seconds: proxy::limits::LINGER.as_secs(),
        release: proxy::config::release(),
    })
}
