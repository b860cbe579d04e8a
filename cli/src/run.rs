//! `organza run`: puts any program into the mesh. Joins, starts a proxy beside the program, then the program itself, whose terminal, signals
//! and exit code stay its own. Without a command it fronts what already listens; without `--service` it joins as a client.

use crate::environment;
use crate::failure::{Context, Failure, Outcome};
use crate::join::{self, Joined, Member, Served, Upstream};
use crate::lifeline::Lifeline;
use crate::log_file::LogFile;
use crate::mesh_flag::MeshFlag;
use crate::place::Place;
use crate::upgrade::bequest::{self, Children, Descriptors};
use crate::upgrade::desk::{Caller, Desk};
use crate::wrapped::Wrapped;
use crate::{ports, program, upgrade};
use clap::Args;
use model::Locality;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  organza run --service web --port 8000 -- python3 -m http.server 8000 --bind 127.0.0.1
  organza run -- curl http://web/                      join as a client
  organza run --service db --port 5432                 front what listens on 5432 already
  organza run --token web.token --service web --port 8000    join a mesh of another machine
  organza run --upstream catalog=9001 -- ./program     catalog is at 127.0.0.1:9001, TCP too";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// The service that the program answers for; a client only when left out
    #[arg(long, requires = "port")]
    service: Option<String>,
    /// Where the program listens, on loopback
    #[arg(long, requires = "service")]
    port: Option<u16>,
    /// The service's own port, which callers name
    #[arg(long, default_value_t = 80, requires = "service")]
    service_port: u16,
    /// Namespace of the service and of the identity
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Service account of the identity; the service's name when left out
    #[arg(long)]
    service_account: Option<String>,
    /// A label that selectors of Services read; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Where this machine is, for services that prefer near endpoints: REGION/ZONE, or REGION
    #[arg(long, value_name = "REGION/ZONE", value_parser = locality)]
    locality: Option<String>,
    /// Label `version`
    #[arg(long, default_value = "v1")]
    version: String,
    /// A local listener for one service, [NAMESPACE/]SERVICE[:PORT]=LOCALPORT; may be given several times
    #[arg(long = "upstream", value_name = "SERVICE=PORT", value_parser = upstream)]
    upstreams: Vec<Upstream>,
    /// Join a mesh of another machine with a token (organza token create); - reads it from standard input. The token says which identity
    #[arg(long, value_name = "FILE", conflicts_with_all = ["service_account"])]
    token: Option<PathBuf>,
    /// The address of this machine by which other proxies reach the service
    #[arg(long, value_name = "IP", requires = "service")]
    address: Option<std::net::IpAddr>,
    /// The port on which other proxies reach the service; any that is free when left out. Where mtls is Permissive, whoever called the program there in plaintext before goes on to
    #[arg(long, value_name = "PORT", requires = "service")]
    listen: Option<u16>,
    /// Its proxy writes a line for each request: organza logs -f SERVICE
    #[arg(long)]
    access_log: bool,
    /// Its proxy shows metrics for Prometheus at /metrics on loopback, on this port or the next that is free
    #[arg(long, value_name = "PORT")]
    metrics: Option<u16>,
    /// Refuse a program that listens on all interfaces
    #[arg(long)]
    strict: bool,
    /// Go on as a newer program
    #[arg(long, hide = true)]
    resume: bool,
    #[command(flatten)]
    mesh: MeshFlag,
    /// The program and its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub async fn run(args: RunArgs) -> Outcome<ExitCode> {
    let place = args.mesh.place()?.with_access_log(args.access_log).with_locality(args.locality.clone()).with_metrics(args.metrics);
    place.prepare()?;
    if args.command.is_empty() && args.service.is_none() && args.upstreams.is_empty() {
        return Err(Failure::usage("nothing to run, to front or to open").remedy("organza run --help shows what one would type"));
    }
    if args.resume {
        return resume(&args, &place).await;
    }
    if let (Some(port), true) = (args.port, args.command.is_empty()) {
        exposed(port, args.strict)?;
    }
    // Before anyone can see that it runs: who sees it may upgrade it.
    let desk = Desk::open(&place)?;
    let joined = match &args.token {
        Some(file) => Joined::by_token(&place, member(&args), &crate::join::token::read(file)?).await?,
        None => Joined::member(&place, member(&args)).await?,
    };
    let program = match args.command.is_empty() {
        true => {
            eprintln!("organza: {} is in the mesh; Ctrl-C takes it out", joined.name);
            if args.service.is_some() {
                say_where_lines_are(
                    &place,
                    &joined,
                    "this program was not started by organza run: its lines are where whoever started it keeps them",
                );
            }
            Ok(None)
        }
        false => start(&args, &joined).inspect(|program| say_where_lines_are(&place, &joined, &whereabouts(&args, program.id()))).map(Some),
    };
    match program {
        Ok(program) => keep(&args, &place, desk, joined, program).await,
        Err(failure) => {
            joined.leave().await;
            Err(failure)
        }
    }
}

