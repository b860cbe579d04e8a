//! The tree of commands, and which file carries out which. Help teaches by examples: each command's shows what one would type.

use crate::failure::{Context, Failure, Outcome};
use crate::{
    access, bug_report, ca, check, completions, control_process, dashboard, demo, diff, down, explain, gateway_pod, get, graph, install,
    load, logs, man, pipe, probe, proxy_process, renew, run, sample, settled, status, tap, token, top, trace, trust, up, upgrade, validate,
    wait,
};
use clap::{Parser, Subcommand};
use std::pin::Pin;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  organza demo
  organza validate -f gateway.yaml
  organza up -f gateway.yaml
  organza run --service web --port 8000 -- python3 -m http.server 8000 --bind 127.0.0.1
  organza run -- curl http://web/
  organza get routes -A
  organza logs -f catalog
  organza wait --for=Programmed route/catalog

Exit codes: 0 good, 1 problems were found, 2 wrong usage, 3 mesh not reachable.";

/// A service mesh: thin, strong, transparent.
#[derive(Debug, Parser)]
#[command(name = "organza", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Organza {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See a mesh at work: a shop of real processes, each with its proxy
    Demo(demo::DemoArgs),
    /// Bring a mesh up for your own services
    Up(up::UpArgs),
    /// Put a program into the mesh
    Run(run::RunArgs),
    /// End a mesh that was started with `up`
    Down(down::DownArgs),
    /// Show the mesh in a few lines
    #[command(alias = "ps")]
    Status(status::StatusArgs),
    /// Find out what is wrong with a mesh, a machine or a cluster, and what to do
    Check(check::CheckArgs),
    /// Show proxies, services, routes, edges, certificates, objects
    Get(get::GetArgs),
    /// Open the dashboard: the service graph live, and everything behind it
    Dashboard(dashboard::DashboardArgs),
    /// Show who calls whom, how often, how well, how it is secured
    Graph(graph::GraphArgs),
    /// Show the busiest services, live
    Top(top::TopArgs),
    /// Show requests as they end, and why they ended so
    Tap(tap::TapArgs),
    /// Show the last traces, and one of them as a waterfall
    Trace(trace::TraceArgs),
    /// Find every problem of a configuration before it is used
    Validate(validate::ValidateArgs),
    /// Tell what would become of a request, and why
    Explain(explain::ExplainArgs),
    /// Tell who may call whom, and by which policy
    Access(access::AccessArgs),
    /// Show what a change of files would change in the mesh
    Diff(diff::DiffArgs),
    /// Wait until an object is in force
    Wait(wait::WaitArgs),
    /// Write, or apply, what puts the control plane into a Kubernetes cluster
    Install(install::InstallArgs),
    /// Let another machine join, once
    Token(token::TokenArgs),
    /// Show and rotate the mesh's roots of trust
    Ca(ca::CaArgs),
    /// Have HTTPS on this machine, for names like shop.localhost
    Trust(trust::TrustArgs),
    /// Show what the mesh's processes have said
    Logs(logs::LogsArgs),
    /// Write one file with what is needed to look into a problem, without secrets
    BugReport(bug_report::BugReportArgs),
    /// Write completions for a shell
    Completions(completions::CompletionsArgs),
    /// Show the version
    Version,
    /// Write manual pages
    #[command(hide = true)]
    Man(man::ManArgs),
    /// Tell proxies what they need to know
    #[command(hide = true)]
    Control(control_process::ControlArgs),
    /// Carry traffic, as a file of configuration says
    #[command(hide = true)]
    Proxy(proxy_process::ProxyArgs),
    /// Carry the traffic of a Gateway, in a pod
    #[command(hide = true)]
    Gateway(gateway_pod::GatewayArgs),
    /// Whether the process behind a socket is ready
    #[command(hide = true)]
    Probe(probe::ProbeArgs),
    /// Have a pod's proxy replaced by a new process, without a connection lost
    #[command(hide = true)]
    Renew(renew::RenewArgs),
    /// Carry bytes to a socket of a pod
    #[command(hide = true)]
    Pipe(pipe::PipeArgs),
    /// Run the sample service of which the demo is made
    #[command(hide = true)]
    Sample(sample::SampleArgs),
    /// Whether this program can go on with what another release's supervisor hands over
    #[command(hide = true)]
    Resumes {
        /// Number of the format
        format: u32,
    },
    /// Send requests and count every outcome
    #[command(hide = true)]
    Load(load::LoadArgs),
}

