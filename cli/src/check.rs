//! `organza check`: what a mesh needs and how it stands, each line one fact, with what to do where it is not good. Off Kubernetes it looks at this machine
//! and at the mesh's control plane; on Kubernetes at the API server, at what was installed, and at the control plane in the cluster.

mod cluster;
mod fact;
mod machine;
mod mesh;

use crate::ask_flag::{AskFlag, Cluster};
use crate::client::Client;
use crate::failure::{Code, Failure, Outcome};
use crate::install;
use crate::output::Output;
use clap::Args;
use fact::{Fact, Mark};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};
use wire::api::path;

const EXAMPLES: &str = "\
Examples:
  organza check                     the mesh of this machine
  organza check --pre               what this machine has before a mesh is brought up
  organza check --kubernetes        the control plane and the Gateways of a cluster
  organza check --context prod --pre    what a cluster has before organza install
  organza check -o json | jq '.facts[] | select(.mark == \"bad\")'

Exit codes: 0 nothing is bad (there may be warnings), 1 something is, 3 the mesh or the API server is not reached.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// Before anything is there: whether it can be brought up, or installed
    #[arg(long)]
    pre: bool,
    /// For people or for programs
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    ask: AskFlag,
}

pub async fn run(args: CheckArgs) -> Outcome {
    let (facts, is_reached) = match args.ask.cluster() {
        Some(cluster) => of_cluster(&cluster, args.pre).await?,
        None => of_machine(&args).await?,
    };
    match args.output {
        Output::Text => print!("{}", fact::text(&facts)),
        Output::Json => println!("{:#}", json!({ "good": is_good(&facts), "facts": facts })),
    }
    match (is_reached, is_good(&facts)) {
        (false, _) => Err(Failure { code: Code::Unreachable, ..Failure::silent() }),
        (true, false) => Err(Failure::silent()),
        (true, true) => Ok(()),
    }
}

fn is_good(facts: &[Fact]) -> bool {
    facts.iter().all(|fact| fact.mark != Mark::Bad)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

async fn of_machine(args: &CheckArgs) -> Outcome<(Vec<Fact>, bool)> {
    let place = args.ask.mesh.place()?;
    if args.pre {
        return Ok((machine::before(&place), true));
    }
    let mut facts = machine::look(&place);
    let is_reached = match ask(&Client::control(&place)).await {
        Ok(told) => {
            facts.push(machine::exposed(&told.status.xds_address));
            facts.extend(mesh::facts(&told, env!("CARGO_PKG_VERSION"), now()));
            true
        }
        Err(failure) => {
            facts.push(unreached(&failure));
            false
        }
    };
    Ok((facts, is_reached))
}

async fn of_cluster(cluster: &Cluster, pre: bool) -> Outcome<(Vec<Fact>, bool)> {
    let client = cluster.connect().await?;
    let (image, wanted) = (install::IMAGE, install::own_objects()?);
    let seen = cluster::look(&client, &cluster.system, &wanted, pre).await;
    let mut facts = cluster::server(&seen);
    if seen.version.is_err() {
        return Ok((facts, false));
    }
    facts.extend(cluster::kinds(&seen, pre));
    if pre {
        facts.extend(cluster::before(&seen));
        return Ok((facts, true));
    }
    facts.extend(cluster::control(&seen, image, now()));
    // Not the same as that the mesh is not there: who asks may lack the right.
    match cluster.leader_now(client).await.map(Client::leader) {
        Ok(client) => match ask(&client).await {
            Ok(told) => facts.extend(mesh::facts(&told, env!("CARGO_PKG_VERSION"), now())),
            Err(failure) => facts.push(unasked(&failure)),
        },
        Err(failure) => facts.push(unasked(&failure)),
    }
    facts.extend(cluster::gateways(&seen));
    Ok((facts, true))
}

fn unreached(failure: &Failure) -> Fact {
    Fact::bad("control plane", line(failure), failure.remedy.clone().unwrap_or_else(|| "organza up".into()))
}

fn unasked(failure: &Failure) -> Fact {
    let says = format!("its proxies and certificates are not told: {}", line(failure));
    let hint = match &failure.why {
        Some(_) => "it needs the right to forward ports to pods of its namespace (docs/kubernetes.md)",
        // It was reached, and says itself what to do.
        None => failure.remedy.as_deref().unwrap_or("read its log"),
    };
    Fact::unknown("control plane", says, hint)
}

fn line(failure: &Failure) -> String {
    failure.why.iter().fold(failure.what.clone(), |what, why| format!("{what}: {why}"))
}

async fn ask(client: &Client) -> Outcome<mesh::Told> {
    Ok(mesh::Told {
        status: client.get(path::STATUS).await?,
        proxies: client.get(path::PROXIES).await?,
        certificates: client.get(path::CERTIFICATES).await?,
        edges: client.get(path::EDGES).await?,
        problems: client.get(path::PROBLEMS).await?,
    })
}

#[cfg(test)]
mod tests;