/// What the program of before left to this one.
#[derive(Serialize, Deserialize)]
struct Left {
    proxy: join::Known,
    processes: Children,
    program: Option<u32>,
}

/// This process was an older program until a moment ago: it takes its children over, then replaces the proxy by its own kind.
async fn resume(args: &RunArgs, place: &Place) -> Outcome<ExitCode> {
    let (left, mut descriptors) = bequest::receive::<Left>().await?;
    let desk = Desk::open(place)?;
    let mut caller = Caller::from_descriptor(descriptors.take()?).doing(|| "answer who asked for the upgrade".into())?;
    let (joined, program) = adopt(place, left, &mut descriptors)?;
    caller.step(format!("{}: process {}, organza {}; took over its children", joined.name, std::process::id(), upgrade::RELEASE)).await;
    let upgraded = joined.upgrade(program::own()?).await;
    if let Ok(step) = &upgraded {
        caller.step(step).await;
    }
    caller.end(&upgraded.map(drop)).await;
    keep(args, place, desk, joined, program).await
}

fn adopt(place: &Place, left: Left, descriptors: &mut Descriptors) -> Outcome<(Joined, Option<Wrapped>)> {
    let processes = descriptors.take_children(left.processes)?;
    Ok((Joined::adopt(place, left.proxy, processes)?, left.program.map(Wrapped::adopt).transpose()?))
}

/// Until the program ends or we are to, or until this process becomes another program.
async fn keep(args: &RunArgs, place: &Place, mut desk: Desk, mut joined: Joined, mut program: Option<Wrapped>) -> Outcome<ExitCode> {
    // Where there is a program, signals are for it.
    let mut lifeline = if program.is_none() { Some(Lifeline::new(false).doing(|| "listen to signals".into())?) } else { None };
    let ended = loop {
        let (request, mut caller) = {
            let life = async {
                match (&mut program, &mut lifeline) {
                    (Some(program), _) => watched(args, program).await,
                    (None, Some(lifeline)) => {
                        lifeline.ended().await;
                        Ok(0)
                    }
                    (None, None) => Ok(0),
                }
            };
            tokio::select! {
                biased;
                ended = life => break ended,
                asked = desk.asked() => asked,
            }
        };
        if let Err(failure) = upgrade::check(&request.program).await {
            caller.end(&Err(failure)).await;
            continue;
        }
        caller.step(format!("{}: process {} becomes {}", joined.name, std::process::id(), request.program.display())).await;
        let mut descriptors = Descriptors::default();
        descriptors.put(caller.into_descriptor().doing(|| "hand over".into())?);
        let (proxy, processes) = joined.release().await;
        let left = Left { proxy, processes: descriptors.put_children(processes), program: program.map(Wrapped::let_go) };
        let failure = bequest::become_program(&request.program, &left, &descriptors).await;
        // Still this program: it takes back what it was about to leave.
        let caller = Caller::from_descriptor(descriptors.take()?).doing(|| "answer who asked for the upgrade".into())?;
        (joined, program) = adopt(place, left, &mut descriptors)?;
        caller.end(&Err(failure)).await;
    };
    joined.leave().await;
    ended.map(ExitCode::from)
}

/// As it was written, once it can be read.
pub fn locality(text: &str) -> Result<String, String> {
    Locality::parse(text).map(|_| text.to_owned()).ok_or_else(|| "write it as REGION/ZONE, or REGION".to_owned())
}

