//! `organza status`: the mesh in a few lines; exit code 1 while something is wrong with it.

use crate::ask_flag::AskFlag;
use crate::events;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use clap::Args;
use wire::api::{Severity, Status, path};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  organza status\n  organza status --mesh demo -o json")]
pub struct StatusArgs {
    #[command(flatten)]
    ask: AskFlag,
    /// For people or for programs
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub async fn run(args: StatusArgs) -> Outcome {
    let status: Status = args.ask.client().await?.get(path::STATUS).await?;
    match args.output {
        Output::Json => {
            let text = serde_json::to_string_pretty(&status).map_err(|error| Failure::problem("cannot write JSON").why(error))?;
            println!("{text}");
        }
        Output::Text => print!("{}", text(&status)),
    }
    if is_good(&status) { Ok(()) } else { Err(Failure::silent()) }
}

fn is_good(status: &Status) -> bool {
    status.proxies_current >= status.proxies_connected && !status.problems.iter().any(|problem| problem.severity == Severity::Error)
}

fn text(status: &Status) -> String {
    let mut text = format!(
        "mesh {} (trust domain {}) is up, organza {}\ngeneration {}, {} of {} proxies have it; control plane in process {} at {}\n",
        status.mesh,
        status.trust_domain,
        status.version,
        status.generation,
        status.proxies_current,
        status.proxies_connected,
        status.pid,
        status.xds_address,
    );
    for problem in &status.problems {
        text.push_str(&events::located(problem));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