/// What the command line says, or the end of the process with what is wrong in it. Processes that supervisors start are described by themselves: all commands
/// together take half a megabyte of code, and its pages would be a proxy's for as long as it lives.
pub fn parse() -> Organza {
    let command = match std::env::args_os().nth(1) {
        Some(word) if word == "proxy" => Command::Proxy(alone("organza proxy")),
        Some(word) if word == "control" => Command::Control(alone("organza control")),
        _ => return Organza::parse(),
    };
    Organza { command }
}

fn alone<A: clap::Args>(name: &'static str) -> A {
    let command = clap::Command::new(name).bin_name(name).max_term_width(100);
    let matches = A::augment_args(command).get_matches_from(std::env::args_os().skip(1));
    A::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

pub fn run(organza: Organza) -> Outcome<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().doing(|| "start the runtime".into())?;
    runtime.spawn(settled::watch());
    runtime.block_on(work(organza.command))
}

/// Each in a box of its own: as one future they would be one function, of which a proxy, that needs little of it, has all in memory.
fn work(command: Command) -> Pin<Box<dyn Future<Output = Outcome<ExitCode>>>> {
    let work: Pin<Box<dyn Future<Output = Outcome>>> = match command {
        Command::Demo(args) => {
            Box::pin(demo::run(args, async |place, files| control_process::keep(place, files, &demo::control_flags(), None).await))
        }
        Command::Up(args) => Box::pin(async {
            let flags = args.control.clone();
            up::run(args, async |place, files, before| control_process::keep(place, files, &flags, before).await).await
        }),
        Command::Control(args) => Box::pin(control_process::run(args)),
        Command::Run(args) => return Box::pin(run::run(args)),
        Command::Down(args) => Box::pin(down::run(args)),
        Command::Status(args) => Box::pin(status::run(args)),
        Command::Check(args) => Box::pin(check::run(args)),
        Command::Get(args) => Box::pin(get::run(args)),
        Command::Dashboard(args) => Box::pin(dashboard::run(args)),
        Command::Graph(args) => Box::pin(graph::run(args)),
        Command::Top(args) => Box::pin(top::run(args)),
        Command::Tap(args) => Box::pin(tap::run(args)),
        Command::Trace(args) => Box::pin(trace::run(args)),
        Command::Validate(args) => Box::pin(validate::run(args)),
        Command::Explain(args) => Box::pin(explain::run(args)),
        Command::Access(args) => Box::pin(access::run(args)),
        Command::Diff(args) => Box::pin(diff::run(args)),
        Command::Wait(args) => Box::pin(wait::run(args)),
        Command::Token(args) => Box::pin(token::run(args)),
        Command::Ca(args) => Box::pin(ca::run(args)),
        Command::Trust(args) => Box::pin(async move { trust::run(args) }),
        Command::Logs(args) => Box::pin(logs::run(args)),
        Command::BugReport(args) => Box::pin(bug_report::run(args)),
        Command::Proxy(args) => Box::pin(proxy_process::run(args)),
        Command::Install(args) => Box::pin(install::run(args)),
        Command::Gateway(args) => Box::pin(gateway_pod::run(args)),
        Command::Probe(args) => Box::pin(probe::run(args)),
        Command::Renew(args) => Box::pin(renew::run(args)),
        Command::Sample(args) => Box::pin(sample::run(args)),
        Command::Load(args) => Box::pin(load::run(args)),
        Command::Completions(args) => Box::pin(async move {
            completions::run(&args);
            Ok(())
        }),
        Command::Man(args) => Box::pin(async move { man::run(&args) }),
        Command::Version => Box::pin(async {
            println!("organza {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }),
        Command::Pipe(args) => Box::pin(async move { pipe::run(&args) }),
        Command::Resumes { format } => Box::pin(async move {
            match format == upgrade::bequest::FORMAT {
                true => Ok(()),
                false => Err(Failure::problem(format!("format {format} is not {}", upgrade::bequest::FORMAT))),
            }
        }),
    };
    Box::pin(async { work.await.map(|()| ExitCode::SUCCESS) })
}
