//! `organza up`: the mesh for the user's own services, in the foreground or behind, after the manner of docker compose. The control plane
//! and each Gateway's proxy are children.

use crate::client::Client;
use crate::control_process::ControlFlags;
use crate::dashboard;
use crate::events;
use crate::failure::{Context, Failure, Outcome};
use crate::lifeline::Lifeline;
use crate::mesh::{self, ControlPlane, Mesh};
use crate::mesh_flag::MeshFlag;
use crate::patience;
use crate::place::{Place, Taken};
use crate::ports::{self, Reserved};
use crate::program;
use crate::supervise::Released;
use crate::to;
use crate::upgrade;
use crate::upgrade::bequest::{self, Descriptors};
use crate::upgrade::desk::{Caller, Desk};
use clap::Args;
use proxy::config::GatewayPorts;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use wire::api::{Status, path};

const EXAMPLES: &str = "\
Examples:
  organza up                       YAML files of this folder
  organza up -f gateway.yaml -d    one file, in the background
  organza up --to 127.0.0.1:8080   a gateway before what already runs there
  organza up --upgrade             what runs becomes this program, and loses no request";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct UpArgs {
    /// A file or a folder with Gateway API objects and Services; this folder when left out
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    files: Vec<PathBuf>,
    /// Write and run a gateway before one address
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "files")]
    to: Option<String>,
    /// Where the gateway of --to listens; from 8000 on, the first that is free, when left out
    #[arg(long, requires = "to")]
    port: Option<u16>,
    /// In the background
    #[arg(short, long)]
    detach: bool,
    /// Gateways write a line for each request: organza logs -f
    #[arg(long)]
    access_log: bool,
    /// Each gateway shows metrics for Prometheus at /metrics on loopback, on this port or the next that is free
    #[arg(long, value_name = "PORT")]
    metrics: Option<u16>,
    /// Replace what runs of the mesh on this machine by this program, without losing a request
    #[arg(long, conflicts_with_all = ["files", "to", "detach"])]
    upgrade: bool,
    /// Go on as a newer program
    #[arg(long, hide = true)]
    resume: bool,
    /// Where this machine is, for services that prefer near endpoints: REGION/ZONE, or REGION
    #[arg(long, value_name = "REGION/ZONE", value_parser = crate::run::locality)]
    locality: Option<String>,
    #[command(flatten)]
    pub control: ControlFlags,
    #[command(flatten)]
    mesh: MeshFlag,
}

/// The first port that the gateway of `--to` tries.
const TO_PORT: u16 = 8000;

/// `start` brings up the control plane for a place and its files.
pub async fn run<C: ControlPlane>(mut args: UpArgs, start: impl AsyncFn(&Place, &[PathBuf], Option<Released>) -> Outcome<C>) -> Outcome {
    let place = args.mesh.place()?.with_access_log(args.access_log).with_locality(args.locality.clone()).with_metrics(args.metrics);
    if args.upgrade {
        return upgrade::run(&place).await;
    }
    place.prepare()?;
    if args.resume {
        args.files = files(&args, &place);
        return resume(&args, &place, start).await;
    }
    if let Some(to) = args.to.take() {
        args.files = vec![write_gateway(&place, &to, args.port)?];
    }
    if args.files.is_empty() {
        args.files.push(PathBuf::from("."));
    }
    if let Some(path) = args.files.iter().find(|path| !path.exists()) {
        return Err(Failure::usage(format!("{} is not there", path.display())).remedy("name a file or a folder with -f"));
    }
    args.files.iter().filter(|path| is_empty(path)).for_each(|path| {
        println!("{} holds no *.yaml, *.yml or *.json file yet; what is put there takes effect", path.display());
    });
    if args.detach { detach(&args, &place).await } else { foreground(&args, &place, start).await }
}

/// A folder without configuration: a mesh of members alone, or the wrong folder.
fn is_empty(folder: &std::path::Path) -> bool {
    let entries = std::fs::read_dir(folder).ok();
    entries.is_some_and(|entries| !entries.flatten().any(|entry| frontends::file::is_configuration(&entry.path())))
}

