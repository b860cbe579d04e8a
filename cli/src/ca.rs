//! `organza ca`: the mesh's roots of trust, and their rotation. The control plane takes the steps; this tells how far they are.

use crate::ask_flag::AskFlag;
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::join::registered;
use crate::output::Output;
use crate::{table, units};
use clap::{Args, Subcommand};
use model::url::escaped;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use wire::api::{RootState, Roots, path};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  organza ca show\n  organza ca rotate\n  organza ca revoke web-2")]
pub struct CaArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show whom the members of the mesh believe, and how far a rotation is
    Show(ShowArgs),
    /// Replace the root, without a request lost
    Rotate(RotateArgs),
    /// Take out a process of another machine, and believe its certificates no more
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "For a machine that is no longer to be trusted: what it has open with members of the mesh ends within a second, and it opens nothing any more.
It comes back by a new join token alone.

Examples:
  organza ca revoke web-2"
)]
struct RevokeArgs {
    /// The proxy, as organza get proxies names it
    proxy: String,
    #[command(flatten)]
    ask: AskFlag,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  organza ca show\n  organza ca show -o json")]
struct ShowArgs {
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    ask: AskFlag,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A new root is believed beside the old one; when every proxy has said so, it signs, and every proxy renews its certificate; when no
certificate under the old root is valid any more, that one is dropped. The steps go on by themselves, over restarts too.
Join tokens hold the root that signed when they were made: make new ones after a rotation.

Examples:
  organza ca rotate
  organza ca rotate --no-wait"
)]
struct RotateArgs {
    /// Return when the rotation has begun, not when the new root signs
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for every proxy to believe the new root; the rotation goes on all the same
    #[arg(long, value_parser = units::duration, default_value = "2m")]
    timeout: Duration,
    #[command(flatten)]
    ask: AskFlag,
}

/// How often to look.
const EVERY: Duration = Duration::from_millis(200);
/// The same where each look starts a process in a pod of a cluster.
const EVERY_IN_A_CLUSTER: Duration = Duration::from_secs(2);

fn every(ask: &AskFlag) -> Duration {
    if ask.cluster().is_some() { EVERY_IN_A_CLUSTER } else { EVERY }
}

pub async fn run(args: CaArgs) -> Outcome {
    match args.command {
        Command::Show(args) => show(args).await,
        Command::Rotate(args) => rotate(args).await,
        Command::Revoke(args) => revoke(args).await,
    }
}

async fn revoke(args: RevokeArgs) -> Outcome {
    let RevokeArgs { proxy, ask } = args;
    // Where a token is judged nobody is registered and nobody taken out: it takes the socket.
    let client = match ask.cluster() {
        Some(cluster) => Client::inside(cluster.leader(cluster.connect().await?).await?).patient(),
        None => ask.owner().await?,
    };
    client.delete(&format!("{}?revoke=true", registered(&escaped(&proxy)))).await?;
    println!("{proxy} is taken out, and its certificates are believed no more");
    Ok(())
}

async fn show(args: ShowArgs) -> Outcome {
    let roots: Roots = args.ask.client().await?.get(path::ROOTS).await?;
    match args.output {
        Output::Json => println!("{}", serde_json::json!(roots)),
        Output::Text => {
            print!("{}", table::columns(&["ROOT", "STATE", "EXPIRES", "CERTIFICATES UNTIL"], &rows(&roots), usize::MAX));
            if let Some(rotation) = &roots.rotation
                && !rotation.waiting_for.is_empty()
            {
                println!("waiting for {} to believe the next root", rotation.waiting_for.join(", "));
            }
        }
    }
    Ok(())
}

fn rows(roots: &Roots) -> Vec<Vec<String>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let until = |time: u64| units::left(time, now).unwrap_or_else(|| "over".into());
    let row = |root: &wire::api::Root| {
        let used = if root.used_until == 0 { "none".to_owned() } else { until(root.used_until) };
        vec![root.fingerprint[..root.fingerprint.len().min(16)].to_owned(), state(root.state).to_owned(), until(root.not_after), used]
    };
    roots.items.iter().map(row).collect()
}

fn state(state: RootState) -> &'static str {
    match state {
        RootState::Signing => "signing",
        RootState::Next => "next",
        RootState::Retiring => "retiring",
    }
}

async fn rotate(args: RotateArgs) -> Outcome {
    let client = args.ask.owner().await?;
    let begun: Roots = client.post(path::ROTATE, &()).await?;
    let of = |roots: &Roots, wanted: RootState| roots.items.iter().find(|root| root.state == wanted).map(|root| root.fingerprint.clone());
    let next = of(&begun, RootState::Next).unwrap_or_default();
    println!("1/3 root {} is believed beside {}", &next[..next.len().min(16)], begun.items.first().map_or("", |r| &r.fingerprint[..16]));
    if args.no_wait {
        println!("the other steps follow by themselves: organza ca show");
        return Ok(());
    }
    let start = Instant::now();
    loop {
        // A control plane that restarts meanwhile goes on where it was.
        let seen = client.get::<Roots>(path::ROOTS).await;
        if let Ok(roots) = &seen
            && of(roots, RootState::Signing).as_ref() == Some(&next)
        {
            println!("2/3 it signs; every proxy renews its certificate");
            match of(roots, RootState::Retiring) {
                Some(_) => println!("3/3 the old root is dropped by itself when nothing under it is valid: organza ca show"),
                None => println!("3/3 the old root is dropped"),
            }
            return Ok(());
        }
        if start.elapsed() >= args.timeout {
            let waiting = seen?.rotation.map(|rotation| rotation.waiting_for.join(", ")).unwrap_or_default();
            return Err(Failure::problem(format!("after {:?} not every proxy believes the new root", args.timeout))
                .why(format!("waiting for {waiting}"))
                .remedy("organza get proxies; the rotation goes on by itself when they are back"));
        }
        tokio::time::sleep(every(&args.ask)).await;
    }
}

#[cfg(test)]
mod tests;
