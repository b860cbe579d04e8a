//! `organza probe`: whether the process behind a socket is ready, for the probes of kubelets, which cannot ask a Unix socket themselves.

use crate::client::Client;
use crate::failure::Outcome;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct ProbeArgs {
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
}

pub async fn run(args: ProbeArgs) -> Outcome {
    Client::admin(&args.socket, "behind the socket").text("/ready").await.map(drop)
}
