//! `organza probe`: whether the process behind a socket is ready, for the probes of kubelets, which cannot ask a Unix socket themselves.

use crate::client::Client;
use crate::failure::{Code, Failure, Outcome};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct ProbeArgs {
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
}

pub async fn run(args: ProbeArgs) -> Outcome {
    // Where it is run nobody can do anything: it is one line of an event of the pod.
    let answered = Client::admin(&args.socket, "of the socket").text("/ready").await;
    answered.map(drop).map_err(|failure| match failure.code {
        Code::Unreachable => Failure::unreachable(format!("not ready: {}", failure.why.unwrap_or(failure.what))),
        _ => failure,
    })
}

#[cfg(test)]
mod tests;