fn write_gateway(place: &Place, to: &str, port: Option<u16>) -> Outcome<PathBuf> {
    let port = match port {
        Some(port) => {
            ports::demand((std::net::Ipv4Addr::UNSPECIFIED, port).into(), "--port")?;
            port
        }
        None => Reserved::default().prefer(TO_PORT)?,
    };
    let folder = place.config();
    to::write(&folder, to, port)?;
    println!("wrote {}: http://127.0.0.1:{port}/ → {to}", folder.join("gateway.yaml").display());
    Ok(folder)
}

/// Files of a mesh that runs: those that were named, or written for `--to`.
fn files(args: &UpArgs, place: &Place) -> Vec<PathBuf> {
    match (&args.to, args.files.is_empty()) {
        (Some(_), _) => vec![place.config()],
        (None, true) => vec![PathBuf::from(".")],
        (None, false) => args.files.clone(),
    }
}

async fn foreground<C: ControlPlane>(
    args: &UpArgs,
    place: &Place,
    start: impl AsyncFn(&Place, &[PathBuf], Option<Released>) -> Outcome<C>,
) -> Outcome {
    let taken = place.take()?;
    // Before it can be seen that the mesh is up: who sees it may upgrade it.
    let desk = Desk::open(place)?;
    let mut lifeline = Lifeline::new(false).doing(|| "listen to signals".into())?;
    let control = start(place, &args.files, None).await?;
    let mesh = Mesh::start(place, control, GatewayPorts::Exact).await?;
    println!("mesh {} is up; Ctrl-C takes it down", place.mesh);
    println!("{}", dashboard::told(place).await);
    tell_problems(place).await;
    keep(args, place, taken, desk, mesh, &mut lifeline, start).await
}

/// What is wrong with the files from the beginning: what becomes so later is told as an event.
async fn tell_problems(place: &Place) {
    let Ok(status) = Client::control(place).get::<Status>(path::STATUS).await else { return };
    status.problems.iter().take(events::LISTED).for_each(|problem| println!("{}", events::located(problem)));
    if let more @ 1.. = status.problems.len().saturating_sub(events::LISTED) {
        println!("and {more} more: organza status --mesh {}", place.mesh);
    }
}

/// What the program of before left to this one.
#[derive(Serialize, Deserialize)]
struct Left {
    mesh: mesh::Known,
}

/// This process was an older program until a moment ago: it takes its children over, then replaces them by its own kind.
async fn resume<C: ControlPlane>(
    args: &UpArgs,
    place: &Place,
    start: impl AsyncFn(&Place, &[PathBuf], Option<Released>) -> Outcome<C>,
) -> Outcome {
    let (left, mut descriptors) = bequest::receive::<Left>().await?;
    let desk = Desk::open(place)?;
    let mut lifeline = Lifeline::new(false).doing(|| "listen to signals".into())?;
    let taken = Taken::from_descriptor(descriptors.take()?);
    let mut caller = Caller::from_descriptor(descriptors.take()?).doing(|| "answer who asked for the upgrade".into())?;
    let before = async |before| start(place, &args.files, Some(before)).await;
    let mut mesh = Mesh::adopt(place, left.mesh, &mut descriptors, GatewayPorts::Exact, before).await?;
    let said = format!(
        "supervisor: process {}, organza {}; took over its children and the lock of the mesh",
        std::process::id(),
        upgrade::RELEASE
    );
    println!("{said}");
    caller.step(said).await;
    let upgraded = mesh.upgrade(program::own()?, async |step| {
        println!("{step}");
        caller.step(step).await;
    });
    let upgraded = upgraded.await;
    if let Err(failure) = &upgraded {
        println!("{failure}");
    }
    caller.end(&upgraded).await;
    keep(args, place, taken, desk, mesh, &mut lifeline, start).await
}