fn member(args: &RunArgs) -> Member {
    let name = args.service.clone().unwrap_or_else(|| "client".into());
    let mut labels = args.labels.clone();
    let locality = args.locality.as_deref().and_then(Locality::parse).unwrap_or_default();
    let topology = [(Locality::REGION_LABEL, &*locality.region), (Locality::ZONE_LABEL, &*locality.zone)];
    let of_place = topology.into_iter().filter(|(_, value)| !value.is_empty());
    for (key, value) in [("app", &*name), ("version", &*args.version)].into_iter().chain(of_place) {
        if !labels.iter().any(|(given, _)| given == key) {
            labels.push((key.into(), value.into()));
        }
    }
    let served = |(service, target): (&String, u16)| Served { service: service.clone(), port: args.service_port, target };
    Member {
        service_account: args.service_account.clone().unwrap_or_else(|| name.clone()),
        namespace: args.namespace.clone(),
        service: args.service.as_ref().zip(args.port).map(served),
        upstreams: args.upstreams.clone(),
        strict: args.strict,
        address: args.address,
        listen: args.listen,
        name,
        labels,
    }
}

fn start(args: &RunArgs, joined: &Joined) -> Outcome<Wrapped> {
    let java = std::env::var("JAVA_TOOL_OPTIONS").ok();
    let environment = environment::variables(joined.outbound, &joined.secret, java.as_deref());
    Wrapped::start(&args.command, &environment)
}

/// In the log that a program in the foreground does not write, so that who looks there (`organza logs`, the dashboard) learns where to look.
fn say_where_lines_are(place: &Place, joined: &Joined, what: &str) {
    // Who cannot write here has a mesh that works all the same.
    if let Ok(log) = LogFile::open(&place.log(&joined.name)) {
        log.line(format!("organza: {what}").as_bytes());
    }
}

/// Where a program writes that has our own streams. Its arguments stay untold: some have secrets.
fn whereabouts(args: &RunArgs, program: u32) -> String {
    let name = args.command.first().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let [out, err] = [1, 2].map(|stream| stream_of(std::fs::read_link(format!("/proc/self/fd/{stream}")).ok()));
    let to = if out == err { out } else { format!("{out}, and errors to {err}") };
    format!("{name} (process {program}) runs in the foreground of organza run (process {}): it writes to {to}", std::process::id())
}

/// A stream by what the kernel calls it.
fn stream_of(link: Option<PathBuf>) -> String {
    match link.as_deref().and_then(std::path::Path::to_str) {
        Some(path) if path.starts_with("/dev/pts/") || path.starts_with("/dev/tty") => format!("the terminal {path}"),
        Some(path) if path.starts_with('/') => path.to_owned(),
        Some(socket) if socket.starts_with("socket:") => "a socket (under systemd it is the journal: journalctl)".to_owned(),
        _ => "a pipe that whoever started that reads".to_owned(),
    }
}

async fn watched(args: &RunArgs, program: &mut Wrapped) -> Outcome<u8> {
    let watched = async {
        match args.port {
            Some(port) => watch_exposure(port, args.strict).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        code = program.exit_code() => code,
        failure = watched => {
            program.end().await;
            Err(failure)
        }
    }
}

/// Looks once the program listens; returns only where that is refused.
async fn watch_exposure(port: u16, strict: bool) -> Failure {
    while !ports::is_listening(port) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    match exposed(port, strict) {
        Err(failure) => failure,
        Ok(()) => std::future::pending().await,
    }
}

fn exposed(port: u16, strict: bool) -> Outcome {
    if !ports::is_exposed(port) {
        return Ok(());
    }
    let what = format!("port {port} is exposed: the program listens on all interfaces, so it can be called beside its proxy");
    if strict {
        return Err(Failure::problem(what).remedy("let the program listen on 127.0.0.1, or leave --strict out"));
    }
    eprintln!("organza: {what}");
    Ok(())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("write it as KEY=VALUE".into()),
    }
}

/// `catalog=9001`, `catalog:8080=9001`, `shop/catalog=9001`.
fn upstream(text: &str) -> Result<Upstream, String> {
    let wrong = || "write it as [NAMESPACE/]SERVICE[:PORT]=LOCALPORT".to_owned();
    let (service, local) = text.split_once('=').ok_or_else(wrong)?;
    let local = local.parse().map_err(|_| wrong())?;
    let (host, port) = match service.split_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
        None => (service, 80),
    };
    // Of another namespace it is called by its name and that.
    let host = host.split_once('/').map_or_else(|| host.to_owned(), |(namespace, name)| format!("{name}.{namespace}"));
    if host.starts_with('.') || host.ends_with('.') || host.contains('/') || host.is_empty() {
        return Err(wrong());
    }
    Ok(Upstream { host, port, local })
}

#[cfg(test)]
mod tests;
