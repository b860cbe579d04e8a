//! The control plane is a process of its own, kept by `up` and the demo: it may be killed, replaced or upgraded while proxies, which are children
//! of the same supervisor and not of it, go on. `organza control` is that process; it is never typed.

use crate::client::Client;
use crate::failure::{Context, Failure, Outcome};
use crate::lifeline::Lifeline;
use crate::limits;
use crate::mesh::ControlPlane;
use crate::place::Place;
use crate::supervise::{Program, Restart, State, Supervised};
use clap::Args;
use control::{Control, ControlConfig};
use model::TrustDomain;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// What a user may say of the control plane; `up` hands it on.
#[derive(Debug, Clone, Args)]
pub struct ControlFlags {
    /// Name of the root of trust, the first part of every identity
    #[arg(long, default_value = "organza.local", value_name = "NAME")]
    pub trust_domain: String,
    /// Where proxies connect; name an address of this machine to let others join
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Life of workloads' certificates, in seconds
    #[arg(long, default_value_t = 86_400, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(10..))]
    pub svid_life: u64,
    /// Sign with an authority of your own: its chain, PEM, the issuing certificate first
    #[arg(long, requires = "ca_key", value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,
    /// The key of that authority, PEM
    #[arg(long, requires = "ca_cert", value_name = "FILE")]
    pub ca_key: Option<PathBuf>,
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
    /// End when standard input closes
    #[arg(long)]
    tethered: bool,
}

/// The process itself.
pub async fn run(args: ControlArgs) -> Outcome {
    tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::INFO).init();
    let mut lifeline = Lifeline::new(args.tethered).doing(|| "listen to signals".into())?;
    let config = ControlConfig {
        mesh: args.mesh,
        state: args.state,
        paths: args.files,
        trust_domain: trust_domain(&args.flags.trust_domain)?,
        listen: args.flags.listen,
        svid_life: Duration::from_secs(args.flags.svid_life),
        own_ca: args.flags.ca_cert.zip(args.flags.ca_key),
    };
    let control = Control::start(config).await.map_err(|e| Failure::problem("the control plane does not start").why(e))?;
    tracing::info!("control plane serves proxies on {}", control.xds_address);
    lifeline.ended().await;
    control.stop().await;
    Ok(())
}

fn trust_domain(text: &str) -> Outcome<TrustDomain> {
    TrustDomain::parse(text).map_err(|e| Failure::usage(format!("--trust-domain {text:?}")).why(e))
}

/// A control plane that is kept running.
pub struct Kept(Supervised);

impl ControlPlane for Kept {
    async fn stop(self) {
        self.0.stop().await;
    }
}

/// Starts a control plane for a place; returns when its socket answers.
pub async fn keep(place: &Place, files: &[PathBuf], flags: &ControlFlags) -> Outcome<Kept> {
    trust_domain(&flags.trust_domain)?;
    let program = std::env::current_exe().doing(|| "find the organza program".into())?;
    let mut command: Vec<OsString> =
        vec![program.into(), "control".into(), "--tethered".into(), "--mesh".into(), place.mesh.clone().into()];
    command.extend(["--state".into(), place.root().into()]);
    command.extend(["--trust-domain".into(), flags.trust_domain.clone().into(), "--listen".into(), flags.listen.to_string().into()]);
    command.extend(["--svid-life".into(), flags.svid_life.to_string().into()]);
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
    let kept = Supervised::start(Program { name, command, environment: Vec::new(), log: log.clone(), restart: Restart::Always })?;
    let begun = Instant::now();
    let client = Client::control(place);
    while client.text(wire::api::path::STATUS).await.is_err() {
        let running = matches!(*kept.state.borrow(), State::Running { .. });
        if !running || begun.elapsed() > limits::READY {
            kept.stop().await;
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let last = said.lines().last().unwrap_or("it said nothing").to_owned();
            return Err(Failure::problem("the control plane does not start").why(last).remedy(format!("read {}", log.display())));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(Kept(kept))
}

fn whole(file: &std::path::Path) -> Outcome<PathBuf> {
    std::path::absolute(file).doing(|| format!("find {}", file.display()))
}