/// Until it is to end, or becomes another program.
async fn keep<C: ControlPlane>(
    args: &UpArgs,
    place: &Place,
    taken: Taken,
    mut desk: Desk,
    mut mesh: Mesh<C>,
    lifeline: &mut Lifeline,
    start: impl AsyncFn(&Place, &[PathBuf], Option<Released>) -> Outcome<C>,
) -> Outcome {
    loop {
        let (request, mut caller) = tokio::select! {
            biased;
            () = lifeline.ended() => break,
            asked = desk.asked() => asked,
            event = mesh.event() => {
                println!("{event}");
                continue;
            }
        };
        if let Err(failure) = upgrade::check(&request.program).await {
            caller.end(&Err(failure)).await;
            continue;
        }
        println!("becoming {}, organza {}", request.program.display(), request.release);
        caller.step(format!("supervisor: process {} becomes {}", std::process::id(), request.program.display())).await;
        let mut descriptors = Descriptors::default();
        descriptors.put(taken.descriptor()?);
        descriptors.put(caller.into_descriptor().doing(|| "hand over".into())?);
        let left = Left { mesh: mesh.release(&mut descriptors).await };
        let failure = bequest::become_program(&request.program, &left, &descriptors).await;
        // Still this program: it takes back what it was about to leave.
        drop(descriptors.take()?);
        let caller = Caller::from_descriptor(descriptors.take()?).doing(|| "answer who asked for the upgrade".into())?;
        let before = async |before| start(place, &args.files, Some(before)).await;
        mesh = Mesh::adopt(place, left.mesh, &mut descriptors, GatewayPorts::Exact, before).await?;
        println!("{failure}");
        caller.end(&Err(failure)).await;
    }
    println!("draining");
    mesh.stop().await;
    Ok(())
}

/// Starts ourselves again without a terminal, and waits until that one answers.
async fn detach(args: &UpArgs, place: &Place) -> Outcome {
    if let Some(holder) = place.holder() {
        return Err(Failure::problem(format!("mesh {:?} is already up, held by process {holder}", place.mesh)).remedy("organza down"));
    }
    let log = place.log("control");
    let out = std::fs::OpenOptions::new().create(true).append(true).open(&log).doing(|| format!("open {}", log.display()))?;
    let err = out.try_clone().doing(|| format!("open {}", log.display()))?;
    let mut again: Vec<OsString> = ["up", "--mesh", &place.mesh].map(Into::into).to_vec();
    for file in &args.files {
        let whole = std::fs::canonicalize(file).doing(|| format!("find {}", file.display()))?;
        again.extend(["-f".into(), whole.into()]);
    }
    let flags = &args.control;
    let svid_life = flags.svid_life.to_string();
    for (flag, value) in [("--trust-domain", &flags.trust_domain), ("--listen", &flags.listen.to_string()), ("--svid-life", &svid_life)] {
        again.extend([flag.into(), value.into()]);
    }
    for (flag, file) in [("--ca-cert", &flags.ca_cert), ("--ca-key", &flags.ca_key)] {
        if let Some(file) = file {
            again.extend([flag.into(), file.into()]);
        }
    }
    if args.access_log {
        again.push("--access-log".into());
    }
    if let Some(port) = args.metrics {
        again.extend(["--metrics".into(), port.to_string().into()]);
    }
    if let Some(locality) = &args.locality {
        again.extend(["--locality".into(), locality.into()]);
    }
    let mut command = Command::new(program::own()?);
    command.args(again).stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
    let mut child = command.spawn().doing(|| "start the mesh in the background".into())?;
    let pid = child.id();
    let up = || {
        let ended = child.try_wait().ok().flatten().is_some();
        async move {
            match Client::control(place).text(path::STATUS).await {
                Ok(_) => Some(true),
                Err(_) => ended.then_some(false),
            }
        }
    };
    if patience::until_ready(up).await == Some(true) {
        println!("mesh {} is up in process {pid}; organza logs -f, organza down", place.mesh);
        tell_problems(place).await;
        return Ok(());
    }
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(Failure::problem("the mesh did not come up").why(last.join("\n       ")).remedy(format!("read {}", log.display())))
}
