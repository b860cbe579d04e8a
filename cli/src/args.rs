//! The tree of commands, and which file carries out which. Help teaches by examples: each command's shows what one would type.

use crate::failure::{Context, Failure, Outcome};
use crate::{
    access, bug_report, ca, check, completions, control_process, dashboard, demo, diff, down, explain, gateway_pod, get, graph, install,
    load, logs, man, pipe, probe, proxy_process, renew, run, sample, status, tap, token, top, trace, up, upgrade, validate, wait,
};
use clap::{Parser, Subcommand};
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
    runtime.block_on(async {
        match organza.command {
            Command::Demo(args) => {
                demo::run(args, async |place, files| control_process::keep(place, files, &demo::control_flags(), None).await).await
            }
            Command::Up(args) => {
                let flags = args.control.clone();
                up::run(args, async |place, files, before| control_process::keep(place, files, &flags, before).await).await
            }
            Command::Control(args) => control_process::run(args).await,
            Command::Run(args) => return run::run(args).await,
            Command::Down(args) => down::run(args).await,
            Command::Status(args) => status::run(args).await,
            Command::Check(args) => check::run(args).await,
            Command::Get(args) => get::run(args).await,
            Command::Dashboard(args) => dashboard::run(args).await,
            Command::Graph(args) => graph::run(args).await,
            Command::Top(args) => top::run(args).await,
            Command::Tap(args) => tap::run(args).await,
            Command::Trace(args) => trace::run(args).await,
            Command::Validate(args) => validate::run(args).await,
            Command::Explain(args) => explain::run(args).await,
            Command::Access(args) => access::run(args).await,
            Command::Diff(args) => diff::run(args).await,
            Command::Wait(args) => wait::run(args).await,
            Command::Token(args) => token::run(args).await,
            Command::Ca(args) => ca::run(args).await,
            Command::Logs(args) => logs::run(args).await,
            Command::BugReport(args) => bug_report::run(args).await,
            Command::Completions(args) => {
                completions::run(&args);
                Ok(())
            }
            Command::Man(args) => man::run(&args),
            Command::Version => {
                println!("organza {}", env!("CARGO_PKG_VERSION"));
                Ok(())
            }
            Command::Proxy(args) => proxy_process::run(args).await,
            Command::Install(args) => install::run(args).await,
            Command::Gateway(args) => gateway_pod::run(args).await,
            Command::Probe(args) => probe::run(args).await,
            Command::Renew(args) => renew::run(args).await,
            Command::Pipe(args) => pipe::run(&args),
            Command::Sample(args) => sample::run(args).await,
            Command::Resumes { format } => match format == upgrade::bequest::FORMAT {
                true => Ok(()),
                false => Err(Failure::problem(format!("format {format} is not {}", upgrade::bequest::FORMAT))),
            },
            Command::Load(args) => load::run(args).await,
        }
        .map(|()| ExitCode::SUCCESS)
    })
}
