//! `organza proxy --config FILE`: the process that carries traffic, started by `up`, `run` and the demo, never typed. Sets up what belongs to a process
//! (log, signals) and hands over to the `proxy` crate.

use crate::descriptors;
use crate::failure::{Context, Failure, Outcome};
use crate::lifeline::Lifeline;
use crate::ports;
use clap::{Args, ValueEnum};
use proxy::Config;
use proxy::config::Log;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

#[derive(Debug, Args)]
pub struct ProxyArgs {
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// End when standard input closes
    #[arg(long)]
    tethered: bool,
    /// Take the doors over from the process that runs with this configuration, where there is one
    #[arg(long)]
    take_over: bool,
    /// By what sockets are served
    #[arg(long, value_enum, default_value = "epoll", env = "ORGANZA_IO")]
    io: Io,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Io {
    Epoll,
    /// Where the kernel allows it; else epoll.
    Uring,
}

/// By which a proxy is started; it ends with who started it.
pub fn command(program: &Path, config: &Path, takes_over: bool) -> Vec<OsString> {
    let mut command = vec![program.into(), "proxy".into(), "--tethered".into(), "--config".into(), config.into()];
    command.extend(takes_over.then(|| "--take-over".into()));
    command
}

pub async fn run(args: ProxyArgs) -> Outcome {
    let config = Config::load(&args.config).doing(|| format!("read {}", args.config.display()))?;
    let set_level = log_to(&config.log)?;
    let lifeline = Lifeline::new(args.tethered).doing(|| "listen to signals".into())?;
    transport::rt::choose_ring(args.io == Io::Uring);
    let begin = if args.take_over { proxy::Begin::AsSuccessor } else { proxy::Begin::Alone };
    serve(config, begin, set_level, lifeline).await
}

/// Logs from now on; what is returned changes how much.
pub fn log_to(wanted: &Log) -> Outcome<proxy::admin::SetLevel> {
    let filter = log(wanted)?;
    Ok(Arc::new(move |level: &str| {
        let parsed = level.parse::<EnvFilter>().map_err(|error| error.to_string())?;
        filter.reload(parsed).map_err(|error| error.to_string())
    }))
}

pub async fn serve(config: Config, begin: proxy::Begin, set_level: proxy::admin::SetLevel, mut lifeline: Lifeline) -> Outcome {
    descriptors::raise();
    let name = config.proxy.clone();
    let ended = proxy::run(config, begin, set_level, async move { lifeline.ended().await }).await;
    ended.map_err(|error| {
        let taken = taken(&error).map_or_else(String::new, |holder| format!(", held by {holder}"));
        Failure::problem(format!("proxy {name} ended")).why(format!("{error}{taken}"))
    })
}

/// Who has the port that we were to open, if that is why we end.
fn taken(error: &proxy::RunError) -> Option<ports::Holder> {
    let proxy::RunError::Door { address, why, .. } = error else { return None };
    (why.kind() == std::io::ErrorKind::AddrInUse).then(|| ports::holder(address.port())).flatten()
}

/// Lines on standard output, where the supervisor's log is; the level can be changed while it runs.
fn log(log: &Log) -> Outcome<reload::Handle<EnvFilter, Registry>> {
    let filter: EnvFilter = log.level.parse().doing(|| format!("read the log level {:?}", log.level))?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false);
    let lines = if log.json { lines.json().boxed() } else { lines.boxed() };
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(handle)
}
